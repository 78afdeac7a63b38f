// Package task does orchestrations in the background. What was asked lies in Postgres, sealed with a key of the job's own;
// all replicas work on jobs through River. In one transaction a job's result is stored, what was asked and its key are
// destroyed, its events lengthen the tenant's chain, its webhook is queued and River's job is completed, so whatever is
// killed, a job ends once. (What a row had lies in the files of Postgres until it vacuums, sealed still.)
package task
