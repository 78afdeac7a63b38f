package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/api"
)

// streaming is a server with a route that counts what it is sent and one that sends what it is asked for.
func streaming(t *testing.T, patience time.Duration) *server {
	t.Helper()
	o := options()
	o.ReadTimeout = patience
	return serveTCP(t, o, func(r *Router) {
		r.HandleStream("POST", "/up", Open, func(rc *fasthttp.RequestCtx) error {
			n, err := io.Copy(io.Discard, Body(rc))
			if err != nil {
				return err
			}
			return JSON(rc, 200, n)
		})
		r.Handle("GET", "/down", Open, func(rc *fasthttp.RequestCtx) error {
			n := rc.QueryArgs().GetUintOrZero("n")
			return Stream(rc, "text/plain", io.NopCloser(io.LimitReader(letters{}, int64(n))))
		})
		r.Handle("GET", "/broken", Open, func(rc *fasthttp.RequestCtx) error {
			return Stream(rc, "text/plain", io.NopCloser(io.MultiReader(strings.NewReader("half"), failing{})))
		})
		r.Handle("POST", "/body", Open, func(rc *fasthttp.RequestCtx) error { return JSON(rc, 200, len(rc.PostBody())) })
	})
}

type letters struct{}

func (letters) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("a cause") }

func url(t *testing.T, s *server, path string) string {
	t.Helper()
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return "http://" + conn.RemoteAddr().String() + path
}

// What comes at a pace may take longer than a whole request, in chunks or with its length said, and connections go on.
func TestUpload(t *testing.T) {
	t.Parallel()
	s := streaming(t, 2*time.Second)
	up := url(t, s, "/up")
	f := func(length int64) {
		in, out := io.Pipe()
		go func() {
			for range 20 {
				out.Write(make([]byte, pace))
				time.Sleep(150 * time.Millisecond)
			}
			out.Close()
		}()
		req, err := http.NewRequest(http.MethodPost, up, in)
		if err != nil {
			t.Error(err)
			return
		}
		req.ContentLength = length
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		if raw, err := io.ReadAll(res.Body); err != nil || string(raw) != fmt.Sprintln(20*pace) {
			t.Errorf("%d %s %v", res.StatusCode, raw, err)
		}
	}
	var both sync.WaitGroup
	both.Go(func() { f(-1) })
	both.Go(func() { f(20 * pace) })
	both.Wait()
	http.DefaultClient.CloseIdleConnections()
	for _, n := range []int{0, 1, prefetched, prefetched + 1, api.MaxBody} {
		for _, path := range []string{"/up", "/body"} {
			body := strings.Repeat("x", n)
			if res := s.send(t, request("POST", path, body)); res.StatusCode() != 200 || string(res.Body()) != fmt.Sprintln(n) {
				t.Errorf("%s %d: %d %s", path, n, res.StatusCode(), res.Body())
			}
			chunks := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", path)
			if n > 0 {
				chunks += fmt.Sprintf("%x\r\n%s\r\n", n, body)
			}
			if res := s.send(t, chunks+"0\r\n\r\n"); res.StatusCode() != 200 || string(res.Body()) != fmt.Sprintln(n) {
				t.Errorf("%s %d in chunks: %d %s", path, n, res.StatusCode(), res.Body())
			}
		}
	}
}

// Two requests on one connection, the first with a body of any size, are two requests.
func TestBodiesEnd(t *testing.T) {
	s := streaming(t, time.Second)
	for _, n := range []int{0, 1, prefetched, prefetched + 1, api.MaxBody} {
		for _, path := range []string{"/up", "/body", "/health", "/nowhere"} {
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			go io.WriteString(conn, request("POST", path, strings.Repeat("x", n))+request("POST", "/body", "seven.."))
			in := bufio.NewReader(conn)
			var first, second fasthttp.Response
			if err := errors.Join(first.Read(in), second.Read(in)); err != nil || string(second.Body()) != "7\n" {
				t.Errorf("%s %d: %d, then %s, %v", path, n, first.StatusCode(), second.Body(), err)
			}
			conn.Close()
		}
	}
}

// A client that drips into a stream, or into a body behind what fasthttp reads ahead, is told so.
func TestSlowUpload(t *testing.T) {
	s := streaming(t, 200*time.Millisecond)
	for name, start := range map[string]string{
		"stream":        "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", prefetched),
		"stream chunks": "POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nf0000\r\n",
		"body":          "POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("x", prefetched),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := s.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, start)
			go func() {
				for {
					if _, err := io.WriteString(conn, "x"); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
			conn.SetReadDeadline(time.Now().Add(20 * time.Second)) // the drip would go on for longer
			if res := read(t, conn); res.StatusCode() != 408 || !res.ConnectionClose() {
				t.Errorf("%d %s", res.StatusCode(), res.Body())
			}
		})
	}
}

// A stream out comes whole at a pace, and is broken off when the client does not read or the source fails.
func TestDownload(t *testing.T) {
	t.Parallel()
	s := streaming(t, 250*time.Millisecond)
	defer http.DefaultClient.CloseIdleConnections()
	get := func(path string, first, pause time.Duration) (int, error) {
		t.Helper()
		res, err := http.Get(url(t, s, path))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		n := 0
		for buf := make([]byte, 64<<10); ; {
			more, err := io.ReadFull(res.Body, buf)
			n += more
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && more > 0 && n == 4<<20 {
				return n, nil
			}
			if err != nil {
				return n, err
			}
			time.Sleep(first + pause)
			first = 0
		}
	}
	if n, err := get(fmt.Sprint("/down?n=", 4<<20), 0, 50*time.Millisecond); n != 4<<20 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if n, err := get(fmt.Sprint("/down?n=", 64<<20), 6*time.Second, 0); n == 64<<20 || err == nil {
		t.Errorf("a client that stopped reading got all of it: %v", err)
	}
	if _, err := get("/broken", 0, 0); err == nil {
		t.Error("a stream that failed looks whole")
	}
}

// A stop breaks streams off: an upload is told to go elsewhere.
func TestStreamsDrain(t *testing.T) {
	s := streaming(t, 5*time.Second)
	conn, err := s.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 2*prefetched))
	time.Sleep(50 * time.Millisecond)
	s.stop()
	for !s.draining.Load() {
		time.Sleep(time.Millisecond)
	}
	go func(c net.Conn) {
		for i := 0; i < 100; i++ {
			if _, err := c.Write(make([]byte, 100)); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}(conn)
	if res := read(t, conn); res.StatusCode() != 503 {
		t.Errorf("%d %s", res.StatusCode(), res.Body())
	}
}
