// Package egress is the way out for requests to URLs that a tenant has set. A tenant could name what only we can reach:
// this host, the database, the cloud's metadata. So a URL is looked at when it is set, and every connection again, at
// the address that it is about to be made to: whatever a name resolves to, and however often that changes, nothing
// is connected to that was not looked at. Redirects are the caller's to refuse; fasthttp's clients do not follow them.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxURL  = 2048            // bytes
	connect = 5 * time.Second // for a connection whose caller does not say
)

// ErrRefused says that an address is none that tenants may name. Its text and those of what wraps it have the host of
// the URL at most.
var ErrRefused = errors.New("the address is not on the public internet, nor in egress.allowed_networks")

// Guard decides which addresses may be connected to: those of the public internet, by TLS, and those of the allowed
// networks, also without. It is safe for concurrent use.
type Guard struct {
	allowed  []netip.Prefix
	plain    bool          // for connections without TLS
	resolver *net.Resolver // a test's; nil is the system's
}

// New makes a guard that lets through to the networks beside the public internet.
func New(allowed []netip.Prefix) *Guard { return &Guard{allowed: allowed} }

// For is the guard for connections of a URL: without TLS they go to the allowed networks only.
func (g *Guard) For(u *url.URL) *Guard {
	return &Guard{allowed: g.allowed, plain: u.Scheme != "https", resolver: g.resolver}
}

var (
	hostShape = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$`)
	numeric   = regexp.MustCompile(`(^|\.)(0[xX][0-9A-Fa-f]*|[0-9]+)$`) // which some read as an address: 127.1, 0x7f000001
)

// Check reads a URL that a tenant has set. What its name resolves to is not asked here: that is looked at for each
// connection.
func (g *Guard) Check(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("the URL has more than %d bytes", maxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("it is no URL; write it as https://host/path") // err quotes it
	}
	host := u.Hostname()
	addr, literal := netip.ParseAddr(host)
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL must begin with https:// or, for an allowed network, with http://")
	case u.User != nil:
		return nil, errors.New("the URL must have no user and password; there are fields for them")
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, errors.New("the URL must have no fragment")
	case u.Opaque != "" || host == "":
		return nil, errors.New("the URL must have a host")
	case literal != nil && (len(host) > 253 || !hostShape.MatchString(host) || numeric.MatchString(host)):
		return nil, errors.New("the host must be a name in ASCII, or an address in its usual form")
	case !goodPort(u):
		return nil, errors.New("the port must be 80, 443, or 1024 to 65535")
	case u.Scheme == "http" && len(g.allowed) == 0:
		return nil, errors.New("the URL must begin with https://; http:// is for egress.allowed_networks, and there are none")
	case literal == nil && !g.For(u).permits(addr):
		return nil, ErrRefused
	}
	return u, nil
}

// goodPort keeps tenants from talking to what speaks no HTTP.
func goodPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.Atoi(u.Port())
	return err == nil && (n == 80 || n == 443 || n >= 1024 && n <= 65535)
}

// Dial connects to host:port if the guard permits the address. It is a fasthttp.DialFuncWithTimeout.
func (g *Guard) Dial(addr string, timeout time.Duration) (net.Conn, error) {
	if timeout <= 0 {
		timeout = connect
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return g.DialContext(ctx, "tcp", addr)
}

// DialContext is Dial for net/http.
func (g *Guard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: connect, Resolver: g.resolver, Control: g.control}
	return d.DialContext(ctx, network, addr)
}

// control is asked for each address, right before the socket connects to it.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !g.permits(at.Addr()) {
		return ErrRefused
	}
	return nil
}

// permits says whether the guard lets through to an address.
func (g *Guard) permits(a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" {
		return false
	}
	if slices.ContainsFunc(g.allowed, func(n netip.Prefix) bool { return n.Contains(a) }) {
		return true
	}
	return !g.plain && public(a)
}
