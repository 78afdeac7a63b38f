// Package registry has what tenants have registered: detectors of their own, and policies. A change makes a version
// and an event of the audit, in one transaction; old ones stay readable. Store keeps them in Postgres, sealed with
// the tenant's data key, for specs have secrets; Directory has the ones in force in memory, ready for use, and a
// copy on disk, still sealed; Health asks detectors how they are.
package registry
