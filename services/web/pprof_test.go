package web

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPprof(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- Pprof(ctx, port) }()
	base := "http://" + free.Addr().String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	get := func(path string) (int, string) {
		res, err := client.Get(base + path)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(body)
	}
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		if status, body := get("/debug/pprof/"); status == 200 && strings.Contains(body, "goroutine") {
			break
		} else if time.Now().After(until) {
			t.Fatal(status, body)
		}
	}
	if status, body := get("/debug/pprof/goroutine?debug=1"); status != 200 || !strings.Contains(body, "servePprof") {
		t.Errorf("%d %.100s", status, body)
	}
	if status, _ := get("/"); status != 404 {
		t.Errorf("/: %d", status)
	}
	// A profile that runs does not hold up the end.
	profile := make(chan int, 1)
	go func() {
		status, _ := get("/debug/pprof/trace?seconds=30")
		profile <- status
	}()
	time.Sleep(100 * time.Millisecond)
	stopped := time.Now()
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
	<-profile
	if took := time.Since(stopped); took > 5*time.Second {
		t.Errorf("the profile ended after %v", took)
	}
	if status, _ := get("/debug/pprof/"); status != 0 {
		t.Errorf("it still answers: %d", status)
	}
}

func TestPprofPortIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if err := Pprof(t.Context(), taken.Addr().(*net.TCPAddr).Port); err == nil || !strings.Contains(err.Error(), "http.pprof_port") {
		t.Error(err)
	}
}

func TestPprofIsOff(t *testing.T) {
	if err := Pprof(t.Context(), 0); err != nil {
		t.Error(err)
	}
	s := serve(t, nil)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof", "/debug/pprof/heap", "/debug/vars", "/debug"} {
		if res := s.send(t, request("GET", path, "")); res.StatusCode() != 404 {
			t.Errorf("%s: %d", path, res.StatusCode())
		}
	}
}
