//go:build llama

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/process/processtest"
)

// door is a way to a server that can be shut: then connections end, and new ones are refused.
type door struct {
	ln net.Listener
	to string

	mu    sync.Mutex // guards what follows
	shut  bool
	conns []net.Conn
}

func newDoor(t *testing.T, to string) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{ln: ln, to: to}
	t.Cleanup(func() { ln.Close(); d.set(true) })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			d.pass(in)
		}
	}()
	return d
}

func (d *door) pass(in net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, err := net.Dial("tcp", d.to)
	if err != nil || d.shut {
		in.Close()
		return
	}
	d.conns = append(d.conns, in, out)
	copyAll := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // it ends with either
		to.Close()
	}
	go copyAll(in, out)
	go copyAll(out, in)
}

func (d *door) set(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
	if shut {
		for _, c := range d.conns {
			c.Close()
		}
		d.conns = nil
	}
}

// While Postgres is away requests are answered, until the journal is full; then they are refused, and nothing that
// was answered is lost. With Postgres the mapper recovers by itself.
func TestPostgresAwayJournalFull(t *testing.T) {
	store := processtest.Store(t)
	k := processtest.Key(t, store, "me", "operator")
	c := processtest.Settings(t).DatabaseOf("mapper")
	d := newDoor(t, net.JoinHostPort(c.Host, fmt.Sprint(c.Port)))
	for _, service := range []string{"MAPPER", "ACCESS"} {
		t.Setenv(config.Prefix+service+"_DATABASE__PORT", fmt.Sprint(d.ln.Addr().(*net.TCPAddr).Port))
	}
	t.Setenv(config.Prefix+"AUDIT__JOURNAL_MB", "1")
	s := processtest.Serve(t, "mapper", build)
	batch, acknowledged := `{"requests":[`, 0
	for i := range 100 {
		batch += fmt.Sprintf(`%s{"detector":"azure","output":{"categoriesAnalysis":[{"category":"Hate","severity":%d}]}}`, map[bool]string{true: ",", false: ""}[i > 0], i%7)
	}
	batch += "]}"
	send := func() int {
		status := s.Do(t, "POST", "/api/v1/map/batch", k, batch, nil)
		if status == 200 {
			acknowledged += 100
		}
		return status
	}
	if status := send(); status != 200 {
		t.Fatal(status)
	}
	d.set(true)
	for n := 0; ; n++ {
		status := send()
		if status == 503 && n > 2 {
			break
		}
		if status != 200 || n == 1000 {
			t.Fatalf("batch %d: %d", n, status)
		}
	}
	var e api.Error
	for s.Do(t, "POST", "/api/v1/map", k, bomb, &e) == 200 { // a little still fits
		acknowledged++
	}
	if e.Code != api.Unavailable || !e.Retryable {
		t.Errorf("%+v", e)
	}
	if status := s.Do(t, "GET", "/health", "", "", nil); status != 200 {
		t.Error("not alive")
	}
	if status := s.Do(t, "GET", "/ready", "", "", &e); status != 503 {
		t.Errorf("ready: %d", status)
	}
	if status := s.Do(t, "GET", "/api/v1/events", k, "", &e); status != 503 {
		t.Errorf("the feed without Postgres: %d", status)
	}
	d.set(false)
	processtest.Until(t, "answering again", func() bool { return send() == 200 })
	processtest.Until(t, "ready", func() bool { return s.Do(t, "GET", "/ready", "", "", nil) == 200 })
	if seen := countEvents(t, s, k, acknowledged); seen != acknowledged {
		t.Errorf("%d events of %d answers; state in %s", seen, acknowledged, os.Getenv(config.Prefix+"STATE_DIR"))
	}
}

// countEvents counts a tenant's events once there are at least n.
func countEvents(t *testing.T, s processtest.Service, k string, n int) int {
	t.Helper()
	seen, after := 0, "0"
	processtest.Until(t, "complete", func() bool {
		var page api.EventsResponse
		if s.Do(t, "GET", "/api/v1/events?limit=1000&after="+after, k, "", &page) != 200 {
			return false
		}
		seen, after = seen+len(page.Events), page.Next
		return seen >= n
	})
	return seen
}

// A real disk that is full: no answer without a record, and answers again once there is room.
func TestDiskFull(t *testing.T) {
	store := processtest.Store(t)
	k := processtest.Key(t, store, "me", "operator")
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("no disk of its own without the right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	t.Run("served", func(t *testing.T) {
		t.Setenv(config.Prefix+"ACCESS__MASTER_KEY", strings.TrimSpace(string(processtest.Read(t, filepath.Join(os.Getenv(config.Prefix+"STATE_DIR"), "master.key")))))
		t.Setenv(config.Prefix+"STATE_DIR", filepath.Join(disk, "state"))
		s := processtest.Serve(t, "mapper", build)
		filler := filepath.Join(disk, "filler")
		for range 3 {
			if status := s.Do(t, "POST", "/api/v1/map", k, bomb, nil); status != 200 {
				t.Fatalf("with room: %d", status)
			}
			if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			var e api.Error
			processtest.Until(t, "refused", func() bool { return s.Do(t, "POST", "/api/v1/map", k, bomb, &e) == 503 }) // the last page has room
			if e.Code != api.Unavailable || s.Do(t, "GET", "/health", "", "", nil) != 200 {
				t.Errorf("%+v", e)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
		}
		processtest.Until(t, "answering again", func() bool { return s.Do(t, "POST", "/api/v1/map", k, bomb, nil) == 200 })
	})
}
