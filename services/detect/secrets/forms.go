package secrets

import (
	"encoding/base64"
	"strings"
)

// begin is how an armoured key begins, and end how it ends.
const (
	begin = "-----BEGIN "
	end   = "-----END "
)

const (
	maxBlock  = 16 << 10
	maxToken  = 4096
	maxHeader = 512
)

// block tries an armoured private key.
func (s *scan) block(i int) {
	line := s.content[i : i+min(80, len(s.content)-i)]
	title, _, ok := strings.Cut(line[len(begin):], "-----")
	if !ok || !strings.Contains(title, "PRIVATE KEY") {
		return
	}
	if s.end < i { // searched for once for all that begin before it
		if k := strings.Index(s.content[i:], end); k >= 0 {
			s.end = i + k
		} else {
			s.end = len(s.content)
		}
	}
	head := len(begin) + len(title) + 5
	stop := min(i+maxBlock, s.end, len(s.content))
	body := s.content[i+head : max(i+head, stop)]
	if s.end < len(s.content) && s.end-i < maxBlock {
		if k := strings.IndexByte(s.content[s.end+len(end):min(len(s.content), s.end+80)], '-'); k >= 0 {
			stop = min(s.end+len(end)+k+5, len(s.content))
		}
	} else { // cut off: what is there of it
		stop = i + head + len(body) - len(strings.TrimLeft(body, base64Alphabet))
		body = s.content[i+head : stop]
	}
	letters := 0
	for k := range min(len(body), 200) {
		if alnum(body[k]) {
			letters++
		}
	}
	if letters < 30 || strings.Contains(body[:min(len(body), 200)], "...") {
		return
	}
	for stop < len(s.content) && s.content[stop]&0xc0 == 0x80 { // never inside a character
		stop++
	}
	s.add(privateKey, 0.99, i, stop, "private key: armour")
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/= \\\n\r\t"

var (
	urlSet    = letters("A-Za-z0-9_-")
	bearerSet = letters("A-Za-z0-9_.~+/=-")
	pathSet   = letters("A-Za-z0-9_/-")
)

// jwt tries three parts in base64url with points between them, the first two of which are JSON.
func (s *scan) jwt(i int) {
	rest := s.content[i:]
	a := run(rest, 0, urlSet, maxToken)
	if a >= len(rest) || rest[a] != '.' || !strings.HasPrefix(rest[a+1:], "eyJ") {
		return
	}
	b := run(rest, a+1, urlSet, a+maxToken)
	if b >= len(rest) || rest[b] != '.' || a < 16 || b-a < 16 {
		return
	}
	c := run(rest, b+1, urlSet, b+maxToken)
	if c-b < 20 {
		return
	}
	s.add(token, 0.97, i, i+c, "jwt: three parts, two of them JSON")
}

// path tries a URL whose path is the credential.
func (s *scan) path(i, n int, rule string) {
	end := run(s.content, i+n, pathSet, i+n+120)
	if end-i-n >= 30 && random(s.content[i+n:end], 3) {
		s.add(token, 0.95, i, end, rule)
	}
}

// telegram tries the token of a Telegram bot: an id, a colon, and 35 characters.
func (s *scan) telegram(i int) {
	k := i
	for k < len(s.content) && k-i < 11 && s.content[k] >= '0' && s.content[k] <= '9' {
		k++
	}
	if k-i >= 8 && strings.HasPrefix(s.content[k:], ":AA") {
		if e := run(s.content, k+1, urlSet, k+40); e-k-1 == 35 && random(s.content[k+1:e], 3.5) {
			s.add(token, 0.95, i, e, "telegram: id, prefix, length")
		}
	}
}

// header tries what follows the name of a scheme of HTTP authentication.
func (s *scan) header(i int) {
	rest := s.content[i:min(len(s.content), i+maxHeader)]
	if len(rest) < 15 || rest[0]|0x20 != 'b' {
		return
	}
	switch {
	case strings.EqualFold(rest[:6], "basic "):
		e := run(rest, 6, bearerSet, maxHeader)
		raw, err := base64.StdEncoding.DecodeString(rest[6:e])
		if err != nil {
			raw, err = base64.RawStdEncoding.DecodeString(rest[6:e])
		}
		if user, pass, ok := strings.Cut(string(raw), ":"); err == nil && ok && printable(user) && printable(pass) && len(pass) > 1 {
			s.add(password, 0.95, i+6, i+e, "basic authentication: base64 of name and password")
		}
	case strings.EqualFold(rest[:6], "bearer"):
		e := run(rest, 7, bearerSet, maxHeader)
		if rest[6] == ' ' && e-7 >= 16 && random(rest[7:e], 3) && strings.ContainsAny(rest[7:e], "0123456789") {
			s.add(token, 0.85, i+7, i+e, "bearer: scheme, entropy")
		}
	}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

// login tries a URL that carries a password. i is the colon of its scheme.
func (s *scan) login(i int) {
	if i == 0 || !alnum(s.content[i-1]) {
		return
	}
	start := i + len("://")
	colon := 0
	for k := start; k < len(s.content) && k-start < 200; k++ {
		switch c := s.content[k]; {
		case c == ':' && colon == 0:
			colon = k
		case c == '@':
			if colon > 0 && k-colon > 3 && !placeholder(s.content[colon+1:k]) && !common(s.content[colon+1:k]) {
				s.add(password, 0.9, colon+1, k, "url: password before the host")
			}
			return
		case c <= ' ' || c >= 0x7f || strings.IndexByte("/?#\"'<>`", c) >= 0:
			return
		}
	}
}

// common says whether what stands where a password would is the word for it.
func common(s string) bool {
	switch strings.ToLower(s) {
	case "password", "passwd", "pass", "pwd", "secret", "token", "user", "pw":
		return true
	}
	return false
}
