// Package audit keeps what was decided, and nothing of the content it was decided about.
//
// A mapping makes an Event, and so does an orchestration's decision; each service keeps its own, in its own schema. Log
// seals an event with its tenant's data key and has it in the local journal before the response leaves. Writer moves
// the journal to Postgres, where each tenant has a chain: leaf commits to the event, hash ties it to all before it.
// Keeper signs heads of chains. Feed reads a tenant's events in order, and Verify checks an export of them without any
// of our servers.
//
//	leaf   = SHA-256(0x00 | salt | event)              salt: 16 random bytes, so that a leaf tells nothing of its event
//	hash_n = SHA-256(0x01 | hash_n-1 | n | at | leaf)  n and at (microseconds since 1970) in 8 bytes, big-endian
//	hash_0 = SHA-256("llama-mapper audit 1\n" + tenant)
//
// A deleted tenant's events cannot be opened any more, and its chain still verifies.
package audit
