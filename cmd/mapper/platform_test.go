//go:build llama

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
	"github.com/llama-mapper/llama-mapper/services/process"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
	"github.com/llama-mapper/llama-mapper/services/web"
)

// What each role may, what a request without a right is told, and limits of a tenant.
func TestAccess(t *testing.T) {
	store := processtest.Store(t)
	admin, operator, viewer := processtest.Key(t, store, "a", "admin"), processtest.Key(t, store, "a", "operator"), processtest.Key(t, store, "a", "viewer")
	limited := processtest.Key(t, store, "limited", "operator")
	three := 3
	if err := store.Set(context.Background(), "limited", access.Settings{KeyLimit: &three}); err != nil {
		t.Fatal(err)
	}
	s := processtest.Serve(t, "mapper", build)
	check := func(method, path, key, body string, want int, headers ...string) {
		t.Helper()
		if got := s.Do(t, method, path, key, body, nil, headers...); got != want {
			t.Errorf("%s %s: %d, want %d", method, path, got, want)
		}
	}
	check("POST", "/api/v1/map", "", bomb, 401)
	check("POST", "/api/v1/map", "lm_aaaaaaaaaaaaaaaa_"+strings.Repeat("b", 32), bomb, 401)
	check("POST", "/api/v1/map", viewer, bomb, 403)
	check("POST", "/api/v1/map", operator, bomb, 200)
	check("POST", "/api/v1/map", "", bomb, 200, "Authorization", "Bearer "+operator)
	check("POST", "/api/v1/map", operator, bomb, 200, "X-Tenant-ID", "a")
	check("POST", "/api/v1/map", operator, bomb, 403, "X-Tenant-ID", "b")
	check("GET", "/api/v1/taxonomy", viewer, "", 200)
	check("GET", "/api/v1/events?limit=0", viewer, "", 400)
	check("GET", "/api/v1/events?after=x", viewer, "", 400)
	check("GET", "/api/v1/api-keys", operator, "", 403)
	check("POST", "/api/v1/api-keys", admin, `{"name":"x","role":"owner"}`, 400)
	check("POST", "/api/v1/api-keys", admin, `{"name":"x","role":"viewer","expires_in_days":-1}`, 400)
	check("DELETE", "/api/v1/api-keys/none", admin, "", 404)
	for i := range 5 {
		check("POST", "/api/v1/map", limited, bomb, map[bool]int{true: 200, false: 429}[i < three])
	}
	var made api.NewKeyResponse
	if status := s.Do(t, "POST", "/api/v1/api-keys", admin, `{"name":"ci","role":"operator","scopes":["map"],"expires_in_days":1}`, &made); status != 201 {
		t.Fatalf("%d %+v", status, made)
	}
	processtest.Until(t, "valid", func() bool { return s.Do(t, "POST", "/api/v1/map", made.Key, bomb, nil) == 200 })
	check("GET", "/api/v1/taxonomy", made.Key, "", 403)
	var second api.NewKeyResponse
	if status := s.Do(t, "POST", "/api/v1/api-keys/"+made.APIKey.ID+"/rotate", admin, `{"grace_minutes":60}`, &second); status != 201 {
		t.Fatalf("%d %+v", status, second)
	}
	processtest.Until(t, "valid", func() bool { return s.Do(t, "POST", "/api/v1/map", second.Key, bomb, nil) == 200 })
	check("POST", "/api/v1/map", made.Key, bomb, 200)
	check("DELETE", "/api/v1/api-keys/"+made.APIKey.ID, admin, "", 204)
	processtest.Until(t, "revoked", func() bool { return s.Do(t, "POST", "/api/v1/map", made.Key, bomb, nil) == 401 })
}

