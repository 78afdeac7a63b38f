package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/llama-mapper/llama-mapper/services/egress"
)

const (
	maxConns    = 64              // to a detector at once
	maxPending  = 4 * maxConns    // requests that have a connection or wait for one
	maxAnswer   = 1 << 20         // bytes of a body
	maxHeader   = 16 << 10        // bytes; clouds send several KB
	connectTime = 5 * time.Second // for a connection, with TLS
	idleTime    = 4 * time.Second // less than common servers keep a connection: uvicorn has 5 s
)

// trust is the certificates that are believed beside the system's; nil is none.
type trust = *x509.CertPool

// caller sends requests to one host.
type caller struct {
	client *fasthttp.HostClient
	work   *work
	dial   fasthttp.DialFuncWithTimeout
	addr   string
}

func newCaller(u *url.URL, guard *egress.Guard, trusted trust, w *work) *caller {
	secure := u.Scheme == "https"
	addr := fasthttp.AddMissingPort(u.Host, secure)
	dial := guard.For(u).Dial
	if secure {
		dial = dialTLS(dial, &tls.Config{ServerName: u.Hostname(), RootCAs: trusted, MinVersion: tls.VersionTLS12})
	}
	return &caller{dial: dial, addr: addr, work: w, client: &fasthttp.HostClient{
		Addr: addr, IsTLS: secure, DialTimeout: dial, Name: "llama-mapper",
		MaxConns: maxConns, MaxConnWaitTimeout: longest, MaxIdleConnDuration: idleTime,
		ReadTimeout: longest, WriteTimeout: longest, MaxResponseBodySize: maxAnswer, ReadBufferSize: maxHeader,
		MaxIdemponentCallAttempts: 1, RetryIfErr: func(*fasthttp.Request, int, error) (bool, bool) { return false, false },
		DisablePathNormalizing: true, SecureErrorLogMessage: true,
	}}
}

// dialTLS shakes hands in the same time that the connection has: fasthttp itself would give that the time of a write.
func dialTLS(dial fasthttp.DialFuncWithTimeout, config *tls.Config) fasthttp.DialFuncWithTimeout {
	return func(addr string, timeout time.Duration) (net.Conn, error) {
		if timeout <= 0 || timeout > connectTime {
			timeout = connectTime
		}
		until := time.Now().Add(timeout)
		plain, err := dial(addr, timeout)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithDeadline(context.Background(), until)
		defer cancel()
		conn := tls.Client(plain, config)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = plain.Close()
			return nil, err
		}
		return conn, nil
	}
}

// call sends a request, once, and gives the answer's body if its status is 2xx. fasthttp ends a request at its deadline,
// but knows no context: where ctx ends earlier, call returns and the request goes on until its deadline, and then its
// connection is closed. Close waits for that.
func (c *caller) call(ctx context.Context, req *fasthttp.Request) (string, error) {
	deadline := time.Now().Add(longest)
	own := true
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline, own = d, false
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if c.client.PendingRequests() >= maxPending {
		return "", again(ReasonBusy, 0)
	}
	res, done := &fasthttp.Response{}, make(chan error, 1)
	if !c.work.begin() {
		return "", failure(errClosed)
	}
	go func() {
		defer c.work.running.Done()
		done <- c.client.DoDeadline(req, res, deadline)
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case err := <-done:
		switch {
		case err == nil:
		case isTimeout(err) && !own && !time.Now().Before(deadline):
			return "", context.DeadlineExceeded // ctx is about to say so
		default:
			return "", failure(err)
		}
	}
	if err := refused(res); err != nil {
		return "", err
	}
	return string(res.Body()), nil
}

// connect makes a connection and closes it.
func (c *caller) connect(ctx context.Context) error {
	timeout := connectTime
	if d, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(d))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if timeout <= 0 {
		return context.DeadlineExceeded // ctx is about to say so
	}
	conn, err := c.dial(c.addr, timeout)
	if err != nil {
		return failure(err)
	}
	return conn.Close()
}

var errClosed = errors.New("the detector was removed")

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// isClosed says whether the connection could not be made, or ended before the answer did.
func isClosed(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fasthttp.ErrConnectionClosed) || errors.Is(err, errClosed)
}

// work counts what runs, so that it can be waited for.
type work struct {
	mu      sync.Mutex // guards stopped, and that nothing begins when it is set
	stopped bool
	running sync.WaitGroup
	life    context.Context // ends when stop is called
	end     context.CancelFunc
}

func newWork() *work {
	w := &work{}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// begin counts something, whose end is running.Done; false if work has stopped.
func (w *work) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.running.Add(1)
	}
	return !w.stopped
}

// stop lets nothing begin any more, and waits for what runs.
func (w *work) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.end()
	w.running.Wait()
}
