package registry

// What tests of the package's users reach.
var (
	Close     = (*Directory).close
	Watch     = watch
)
