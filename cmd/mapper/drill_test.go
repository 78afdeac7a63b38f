//go:build llama && drill

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// servers are a PostgreSQL and a Redis of the drill's own, which can be killed.
type servers struct{ dir string }

// up starts what does not run, and sets the environment to it.
func (s servers) up(t *testing.T) {
	t.Helper()
	var out []byte
	var err error
	for range 20 { // after a kill the old processes take a moment to go
		if out, err = exec.Command("deploy/servers.sh", s.dir).Output(); err == nil {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		t.Setenv(name, value)
	}
}

func (s servers) kill(t *testing.T, file string) {
	t.Helper()
	files, err := filepath.Glob(file)
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	pid, err := strconv.Atoi(strings.Fields(string(processtest.Read(t, files[0])))[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

// dataOf is where servers.sh has put PostgreSQL's data.
func (s servers) dataOf(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		return filepath.Join(s.dir, "postgres")
	}
	c := exec.Command("cksum")
	c.Stdin = strings.NewReader(s.dir)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return "/var/tmp/llama-mapper-" + strings.Fields(string(out))[0] + "/postgres"
}

// drill is a mapper in a process of its own under load.
type drill struct {
	servers
	key   string
	child *processtest.Child
	port  string

	acknowledged sync.Map // request ids
	failed       atomic.Int64
	last         atomic.Value
}

func newDrill(t *testing.T) *drill {
	t.Helper()
	t.Chdir("../..")
	d := &drill{servers: servers{t.TempDir()}}
	d.up(t)
	t.Cleanup(func() { exec.Command("deploy/servers.sh", d.dir, "stop").Run() }) //nolint:errcheck // it may be down
	t.Setenv(config.Prefix+"STATE_DIR", t.TempDir())
	t.Setenv(config.Prefix+"HTTP__HOST", "127.0.0.1")
	t.Setenv(config.Prefix+"DEBUG", "false")
	t.Setenv(config.Prefix+"LOG_LEVEL", "WARN")
	c, ctx := processtest.Settings(t), context.Background()
	for _, service := range postgres.Services {
		m, err := postgres.NewMigrator(c.DatabaseOf(service), service)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Up(ctx); err != nil {
			t.Fatal(err)
		}
		m.Close()
	}
	d.key = processtest.Key(t, processtest.OpenStore(t, c), "me", "operator")
	d.child = startProcess(t, "checkpoints/mapper-tiny", os.Stderr)
	d.port = d.child.Base[strings.LastIndex(d.child.Base, ":")+1:]
	return d
}

// restart starts the mapper again on its port.
func (d *drill) restart(t *testing.T) {
	t.Setenv("TEST_PORT", d.port)
	d.child = startProcess(t, "checkpoints/mapper-tiny", os.Stderr)
}

// load sends n requests from 16 clients; one in eight is for the model.
func (d *drill) load(n int) (wait func()) {
	var wg sync.WaitGroup
	var next atomic.Int64
	base := d.child.Base
	for range 16 {
		wg.Go(func() {
			client := fasthttp.Client{MaxIdemponentCallAttempts: 1, ReadTimeout: 10 * time.Second}
			var req fasthttp.Request
			var res fasthttp.Response
			req.Header.SetMethod("POST")
			req.Header.Set("X-API-Key", d.key)
			for {
				i := next.Add(1)
				if i > int64(n) {
					return
				}
				id := fmt.Sprint("r", i)
				req.SetRequestURI(base + "/api/v1/map")
				req.Header.Set("X-Request-ID", id)
				req.SetBodyString(`{"detector":"azure","output":{"categoriesAnalysis":[{"category":"Hate","severity":4}]}}`)
				if i%8 == 0 {
					req.SetBodyString(fmt.Sprintf(`{"detector":"x","output":"weapon %d"}`, i))
				}
				err := client.Do(&req, &res)
				if err == nil && res.StatusCode() == 200 {
					d.acknowledged.Store(id, true)
					continue
				}
				d.failed.Add(1)
				d.last.Store(fmt.Sprintf("%s: %d %s %v", id, res.StatusCode(), res.Body(), err))
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	return wg.Wait
}

// settle reads the feed until every acknowledged request has its event, and checks that none has two.
func (d *drill) settle(t *testing.T) {
	t.Helper()
	s := d.child.Service
	events, after, acknowledged := map[string]int{}, "0", 0
	d.acknowledged.Range(func(any, any) bool { acknowledged++; return true })
	began := time.Now()
	missing := func() (n int) {
		d.acknowledged.Range(func(id, _ any) bool {
			if events[id.(string)] == 0 {
				n++
			}
			return true
		})
		return n
	}
	for missing() > 0 && time.Since(began) < 2*time.Minute {
		for {
			var page api.EventsResponse
			if s.Do(t, "GET", "/api/v1/events?limit=1000&after="+after, d.key, "", &page) != 200 || len(page.Events) == 0 {
				break
			}
			after = page.Next
			for _, raw := range page.Events {
				var e api.Event
				if err := json.Unmarshal(raw, &e); err != nil {
					t.Fatal(err)
				}
				events[e.RequestID]++
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	twice := 0
	for _, n := range events {
		if n > 1 {
			twice++
		}
	}
	t.Logf("%d acknowledged, %d failed, %d events, %d of them not acknowledged; all there %v after the load; the last failure: %v",
		acknowledged, d.failed.Load(), len(events), len(events)-acknowledged, time.Since(began).Round(time.Millisecond), d.last.Load())
	if n := missing(); n > 0 || twice > 0 {
		t.Errorf("%d acknowledged requests have no event, %d have more than one", n, twice)
	}
	processtest.Until(t, "drained", func() bool {
		return bytes.Contains(processtest.Metrics(t, s), []byte("\naudit_journal_lag_seconds 0\n"))
	})
}

// requests are a few more than the 50,000 that are to be answered: those fail that are sent to a mapper that is down.
const requests = 51_000

// The mapper is killed three times under load, and started again.
func TestDrillKillMapper(t *testing.T) {
	d := newDrill(t)
	wait := d.load(requests)
	for range 3 {
		time.Sleep(4 * time.Second)
		d.child.Kill()
		d.restart(t)
	}
	wait()
	d.settle(t)
}

// PostgreSQL is killed three times under load; no request notices.
func TestDrillKillPostgres(t *testing.T) {
	d := newDrill(t)
	d.unnoticed(t, d.dataOf(t)+"/postmaster.pid")
}

// Redis is killed three times under load; no request notices.
func TestDrillKillRedis(t *testing.T) {
	d := newDrill(t)
	d.unnoticed(t, d.dir+"/redis.pid")
}

// unnoticed kills the server of a pid file three times under load, and starts it again.
func (d *drill) unnoticed(t *testing.T, file string) {
	t.Helper()
	wait := d.load(requests)
	for range 3 {
		time.Sleep(3 * time.Second)
		d.kill(t, file)
		time.Sleep(3 * time.Second)
		d.up(t)
	}
	wait()
	d.settle(t)
	if n := d.failed.Load(); n > 0 {
		t.Errorf("%d requests failed", n)
	}
}

// What the mapper answers in a second with keys, limits, journal and metrics, and without, side by side.
func TestDrillCost(t *testing.T) {
	full, bare, k := withAndWithout(t)
	rate := func(base string) float64 {
		const each = 3 * time.Second
		end, n := time.Now().Add(each), atomic.Int64{}
		answer(t, base, k, func() bool { n.Add(1); return time.Now().Before(end) })
		return float64(n.Load()) / each.Seconds()
	}
	with, without := 0.0, 0.0
	for range 6 {
		a, b := rate(bare), rate(full.Base)
		t.Logf("%.0f a second without, %.0f with: %.0f %%", a, b, 100*b/a)
		with, without = with+b, without+a
	}
	t.Logf("together %.1f %%", 100*with/without)
}

// What the mapper answers from its cache, beside a server that answers bodies of the same size and does nothing else.
func TestDrillCacheHit(t *testing.T) {
	full, _, k := withAndWithout(t)
	var m api.Mapping
	if status := full.Do(t, "POST", "/api/v1/map", k, bomb, &m); status != 200 {
		t.Fatal(status)
	}
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	echo := fasthttp.Server{Handler: func(rc *fasthttp.RequestCtx) { rc.SetBody(body) }}
	go echo.Serve(ln) //nolint:errcheck // it ends with the listener
	defer echo.Shutdown()
	rate := func(base string) float64 {
		var n atomic.Int64
		var wg sync.WaitGroup
		end := time.Now().Add(2 * time.Second)
		for range 512 {
			wg.Go(func() {
				var req fasthttp.Request
				var res fasthttp.Response
				client := fasthttp.Client{}
				defer client.CloseIdleConnections()
				req.SetRequestURI(base + "/api/v1/map")
				req.Header.SetMethod("POST")
				req.Header.Set("X-API-Key", k)
				req.SetBodyString(bomb)
				for time.Now().Before(end) {
					if err := client.Do(&req, &res); err != nil || res.StatusCode() != 200 {
						t.Errorf("%d %s %v", res.StatusCode(), res.Body(), err)
						return
					}
					n.Add(1)
				}
			})
		}
		wg.Wait()
		return float64(n.Load()) / 2
	}
	hits, echoes := 0.0, 0.0
	for range 5 {
		a, b := rate("http://"+ln.Addr().String()), rate(full.Base)
		t.Logf("%.0f a second from a bare server, %.0f hits: %.0f %%", a, b, 100*b/a)
		hits, echoes = hits+b, echoes+a
	}
	t.Logf("together %.1f %%", 100*hits/echoes)
}
