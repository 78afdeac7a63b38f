package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, do func(context.Context, Command) Reply) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Socket)
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, ln, do) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestSend(t *testing.T) {
	path := start(t, func(_ context.Context, c Command) Reply {
		if c.Action != "canary" {
			return Reply{Active: "a@1", Error: "no such action"}
		}
		return Reply{Active: "a@1", Canary: c.Version, Percent: c.Percent}
	})
	got, err := Send(context.Background(), path, Command{Action: "canary", Version: "a@2", Percent: 5})
	if err != nil || got != (Reply{Active: "a@1", Canary: "a@2", Percent: 5}) {
		t.Error(got, err)
	}
	if _, err := Send(context.Background(), path, Command{Action: "x"}); err == nil || err.Error() != "no such action" {
		t.Error(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another service") {
		t.Error(err)
	}
}

func TestGarbage(t *testing.T) {
	path := start(t, func(context.Context, Command) Reply { t.Error("carried out"); return Reply{} })
	for _, in := range []string{"{}x", `{"unknown":1}`, "[]", strings.Repeat(" ", maxMessage+1)} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if in == "{}x" {
			in = "x"
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Write([]byte(in)); err != nil && len(in) < maxMessage {
			t.Error(err)
		}
		out := make([]byte, 200)
		if n, _ := c.Read(out); len(in) < maxMessage && !strings.Contains(string(out[:n]), "not a command") {
			t.Errorf("%q: %q", in, out[:n])
		}
		_ = c.Close()
	}
}

func TestNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), Socket)
	if _, err := Send(context.Background(), path, Command{}); !errors.Is(err, ErrNobody) {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left by a process that was killed
		t.Fatal(err)
	}
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
}
