package pii

import (
	"net/netip"
	"slices"
	"strings"
)

func fields(s string) func(func(string) bool) { return strings.FieldsSeq(s) }

// The longest parts of an e-mail address.
const (
	maxLocal, maxDomain = 64, 253
)

// email tries an e-mail address whose local part ends with a word.
func (s *scan) email(i int) {
	at := s.words[i].end
	start, end := s.words[i].start, at+1
	for start > 0 && at-start < maxLocal && local(s.content[start-1]) {
		start--
	}
	for start < at && strings.IndexByte(".-+%'", s.content[start]) >= 0 {
		start++
	}
	for end < len(s.content) && end-at <= maxDomain && domain(s.content[end]) {
		end++
	}
	for end > at+1 && strings.IndexByte(".-", s.content[end-1]) >= 0 {
		end--
	}
	name, host := s.content[start:at], s.content[at+1:end]
	if start > 0 && (s.content[start-1] == '@' || letter(s.content, start-1)) || strings.Contains(name, "..") || strings.Contains(host, "..") {
		return
	}
	dot := strings.LastIndexByte(host, '.')
	if dot <= 0 || !topLevel(host[dot+1:]) || host[0] == '-' || letter(s.content, end) {
		return
	}
	if start > 0 && strings.IndexByte(":/", s.content[start-1]) >= 0 && strings.Contains(s.content[max(0, start-maxLocal):start], "://") {
		return // what is before a host in a URL is who logs in
	}
	if name == "git" && end < len(s.content) && (s.content[end] == ':' || s.content[end] == '/') {
		return
	}
	score, why := 0.95, ""
	if near(s.words, i, i, ofMail) > 0 {
		score, why = 1, "; raised by a word near"
	}
	s.add("EMAIL_ADDRESS", score, start, end, "email: local part, domain, top level"+why)
}

func local(c byte) bool {
	return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("._%+-'", c) >= 0
}

func domain(c byte) bool {
	return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '.' || c == '-'
}

// topLevel says whether a domain can end so, and is not a file's name.
func topLevel(s string) bool {
	if len(s) < 2 || len(s) > 24 {
		return false
	}
	if strings.HasPrefix(strings.ToLower(s), "xn--") {
		return true
	}
	for i := range len(s) {
		if s[i]|0x20 < 'a' || s[i]|0x20 > 'z' {
			return false
		}
	}
	return !slices.Contains([]string{"png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "html", "json", "yaml", "service", "timer", "socket"}, strings.ToLower(s))
}

// maxIP is the length of the longest IPv6 address.
const maxIP = 45

// address tries IP and MAC addresses.
func (s *scan) address(i int) {
	start := s.words[i].start
	end := s.words[i].end
	if end >= len(s.content) || start > 0 && strings.IndexByte(".-_", s.content[start-1]) >= 0 && letter(s.content, start-2) {
		return
	}
	switch s.content[end] {
	case '.':
		if s.words[i].digits == end-start {
			s.ipv4(i)
		}
	case ':', '-':
		s.mac(i)
		if s.content[end] == ':' {
			s.ipv6(i)
		}
	}
	if end-start == 4 {
		s.mac(i)
	}
}

func (s *scan) ipv4(i int) {
	start, end := s.words[i].start, s.words[i].start
	for end < len(s.content) && end-start < 16 && (digit(s.content[end]) || s.content[end] == '.') {
		end++
	}
	for end > start && s.content[end-1] == '.' {
		end--
	}
	if letter(s.content, end) || goesOn(s.content, start) || end < len(s.content) && strings.IndexByte("-_@", s.content[end]) >= 0 && letter(s.content, end+1) {
		return
	}
	ip, err := netip.ParseAddr(s.content[start:end])
	if err != nil || !ip.Is4() {
		return
	}
	told := near(s.words, i, i+3, ofIP) > 0
	b := ip.As4()
	small := b[0] < 20 && b[1] < 20 && b[2] < 20 && b[3] < 20 // as versions and sections are
	if small && (!told || near(s.words, i, i+3, ofVersion) > 0) || near(s.words, i, i, ofVersion) == 1 {
		return
	}
	s.ip(ip, start, end, told)
}

func (s *scan) ip(ip netip.Addr, start, end int, told bool) {
	if ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() || ip.String() == "255.255.255.255" || ip.Is4() && ip.As4()[0] == 255 {
		return // of no one
	}
	score, why := 0.7, ""
	if ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		score, why = 0.6, "; lowered for a private range"
	}
	if told {
		score, why = score+0.25, why+"; raised by a word near"
	}
	s.add("IP_ADDRESS", score, start, end, "ip: parses"+why)
}

func (s *scan) ipv6(i int) {
	start := s.words[i].start
	if start > 0 && s.content[start-1] == ':' {
		return
	}
	end, colons := start, 0
	for end < len(s.content) && end-start <= maxIP && (hex(s.content[end]) || s.content[end] == ':' || s.content[end] == '.') {
		if s.content[end] == ':' {
			colons++
		}
		end++
	}
	for end > start && (s.content[end-1] == '.' || s.content[end-1] == ':' && !strings.HasSuffix(s.content[start:end], "::")) {
		end--
	}
	if colons < 2 || letter(s.content, end) || !strings.ContainsAny(s.content[start:end], "0123456789") {
		return
	}
	ip, err := netip.ParseAddr(s.content[start:end])
	if err != nil || !ip.Is6() || colons < 3 && !ip.IsGlobalUnicast() && !ip.IsLinkLocalUnicast() {
		return
	}
	if first := ip.As16()[0]; first>>5 != 1 && first>>1 != 0x7e && !ip.IsLinkLocalUnicast() && !ip.Is4In6() {
		return // no one has such an address
	}
	last := i
	for last+1 < len(s.words) && s.words[last+1].start < end {
		last++
	}
	s.ip(ip, start, end, near(s.words, i, last, ofIP) > 0)
}

func hex(c byte) bool { return digit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }

// mac tries six pairs of hexadecimal digits, or three groups of four with dots.
func (s *scan) mac(i int) {
	start := s.words[i].start
	for _, form := range []string{"hh:hh:hh:hh:hh:hh", "hh-hh-hh-hh-hh-hh", "hhhh.hhhh.hhhh"} {
		end := start + len(form)
		if end > len(s.content) {
			continue
		}
		fits, letters, zeros := true, 0, 0
		for k := 0; k < len(form) && fits; k++ {
			c := s.content[start+k]
			if form[k] == 'h' {
				fits = hex(c)
				if !digit(c) {
					letters++
				}
				if c == '0' || c|0x20 == 'f' {
					zeros++
				}
			} else {
				fits = c == form[k]
			}
		}
		if !fits || zeros == 12 || letter(s.content, end) || end < len(s.content) && s.content[end] == form[len(form)-3] && end+1 < len(s.content) && hex(s.content[end+1]) {
			continue
		}
		if start > 1 && s.content[start-1] == ':' && hex(s.content[start-2]) {
			continue // in the middle of a fingerprint
		}
		told := near(s.words, i, i+5, ofMAC) > 0
		switch {
		case told:
			s.add("MAC_ADDRESS", 0.97, start, end, "mac: six bytes; raised by a word near")
		case letters > 0 && form[2] == ':', letters > 1:
			s.add("MAC_ADDRESS", 0.7, start, end, "mac: six bytes")
		}
	}
}
