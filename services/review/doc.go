// Package review lets people decide what a detector's labels mean where no table knows them. Queue collects the
// model's answers as proposals, with how often each was needed; a decision makes an override of the tenant's own, which
// comes before every table; Overrides has those in memory. Native labels are kept sealed with the tenant's data key.
package review
