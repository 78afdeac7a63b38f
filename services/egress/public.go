package egress

import (
	"net/netip"
	"slices"
)

// special are the networks that are not of the public internet, by IANA's registries of special-purpose addresses. Of
// IPv6 all is special but 2000::/3, of which these are taken out, and the translation of IPv4.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"168.63.129.16/32",           // Azure's own services for a virtual machine
	"2001::/23", "2001:db8::/32", // Teredo and other protocols, documentation
	"2002::/16", "3fff::/20", // 6to4, documentation
)

var (
	unicast    = netip.MustParsePrefix("2000::/3")
	translated = netip.MustParsePrefix("64:ff9b::/96") // NAT64: IPv4 in the last four bytes
)

func prefixes(all ...string) (out []netip.Prefix) {
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// public says whether an address, which is no IPv4 mapped into IPv6, is of the public internet.
func public(a netip.Addr) bool {
	if translated.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is6() && !unicast.Contains(a) {
		return false
	}
	return a.IsValid() && !slices.ContainsFunc(special, func(n netip.Prefix) bool { return n.Contains(a) })
}
