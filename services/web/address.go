package web

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"

	"github.com/valyala/fasthttp"
)

// routerKey is where a request's router is kept.
type routerKey struct{}

// ParseNetworks reads networks such as 10.0.0.0/8.
func ParseNetworks(names []string) ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, len(names))
	for i, name := range names {
		p, err := netip.ParsePrefix(name)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network such as 10.0.0.0/8", name)
		}
		networks[i] = p
	}
	return networks, nil
}

// Trust names the networks of the proxies in front of us: their X-Forwarded-For and traceparent are believed. It must
// not be called once the router serves.
func (r *Router) Trust(networks []netip.Prefix) {
	r.trusted = make([]netip.Prefix, len(networks))
	for i, p := range networks {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96) // peers are unmapped, too
		}
		r.trusted[i] = p
	}
}

func (r *Router) trusts(a netip.Addr) bool {
	for _, p := range r.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// ClientIP is the address that a request came from: the peer's, or behind trusted proxies the one that the outermost
// of them saw. It is the zero Addr where the listener has no addresses, and never text that a client made up.
func ClientIP(rc *fasthttp.RequestCtx) netip.Addr {
	r, ok := rc.UserValue(routerKey{}).(*Router)
	if !ok {
		return peer(rc)
	}
	return client(peer(rc), rc.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor), r.trusts)
}

// client walks X-Forwarded-For from its end, where the nearest proxy has written, to its beginning, where anyone may
// have. Each entry is believed because the address after it is a trusted proxy's; one that is no address ends the walk.
func client(peer netip.Addr, forwarded [][]byte, trusts func(netip.Addr) bool) netip.Addr {
	believed := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		for line, more := forwarded[i], true; more; {
			if !trusts(believed) {
				return believed
			}
			entry := line
			comma := bytes.LastIndexByte(line, ',')
			if more = comma >= 0; more {
				line, entry = line[:comma], line[comma+1:]
			}
			next, ok := parseEntry(string(bytes.TrimSpace(entry)))
			if !ok {
				return believed
			}
			believed = next
		}
	}
	return believed
}

// parseEntry reads an address, with or without a port. A zone is free text, and means nothing here.
func parseEntry(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		var p netip.AddrPort
		if p, err = netip.ParseAddrPort(s); err == nil {
			a = p.Addr()
		} else if n := len(s); n > 2 && s[0] == '[' && s[n-1] == ']' {
			if a, err = netip.ParseAddr(s[1 : n-1]); err == nil && !a.Is6() {
				return netip.Addr{}, false
			}
		}
	}
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// peer is who has connected.
func peer(rc *fasthttp.RequestCtx) netip.Addr { return addrOf(rc.RemoteAddr()) }

// addrOf is the address without a port and a zone; the zero Addr where there is none.
func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("")
}
