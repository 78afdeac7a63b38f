package review

import "time"

// PageRows is how many overrides are read at once.
const PageRows = pageRows

// Age makes overrides as old as those that are read anew.
func Age(o *Overrides) { o.begun = time.Now().Add(-2 * anew) }