// A tenant's requests, to whatever route and with whatever id, neither show nor change anything of another tenant.
func TestTenantsApart(t *testing.T) {
	store := processtest.Store(t)
	ctx := context.Background()
	const secret = "tenant-a-only"
	a, b := processtest.Key(t, store, secret, "admin"), processtest.Key(t, store, "b", "admin")
	s := processtest.Serve(t, "mapper", build)
	for i := range 5 {
		s.Do(t, "POST", "/api/v1/map", a, bomb, nil, "X-Request-ID", fmt.Sprint(secret, ".", i), "Idempotency-Key", fmt.Sprint(secret, i))
	}
	keys, err := store.Keys(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	replays(t, s, a, secret+"0")
	processtest.Until(t, "five events", func() bool {
		var page api.EventsResponse
		return s.Do(t, "GET", "/api/v1/events", a, "", &page) == 200 && len(page.Events) == 5
	})
	apart(t, s, b, secret, keys[0].ID)
	if after, err := store.Keys(ctx, secret); err != nil || after[0].RevokedAt != nil || after[0].ExpiresAt != nil || len(after) != 1 {
		t.Errorf("the other tenant changed the keys: %v %v", after, err)
	}
	if status := s.Do(t, "POST", "/api/v1/map", a, bomb, nil); status != 200 {
		t.Errorf("the key of the first tenant: %d", status)
	}
}

// replays sends a request again under an Idempotency-Key that was used for it.
func replays(t *testing.T, s processtest.Service, a, once string) {
	t.Helper()
	var first, replayed api.Mapping
	s.Do(t, "POST", "/api/v1/map", a, bomb, &first, "Idempotency-Key", once)
	s.Do(t, "POST", "/api/v1/map", a, bomb, &replayed, "Idempotency-Key", once)
	if first.Provenance.TS == "" || first.Provenance.TS != replayed.Provenance.TS {
		t.Errorf("%+v and again %+v", first.Provenance, replayed.Provenance)
	}
	if status := s.Do(t, "POST", "/api/v1/map", a, `{"detector":"x","output":"other"}`, nil, "Idempotency-Key", once); status != 409 {
		t.Errorf("another body under the same Idempotency-Key: %d", status)
	}
}

// apart sends any request to any route with the key of another tenant than the one whose id and key id are secret.
func apart(t *testing.T, s processtest.Service, b, secret, keyID string) {
	t.Helper()
	ids := []string{keyID, secret, "1", "0", ""}
	routes := slices.DeleteFunc(s.Router.Routes(), func(r web.Route) bool { return r.Scope == web.Open })
	rapid.Check(t, func(rt *rapid.T) {
		r := rapid.SampledFrom(routes).Draw(rt, "route")
		id := rapid.SampledFrom(ids).Draw(rt, "id")
		path := regexp.MustCompile(`\{\w+\}`).ReplaceAllString(r.Path, id) + rapid.SampledFrom([]string{"", "?after=0", "?after=" + id, "?tenant=" + secret, "?limit=1000"}).Draw(rt, "query")
		body := rapid.SampledFrom([]string{"", `{"grace_minutes":0}`, bomb, `{"detector":"x","output":"a","tenant_id":"` + secret + `"}`, `{"name":"x","role":"viewer"}`, `{"requests":[` + bomb + `]}`}).Draw(rt, "body")
		headers := rapid.SampledFrom([][]string{nil, {"X-Tenant-ID", secret}, {"X-Tenant-ID", "b"}, {"Idempotency-Key", secret}}).Draw(rt, "headers")
		req, err := http.NewRequest(r.Method, s.Base+path, strings.NewReader(body))
		if err != nil {
			rt.Skip("no URL")
		}
		req.Header.Set("X-API-Key", b)
		if headers != nil {
			req.Header.Set(headers[0], headers[1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			rt.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			rt.Fatal(err)
		}
		if all := fmt.Sprint(res.Header) + string(raw); strings.Contains(all, secret) || strings.Contains(all, keyID) {
			rt.Errorf("%s %s: %d %s", r.Method, path, res.StatusCode, all)
		}
	})
}

// With keys, limits, journal and metrics an answer costs the mapper's process at most a ninth more processor time, so
// that it answers nine tenths of what it answers without them. Both stand on the same model, and are measured in turn;
// time that the machine spends on other things does not count, and what is left of noise goes both ways, so that the
// best of the rounds counts. `make drill` compares the answers of a second.
func TestPlatformCost(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector slows Go and not llama.cpp")
	}
	full, bare, k := withAndWithout(t)
	best := 0.0
	for round := range 10 {
		without := spent(t, bare, k, 1000)
		with := spent(t, full.Base, k, 1000)
		best = max(best, float64(without)/float64(with))
		t.Logf("round %d: %v a request without, %v with: %.0f %%", round, without, with, 100*float64(without)/float64(with))
		if round > 1 && best >= 0.9 {
			return
		}
	}
	t.Errorf("at best %.0f %%", 100*best)
}

// withAndWithout serves one model twice: as it ships, and at the second address without keys, limits, journal and
// metrics.
func withAndWithout(t *testing.T) (full processtest.Service, bare, k string) {
	t.Helper()
	store := processtest.Store(t)
	t.Setenv(config.Prefix+"LOG_LEVEL", "WARN")
	t.Setenv(config.Prefix+"DEBUG", "false")
	t.Setenv(config.Prefix+"LIMITS__KEY", "100000000")
	t.Setenv(config.Prefix+"LIMITS__TENANT", "100000000")
	k = processtest.Key(t, store, "me", "operator")
	t.Setenv(config.Prefix+"MAPPING__TIMEOUT_MS", "60000")
	full = processtest.Serve(t, "mapper", func(p *process.Process) error {
		service, err := buildMapper(p)
		if err != nil {
			return err
		}
		router := web.New("bare", p.Log, prometheus.NewRegistry(), func(rc *fasthttp.RequestCtx, _ string) error {
			access.Caller{Key: &access.Key{}, Tenant: &access.Tenant{ID: "me"}}.Enter(rc)
			return nil
		})
		service.Register(router, nothing{}, nil)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		bare = "http://" + ln.Addr().String()
		server := fasthttp.Server{Handler: router.ServeHTTP}
		go server.Serve(ln) //nolint:errcheck // it ends with the listener
		p.OnEnd(func(context.Context) error { return server.Shutdown() })
		return nil
	})
	return full, bare, k
}

// nothing records nothing.
type nothing struct{}

func (nothing) Keep(context.Context, *access.Tenant, []audit.Entry) error { return nil }

var findings atomic.Int64

// spent is the processor time of this process, clients and all, for each of n answers of the model to 48 clients.
func spent(t *testing.T, base, key string, n int64) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	var next atomic.Int64
	answer(t, base, key, func() bool { return next.Add(1) <= n })
	return (used() - before) / time.Duration(n)
}

// answer has 48 clients ask the model different questions as long as more says so.
func answer(t *testing.T, base, key string, more func() bool) {
	t.Helper()
	const clients = 48
	var wg sync.WaitGroup
	client := fasthttp.Client{MaxConnsPerHost: clients}
	defer client.CloseIdleConnections()
	for range clients {
		wg.Go(func() {
			var req fasthttp.Request
			var res fasthttp.Response
			req.SetRequestURI(base + "/api/v1/map?source=model")
			req.Header.SetMethod("POST")
			req.Header.Set("X-API-Key", key)
			for more() {
				req.SetBodyString(fmt.Sprintf(`{"detector":"x","output":"possible weapon %d in text"}`, findings.Add(1)))
				if err := client.Do(&req, &res); err != nil || res.StatusCode() != 200 {
					t.Errorf("%d %s %v", res.StatusCode(), res.Body(), err)
					return
				}
			}
		})
	}
	wg.Wait()
}
