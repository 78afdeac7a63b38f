package web

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
)

// fairListener lets one address hold half of the connections at most, so that a single client cannot take them all by
// leaving them open. Half is no setting: it is far above what a client needs, and a proxy that holds more is trusted
// for its X-Forwarded-For anyway, and then exempt. fasthttp's MaxConnsPerIP knows no exemption, and writes a text
// from its accept loop.
type fairListener struct {
	net.Listener
	log    *slog.Logger
	most   int
	exempt func(netip.Addr) bool

	mu   sync.Mutex // guards open
	open map[netip.Prefix]int

	warned time.Time // owned by Accept
}

func newFairListener(ln net.Listener, connections int, exempt func(netip.Addr) bool, log *slog.Logger) *fairListener {
	return &fairListener{Listener: ln, log: log, most: max(1, connections/2), exempt: exempt, open: map[netip.Prefix]int{}}
}

// Accept closes connections of an address that has enough, and returns the next other one. Only one goroutine accepts.
func (l *fairListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := addrOf(c.RemoteAddr())
		if !addr.IsValid() || l.exempt(addr) {
			return &fairConn{Conn: c, release: func() {}}, nil
		}
		if key := holder(addr); l.take(key) {
			return &fairConn{Conn: c, release: sync.OnceFunc(func() { l.release(key) })}, nil
		}
		_ = c.Close() // nothing was said on it
		if time.Since(l.warned) > time.Minute {
			l.warned = time.Now()
			l.log.Warn("one address holds half of http.connections and gets no more; a proxy must be in http.trusted_proxies", "held", l.most)
		}
	}
}

// holder is whom a connection is counted for: an IPv6 client has a whole /64.
func holder(a netip.Addr) netip.Prefix {
	bits := 32
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}

func (l *fairListener) take(key netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key] >= l.most {
		return false
	}
	l.open[key]++
	return true
}

func (l *fairListener) release(key netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[key]--; l.open[key] == 0 {
		delete(l.open, key)
	}
}

// fairConn is a connection that is counted until it is closed.
type fairConn struct {
	net.Conn
	release func()      // harmless when repeated
	refused atomic.Bool // a request of it was answered before all of it was read
}

// What is read, at most, of a refused request after its answer.
const (
	lateBytes = 16 << 20
	lateTime  = 2 * time.Second
)

// refuse marks a request's connection as one whose client may still be sending.
func refuse(rc *fasthttp.RequestCtx) {
	c := rc.Conn()
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if c, ok := c.(*fairConn); ok {
		c.refused.Store(true)
	}
}

// Close reads on for a moment where a request was refused: the kernel resets a connection that is closed with bytes
// unread, and the client would lose the answer.
func (c *fairConn) Close() error {
	defer c.release()
	if out, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.refused.Load() && out.CloseWrite() == nil {
		_ = c.SetReadDeadline(time.Now().Add(lateTime))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, lateBytes))
	}
	return c.Conn.Close()
}
