package registry

// What tests of the package reach.
var (
	Close     = (*Directory).close
	SecretsOf = secretsOf
	Watch     = watch
)
