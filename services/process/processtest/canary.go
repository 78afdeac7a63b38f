package processtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/postgres/postgrestest"
)

// Canary is a text that clients send as content, which must afterwards be nowhere. It is made of lower-case letters and
// digits, which JSON and URLs leave as they are.
type Canary struct {
	Text string
	Logs *os.File // of the child that is to be looked at

	mu     sync.Mutex // guards traces
	traces bytes.Buffer
}

// NewCanary has the processes that start after it send all their spans here.
func NewCanary(t *testing.T, text string) *Canary {
	t.Helper()
	c := &Canary{Text: text}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if _, err := io.Copy(&c.traces, r.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(collector.Close)
	t.Setenv(config.Prefix+"TRACING__ENDPOINT", collector.URL)
	t.Setenv(config.Prefix+"TRACING__SAMPLE", "1")
	var err error
	if c.Logs, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Logs.Close() })
	return c
}

// Nowhere kills a child and looks for the canary in whatever it has left.
func (c *Canary) Nowhere(t *testing.T, child *Child) {
	t.Helper()
	Until(t, "traced", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.traces.Len() > 0 })
	places := map[string][]byte{"metrics": Metrics(t, child.Service), "database": Dump(t), "redis": dumpRedis(t)}
	child.Kill()
	places["log"] = Read(t, c.Logs.Name())
	err := filepath.WalkDir(os.Getenv(config.Prefix+"STATE_DIR"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			places[path] = Read(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	places["traces"] = c.traces.Bytes()
	c.mu.Unlock()
	for place, raw := range places {
		c.Absent(t, place, raw)
		if len(raw) == 0 && !strings.HasSuffix(place, "lock") {
			t.Errorf("%s is empty", place)
		}
	}
}

// Absent fails the test if a place has the canary, as it is or encoded.
func (c *Canary) Absent(t *testing.T, place string, raw []byte) {
	t.Helper()
	if i := find(raw, c.Text); i >= 0 {
		t.Errorf("%s has the canary: %q", place, raw[max(0, i-200):min(len(raw), i+100)])
	}
}

// find says where raw has a text: in letters of any case, in hexadecimal, as Postgres dumps bytes, or in base64, where
// it may begin at any of three bytes. -1 is nowhere.
func find(raw []byte, text string) int {
	lower := bytes.ToLower(raw) // which may be longer
	for _, form := range []string{text, hex.EncodeToString([]byte(text))} {
		if i := bytes.Index(lower, []byte(form)); i >= 0 {
			return min(i, len(raw))
		}
	}
	for before := range 3 {
		padded := append(make([]byte, before), text...)
		encoded := base64.StdEncoding.EncodeToString(padded[:len(padded)/3*3])
		if i := bytes.Index(raw, []byte(encoded[(before*8+5)/6:])); i >= 0 {
			return i
		}
	}
	return -1
}

// Read is a file.
func Read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Metrics are what a service says of itself.
func Metrics(t *testing.T, s Service) []byte {
	t.Helper()
	_, raw, err := get(s.Base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Dump is the whole database as pg_dump writes it.
func Dump(t *testing.T) []byte {
	t.Helper()
	programs, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_dump")
	if err != nil || len(programs) == 0 {
		t.Fatal("there is no pg_dump")
	}
	server := postgrestest.Server(t)
	name := os.Getenv(config.Prefix + "MAPPER_DATABASE__NAME")
	raw, err := exec.CommandContext(t.Context(), programs[0], server[:strings.LastIndex(server, "/")+1]+name).Output() //nolint:gosec // it is Debian's
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// dumpRedis is every key with its value, which Redis is told not to compress.
func dumpRedis(t *testing.T) []byte {
	t.Helper()
	ctx := context.Background()
	c := Settings(t).Redis
	db := goredis.NewClient(&goredis.Options{Addr: net.JoinHostPort(c.Host, fmt.Sprint(c.Port)), Password: string(c.Password)})
	defer db.Close()
	if err := db.ConfigSet(ctx, "rdbcompression", "no").Err(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	keys := db.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		value, err := db.Dump(ctx, keys.Val()).Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			t.Fatal(err)
		}
		out.WriteString(keys.Val() + value)
	}
	if err := keys.Err(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
