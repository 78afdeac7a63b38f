package access

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/limit"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// Gate lets requests in by their key: it must be valid and have the route's scope, X-Tenant-ID must be its tenant's
// if it is sent, and the limits of the key and of its tenant must have room. Without a valid key the limit is the
// address's.
type Gate struct {
	directory *Directory
	limiter   *limit.Limiter
	limits    config.Limits
}

// NewGate makes a gate.
func NewGate(d *Directory, l *limit.Limiter, limits config.Limits) *Gate { return &Gate{d, l, limits} }

const callerValue = "access.caller"

// CallerOf returns who asks, in a handler behind a gate.
func CallerOf(rc *fasthttp.RequestCtx) Caller {
	c, ok := rc.UserValue(callerValue).(Caller)
	if !ok {
		panic("access: this route has no scope")
	}
	return c
}

// Check is the web.Gate.
func (g *Gate) Check(rc *fasthttp.RequestCtx, scope string) error {
	if err := g.directory.State(); err != nil {
		return api.Errorf(api.Unavailable, "%v", err)
	}
	caller, err := g.directory.Who(keyOf(rc))
	if err != nil {
		decision := g.limiter.Allow(limit.Rule{Kind: "address", ID: network(web.ClientIP(rc)), PerMinute: g.limits.Address})
		if !decision.Allowed {
			return limited(rc, decision, "too many requests without a valid key come from this address")
		}
		rc.Response.Header.Set("WWW-Authenticate", "Bearer")
		return err
	}
	if t := rc.Request.Header.Peek("X-Tenant-ID"); len(t) > 0 && string(t) != caller.Tenant.ID {
		return api.Errorf(api.Forbidden, "X-Tenant-ID is not the tenant of this key")
	}
	if !slices.Contains(caller.Key.Scopes, scope) {
		return api.Errorf(api.Forbidden, "this key does not have the scope %s", scope)
	}
	if caller.Service { // it was counted where it came in
		caller.Enter(rc)
		return nil
	}
	decision := g.limiter.Allow(
		limit.Rule{Kind: "key", ID: caller.Key.ID, PerMinute: either(caller.Tenant.KeyLimit, g.limits.Key)},
		limit.Rule{Kind: "tenant", ID: caller.Tenant.ID, PerMinute: either(caller.Tenant.TenantLimit, g.limits.Tenant)},
	)
	if !decision.Allowed {
		return limited(rc, decision, "this key or its tenant has no requests left; retry after the time in Retry-After")
	}
	decision.Headers(rc.Response.Header.Set)
	caller.Enter(rc)
	return nil
}

// Enter lets a caller in: handlers see it by CallerOf.
func (c Caller) Enter(rc *fasthttp.RequestCtx) { rc.SetUserValue(callerValue, c) }

// network is what one client has of addresses: one of IPv4, a /64 of IPv6.
func network(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	p, err := a.Prefix(64)
	if err != nil { // an in-memory connection has no address
		return ""
	}
	return p.String()
}

func limited(rc *fasthttp.RequestCtx, d limit.Decision, message string) error {
	d.Headers(rc.Response.Header.Set)
	e := api.Errorf(api.RateLimited, "%s", message)
	e.RetryAfter = d.RetryAfter
	return e
}

func either(own *int, general int) int {
	if own != nil {
		return *own
	}
	return general
}

// keyOf copies the key out of X-API-Key, or else Authorization: Bearer.
func keyOf(rc *fasthttp.RequestCtx) string {
	if key := rc.Request.Header.Peek("X-API-Key"); len(key) > 0 {
		return string(key)
	}
	scheme, key, _ := strings.Cut(string(rc.Request.Header.Peek("Authorization")), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(key)
	}
	return ""
}
