package web

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// from is a request from a peer with X-Forwarded-For headers.
func from(peer string, forwarded ...string) *fasthttp.RequestCtx {
	var req fasthttp.Request
	for _, line := range forwarded {
		req.Header.Add("X-Forwarded-For", line)
	}
	rc := &fasthttp.RequestCtx{}
	rc.Init(&req, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(peer)), nil)
	return rc
}

func trusting(t testing.TB, networks ...string) *Router {
	t.Helper()
	parsed, err := ParseNetworks(networks)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := local(nil, nil)
	r.Trust(parsed)
	return r
}

func TestClientIP(t *testing.T) {
	r := trusting(t, "10.0.0.0/8", "fd00::/8", "::ffff:172.16.0.0/108", "192.168.1.7/32")
	f := func(want, peer string, forwarded ...string) {
		t.Helper()
		rc := from(peer, forwarded...)
		rc.SetUserValue(routerKey{}, r)
		if got := ClientIP(rc).String(); got != want {
			t.Errorf("%s, %q: %s, want %s", peer, forwarded, got, want)
		}
	}
	// The peer is the client, whatever it says.
	f("1.2.3.4", "1.2.3.4:5")
	f("1.2.3.4", "1.2.3.4:5", "9.9.9.9")
	f("1.2.3.4", "[::ffff:1.2.3.4]:5", "9.9.9.9")
	f("2001:db8::1", "[2001:db8::1]:5", "9.9.9.9")
	f("fe80::1", "[fe80::1%eth0]:5")
	// A trusted proxy says who was before it.
	f("10.0.0.1", "10.0.0.1:5")
	f("9.9.9.9", "10.0.0.1:5", "9.9.9.9")
	f("9.9.9.9", "[::ffff:10.0.0.1]:5", "::ffff:9.9.9.9")
	f("9.9.9.9", "172.20.0.1:5", "9.9.9.9")
	f("9.9.9.9", "[fd00::1]:5", " 9.9.9.9:1234 ")
	f("2001:db8::1", "10.0.0.1:5", "2001:db8::1")
	f("2001:db8::1", "10.0.0.1:5", "[2001:db8::1]")
	f("2001:db8::1", "10.0.0.1:5", "[2001:db8::1]:443")
	f("9.9.9.9", "192.168.1.7:5", "9.9.9.9")
	f("192.168.1.8", "192.168.1.8:5", "9.9.9.9")
	// The right-most that is no proxy counts: what is left of it was made up by it.
	f("9.9.9.9", "10.0.0.1:5", "6.6.6.6, 9.9.9.9")
	f("9.9.9.9", "10.0.0.1:5", "6.6.6.6,9.9.9.9,10.0.0.3, 10.0.0.2")
	f("9.9.9.9", "10.0.0.1:5", "6.6.6.6", "9.9.9.9, 10.0.0.3", "10.0.0.2")
	f("9.9.9.9", "10.0.0.1:5", "junk, 9.9.9.9")
	f("10.0.0.3", "10.0.0.1:5", "10.0.0.3, 10.0.0.2")
	// What is no address ends the search.
	for _, bad := range []string{"junk", "", ",", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "fe80::1%zone", "[1.2.3.4]", "[]", "[", "]", "1.2.3.4:port", "1.2.3.4:99999", "01.2.3.4", "\"9.9.9.9\""} {
		f("10.0.0.1", "10.0.0.1:5", bad)
		f("10.0.0.2", "10.0.0.1:5", "9.9.9.9, "+bad+" ,10.0.0.2")
		f("10.0.0.2", "10.0.0.1:5", "9.9.9.9", bad, "10.0.0.2")
	}
	if got := ClientIP(from("1.2.3.4:5", "9.9.9.9")).String(); got != "1.2.3.4" {
		t.Errorf("without a router: %s", got)
	}
}

// A handler and a gate see the address, and a peer without one has none.
func TestClientIPInRouter(t *testing.T) {
	f := func(s *server, want string) {
		t.Helper()
		if got := string(s.send(t, request("GET", "/who", "", "X-Forwarded-For: 6.6.6.6, 9.9.9.9")).Body()); got != want+want {
			t.Errorf("%q, want %q twice", got, want)
		}
	}
	who := func(trusted ...netip.Prefix) func(*Router) {
		return func(r *Router) {
			r.Trust(trusted)
			r.gate = func(rc *fasthttp.RequestCtx, _ string) error {
				rc.Response.AppendBodyString(ClientIP(rc).String())
				return nil
			}
			r.Handle("GET", "/who", "who", func(rc *fasthttp.RequestCtx) error {
				rc.Response.AppendBodyString(ClientIP(rc).String())
				return nil
			})
		}
	}
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	f(serveTCP(t, options(), who()), "127.0.0.1")
	f(serveTCP(t, options(), who(loopback)), "9.9.9.9")
	f(serve(t, who(loopback)), "invalid IP")
}

func TestParseNetworks(t *testing.T) {
	if got, err := ParseNetworks([]string{"10.0.0.0/8", "::1/128"}); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ParseNetworks([]string{"10.0.0.0/8", "10.0.0.1"}); err == nil {
		t.Errorf("%v", got)
	}
}

// Whatever the header says, a peer that is not trusted is itself, and no other address is one that nobody wrote.
func FuzzClientIP(f *testing.F) {
	for _, seed := range []string{"", ",", "9.9.9.9", "6.6.6.6, 9.9.9.9,10.0.0.2", "[::1]:80", "::ffff:1.2.3.4", "[,]", "fe80::1%a"} {
		f.Add(seed, "9.9.9.9")
	}
	r := trusting(f, "10.0.0.0/8")
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := [][]byte{[]byte(first), []byte(second)}
		if got := client(netip.MustParseAddr("1.2.3.4"), lines, r.trusts); got.String() != "1.2.3.4" {
			t.Errorf("an untrusted peer became %s", got)
		}
		got := client(netip.MustParseAddr("10.0.0.1"), lines, r.trusts)
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q, %q: %v", first, second, got)
		}
		if got.String() == "10.0.0.1" {
			return
		}
		for _, entry := range strings.Split(first+","+second, ",") {
			if a, ok := parseEntry(strings.TrimSpace(entry)); ok && a == got {
				return
			}
		}
		t.Errorf("%q, %q: %v was made up", first, second, got)
	})
}
