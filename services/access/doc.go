// Package access knows tenants and their API keys: who asks, and what they may. Postgres has the truth; every
// process holds all of it in memory and follows changes within Refresh, so no request waits for Postgres and
// none fails because it is away.
package access
