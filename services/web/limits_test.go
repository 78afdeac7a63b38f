package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// limited is a server with a route of each kind.
func limited(t *testing.T, o Options) *server {
	t.Helper()
	answer := func(rc *fasthttp.RequestCtx) error {
		return JSON(rc, 200, len(rc.PostBody()))
	}
	return serveTCP(t, o, func(r *Router) {
		r.gate = func(*fasthttp.RequestCtx, string) error { return nil }
		r.Handle("POST", "/body", Open, answer)
		r.Handle("GET", "/plain", Open, answer)
		r.Handle("PUT", "/keys/{id}", "admin", answer)
	})
}

// everywhere is a request of each kind: with a body or without, with a parameter, a probe, refused, and unknown.
var everywhere = []string{"POST /body", "GET /plain", "PUT /keys/7", "GET /health", "GET /ready", "GET /metrics", "DELETE /body", "GET /nowhere", "BREW /tea"}

func TestSizes(t *testing.T) {
	s := limited(t, options())
	f := func(raw string, status int) {
		t.Helper()
		res := s.send(t, raw)
		var e api.Error
		if res.StatusCode() != status || status >= 400 && (json.Unmarshal(res.Body(), &e) != nil || e.RequestID == "") {
			t.Errorf("%.60q: %d %.200s", raw, res.StatusCode(), res.Body())
		}
	}
	large := strings.Repeat("x", api.MaxBody+1)
	for _, line := range everywhere {
		start := line + " HTTP/1.1\r\nHost: x\r\n"
		f(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", start, len(large), large), 413)
		f(fmt.Sprintf("%sContent-Length: %d\r\n\r\n", start, 1<<40), 413) // refused before it is there
		f(fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", start, len(large), large), 413)
		f(fmt.Sprintf("%sX-Big: %s\r\n\r\n", start, strings.Repeat("x", maxHeader)), 400)
		f(start+strings.Repeat("X-Many: x\r\n", maxHeader/11+1)+"\r\n", 400)
		method, path, _ := strings.Cut(line, " ")
		f(request(method, path+"?"+strings.Repeat("x", maxURI), ""), 400)
		f(request(method, path+"/"+strings.Repeat("x", maxHeader), ""), 400)
	}
	full := strings.Repeat("x", api.MaxBody)
	f(request("POST", "/body", full), 200)
	f(request("POST", "/body?"+strings.Repeat("x", maxURI-len("/body?")), full), 200)
	f(request("GET", "/nowhere?"+strings.Repeat("x", maxURI-len("/nowhere?")), ""), 404)
	f(request("POST", "/body", "no form", "Content-Type: multipart/form-data; boundary=b"), 200) // bytes like any others
}

// A client that sends all of a refused request before it reads gets the answer.
func TestRefusedUpload(t *testing.T) {
	send := func(s *server, line string, want string) {
		t.Helper()
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", line, 8<<20, strings.Repeat("x", 8<<20)); err != nil {
			t.Errorf("%s: sending: %v", line, err)
		}
		got := make([]byte, len("HTTP/1.1 413"))
		if _, err = io.ReadFull(conn, got); err != nil || string(got) != "HTTP/1.1 "+want {
			t.Errorf("%s: %q %v", line, got, err)
		}
	}
	s := limited(t, options())
	for _, line := range everywhere {
		send(s, line, "413")
	}
	send(serveTCP(t, options(), func(r *Router) {
		r.gate = func(*fasthttp.RequestCtx, string) error { return api.Errorf(api.Unauthorized, "no key") }
		r.HandleStream("POST", "/stream", "admin", func(*fasthttp.RequestCtx) error { return nil })
	}), "POST /stream", "401")
}

// A client that sends a byte now and then gets no longer than one that sends nothing.
func TestSlowClients(t *testing.T) {
	o := options()
	o.ReadTimeout = 200 * time.Millisecond
	s := limited(t, o)
	// f sends what comes before at once, and drips the rest, which never ends.
	f := func(name string, first bool, before, drip string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if !first { // the second request of a connection has other deadlines in fasthttp
				io.WriteString(conn, request("GET", "/plain", ""))
				read(t, conn)
			}
			io.WriteString(conn, before)
			go func() {
				for {
					if _, err := io.WriteString(conn, drip); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
			conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // the drip would go on for longer
			status := make([]byte, len("HTTP/1.1 408"))
			_, err = io.ReadFull(conn, status)
			if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && string(status) != "HTTP/1.1 408" {
				t.Errorf("got %q, %v", status, err)
			}
			if took := time.Since(start); took < o.ReadTimeout/2 {
				t.Errorf("it took no more than %v", took)
			}
		})
	}
	for _, first := range []bool{true, false} {
		f(fmt.Sprintf("request line/%v", first), first, "GET /", "x")
		for _, line := range everywhere {
			start := line + " HTTP/1.1\r\nHost: x\r\n"
			f(fmt.Sprintf("headers %s/%v", line, first), first, start+"X-Slow: ", "x")
			f(fmt.Sprintf("body %s/%v", line, first), first, start+"Content-Length: 1000\r\n\r\n", "x")
		}
		f(fmt.Sprintf("chunks/%v", first), first, "POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n")
	}
	f("nothing", true, "", "")
}

// A client that reads no answer does not keep its connection.
func TestSlowReader(t *testing.T) {
	o := options()
	o.WriteTimeout = 100 * time.Millisecond
	s := serveTCP(t, o, func(r *Router) {
		large := make([]byte, 64<<20) // more than the kernel keeps for either side
		r.Handle("GET", "/large", Open, func(rc *fasthttp.RequestCtx) error {
			rc.Response.SetBodyRaw(large)
			return nil
		})
	})
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, request("GET", "/large", ""))
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * o.WriteTimeout)
	n, err := io.Copy(io.Discard, conn)
	if n >= 64<<20 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// One address has half of the connections, a trusted proxy as many as it likes.
func TestFairConnections(t *testing.T) {
	o := options()
	o.Connections = 8
	f := func(trusted []netip.Prefix, most int) {
		t.Helper()
		s := serveTCP(t, o, func(r *Router) { r.Trust(trusted) })
		var open []net.Conn
		// alive says whether a further connection is served; it stays open if so.
		alive := func() bool {
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, request("GET", "/health", ""))
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, _ := conn.Read(make([]byte, 1)); n == 0 {
				conn.Close()
				return false
			}
			open = append(open, conn)
			return true
		}
		for len(open) < most {
			if !alive() {
				t.Fatalf("%d of %d", len(open), most)
			}
		}
		if most < o.Connections && alive() {
			t.Errorf("more than %d", most)
		}
		open[0].Close()
		for until := time.Now().Add(5 * time.Second); !alive(); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("what was closed was not released")
			}
		}
		for _, conn := range open {
			conn.Close()
		}
		if n := strings.Count(s.logs.String(), "half of http.connections"); n != map[bool]int{true: 1}[trusted == nil] || strings.Contains(s.logs.String(), "127.0.0.1") {
			t.Errorf("the log has %d lines of it: %s", n, s.logs)
		}
	}
	f(nil, 4)
	f([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, 8)
}
