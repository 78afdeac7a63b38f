package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var loopback = prefixes("127.0.0.0/8", "::1/128")

func TestCheck(t *testing.T) {
	inside := New(prefixes("10.1.0.0/16", "fd00:1::/32"))
	for _, c := range []struct {
		guard *Guard
		url   string
		want  string // "" if it is taken
	}{
		{New(nil), "https://api.openai.com/v1", ""},
		{New(nil), "https://EXAMPLE.com:8443/a?api-version=1", ""},
		{New(nil), "https://detector.my_team.svc", ""},
		{New(nil), "https://93.184.216.34", ""},
		{New(nil), "https://[2606:2800:220:1::1]:443/", ""},
		{inside, "http://10.1.2.3:8000/api", ""},
		{inside, "http://[fd00:1::5]:8000/api", ""},
		{inside, "http://detector.internal:8000", ""}, // where that is, is looked at for each connection
		{inside, "https://10.1.2.3", ""},
		{New(nil), "", "begin with"},
		{New(nil), "api.openai.com/v1", "begin with"},
		{New(nil), "ftp://example.com", "begin with"},
		{New(nil), "file:///etc/passwd", "begin with"},
		{New(nil), "gopher://example.com", "begin with"},
		{New(nil), "http://example.com", "there are none"},
		{inside, "http://93.184.216.34", "not on the public"},
		{New(nil), "https://user:pass@example.com", "no user"},
		{New(nil), "https://a@example.com", "no user"},
		{New(nil), "https://example.com/#x", "no fragment"},
		{New(nil), "https://example.com/#", "no fragment"},
		{New(nil), "https://", "have a host"},
		{New(nil), "https:example.com", "have a host"},
		{New(nil), "https:///path", "have a host"},
		{New(nil), "https://exa mple.com", "no URL"},
		{New(nil), "https://example.com:http", "no URL"},
		{New(nil), "https://example.com:0", "port"},
		{New(nil), "https://example.com:22", "port"},
		{New(nil), "https://example.com:65536", "port"},
		{New(nil), "https://example.com:", "port"},
		{New(nil), "https://münchen.de", "in ASCII"},
		{New(nil), "https://.example.com", "in ASCII"},
		{New(nil), "https://-example.com", "in ASCII"},
		{New(nil), "https://2130706433", "in ASCII"},
		{New(nil), "https://0x7f000001", "in ASCII"},
		{New(nil), "https://127.1", "in ASCII"},
		{New(nil), "https://0177.0.0.1", "in ASCII"},
		{New(nil), "https://[fe80::1%25eth0]", "not on the public"},
		{New(nil), "https://127.0.0.1", "not on the public"},
		{New(nil), "https://169.254.169.254/latest/meta-data", "not on the public"},
		{New(nil), "https://[::ffff:169.254.169.254]", "not on the public"},
		{inside, "https://10.2.0.1", "not on the public"},
		{New(nil), "https://example.com/" + strings.Repeat("x", maxURL), "more than"},
	} {
		u, err := c.guard.Check(c.url)
		switch {
		case c.want == "" && (err != nil || u == nil):
			t.Errorf("%s: %v", c.url, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.url, err, c.want)
		}
	}
}

func TestPermits(t *testing.T) {
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1", "239.255.255.255",
		"240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0",
		"fec0::1", "ff02::1", "4000::1",
	} {
		if New(nil).permits(netip.MustParseAddr(a)) {
			t.Errorf("%s is let through", a)
		}
	}
	for _, a := range []string{"1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::1111", "2a00:1450::1"} {
		if !New(nil).permits(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	plain := &Guard{allowed: loopback, plain: true}
	if plain.permits(netip.MustParseAddr("1.1.1.1")) || !plain.permits(netip.MustParseAddr("127.0.0.1")) || !plain.permits(netip.MustParseAddr("::ffff:127.0.0.1")) {
		t.Error("without TLS the allowed networks are reached, and nothing else")
	}
	if New(nil).permits(netip.Addr{}) {
		t.Error("no address is let through")
	}
}

// listen counts what connects to it.
func listen(t *testing.T) (addr string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connections = new(atomic.Int32)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), connections
}

func TestDial(t *testing.T) {
	addr, connections := listen(t)
	c, err := New(loopback).Dial(addr, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, c) // until the listener has counted and closed it
	c.Close()
	if c, err := New(nil).Dial(addr, 0); !errors.Is(err, ErrRefused) {
		t.Errorf("%v, %v", c, err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if c, err := New(loopback).DialContext(ctx, "tcp", addr); err == nil {
		t.Errorf("%v in a context that has ended", c)
	}
}

// A name that resolves to an address which may be connected to when the URL is looked at, and to another when the
// connection is made, gets no connection, also where it has both.
func TestRebinding(t *testing.T) {
	addr, connections := listen(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	var answer atomic.Value
	g := New(prefixes("127.0.0.1/32"))
	g.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go resolve(server, func() []string { return answer.Load().([]string) })
		return client, nil
	}}
	target := "rebind.example.com:" + port
	dial := func(ips ...string) error {
		answer.Store(ips)
		c, err := g.Dial(target, time.Minute)
		if err == nil {
			io.Copy(io.Discard, c)
			c.Close()
		}
		return err
	}
	if _, err := g.Check("https://" + target); err != nil {
		t.Fatal(err)
	}
	if err := dial("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	g.allowed = prefixes("127.0.0.2/32") // from here on the listener is none that may be reached
	if err := dial("127.0.0.1"); !errors.Is(err, ErrRefused) {
		t.Errorf("rebound: %v", err)
	}
	if err := dial("127.0.0.1", "10.0.0.1"); !errors.Is(err, ErrRefused) {
		t.Errorf("two: %v", err)
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// resolve answers DNS questions over TCP until the other side has enough: with the addresses for A, with none for
// everything else.
func resolve(c net.Conn, ips func() []string) {
	defer c.Close()
	for {
		var length uint16
		if binary.Read(c, binary.BigEndian, &length) != nil {
			return
		}
		q := make([]byte, length)
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		end := 12
		for q[end] != 0 { // the name
			end += int(q[end]) + 1
		}
		end += 5
		a := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
		if binary.BigEndian.Uint16(q[end-4:]) == 1 {
			for _, ip := range ips() {
				a[7]++
				v4 := netip.MustParseAddr(ip).As4()
				a = append(append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), v4[:]...)
			}
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
			return
		}
	}
}

// Whatever is taken has the form that was promised, and an address in it is one that may be reached.
func FuzzCheck(f *testing.F) {
	for _, seed := range []string{"https://example.com/a?b=c", "http://127.0.0.1:8000", "https://[::ffff:10.0.0.1]:443", "https://a:b@c#d", "https://0x7f.1", "HTTPS://1.1.1.1:"} {
		f.Add(seed)
	}
	g := New(loopback)
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := g.Check(raw)
		if err != nil {
			return
		}
		if u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Fragment != "" || u.Host == "" || len(raw) > maxURL {
			t.Errorf("%q was taken", raw)
		}
		if a, err := netip.ParseAddr(u.Hostname()); err == nil && !g.For(u).permits(a) {
			t.Errorf("%q was taken, which has %v", raw, a)
		}
		again, err := g.Check(u.String())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(u) {
			t.Errorf("%q became %q, which is %v, %v", raw, u, again, err)
		}
	})
}
