// Package bulk maps many lines in the background: jobs. An upload is cut into chunks, which lie sealed in Postgres; all
// replicas work on them through River. In one transaction a chunk's result is stored, its events lengthen the
// tenant's chain, the next chunk is queued and River's job is completed, so whatever is killed, no line is answered or
// recorded twice. What a replica was working on when it died is taken up by another within seconds.
//
// River saves us a queue of our own: fetching with SKIP LOCKED, LISTEN and NOTIFY, timeouts, retries with backoff,
// cancelling across replicas, and completion inside our transaction. What it has no notion of is here: content that is
// sealed, and one tenant's share of the queue; a quick end of the wait for a replica that was killed is in package queue.
package bulk
