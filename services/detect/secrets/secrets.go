// Package secrets finds credentials: by the rules that gitleaks maintains, and by rules of our own for what these do not
// have or are not made for: providers that they lack, private keys, tokens that carry their own proof, headers and URLs
// that log in, and values assigned to what is called a password, a secret or a key.
package secrets

import (
	"context"
	"slices"
	"strings"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets/gitleaks"
	"github.com/llama-mapper/llama-mapper/services/detect/spans"
)

// Detector finds credentials. Make one with New.
type Detector struct {
	rules   *gitleaks.Rules
	byFirst [256][]provider // by the first byte of the prefix, the longest prefix first
}

var _ detect.Detector = (*Detector)(nil)

// New makes a detector. It is meant to be made once.
func New() *Detector {
	d := &Detector{rules: gitleaks.Load("generic-api-key", "jwt", "private-key")} // ours find more, or are right more often
	for _, p := range providers() {
		d.byFirst[p.prefix[0]] = append(d.byFirst[p.prefix[0]], p)
	}
	for i := range d.byFirst {
		slices.SortStableFunc(d.byFirst[i], func(a, b provider) int { return len(b.prefix) - len(a.prefix) })
	}
	return d
}

// Name is the detector's name.
func (d *Detector) Name() string { return "secrets" }

// Version is that of our rules, and of gitleaks.
func (d *Detector) Version() string { return "2026.11.2+" + d.rules.Version() }

// Labels are all that it can say.
func (d *Detector) Labels() []string {
	return append([]string{apiKey, password, privateKey, token}, d.rules.IDs()...)
}

// scan is one content being looked at.
type scan struct {
	*Detector
	content string
	hits    []detect.Hit
	end     int // where the next end of a key block is; see block
}

func (s *scan) add(label string, score float64, start, end int, rule string) {
	s.hits = append(s.hits, detect.Hit{Label: label, Score: score, Start: start, End: end, Rule: rule})
}

// Detect finds credentials in content. A hit is the credential, not its name.
func (d *Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	s := &scan{Detector: d, content: content, end: -1}
	if err := d.rules.Find(ctx, content, s.maintained); err != nil { // first: of equals, what it says is kept
		return nil, err
	}
	for i := 0; i < len(content); i++ {
		if i%65536 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch c := content[i]; {
		case c == '-':
			if strings.HasPrefix(content[i:], begin) {
				s.block(i)
			}
		case c == '=' || c == ':':
			if strings.HasPrefix(content[i:], "://") {
				s.login(i)
			} else {
				s.assigned(i, i+1)
			}
		case c == ' ':
			s.said(i)
		case s.starts(i):
			s.known(i)
		}
	}
	hits := spans.Resolve(s.hits)
	few(hits)
	detect.Runes(content, hits)
	return hits, ctx.Err()
}

// maintained takes a hit of gitleaks' rules.
func (s *scan) maintained(h gitleaks.Hit) {
	if placeholder(s.content[h.Start:h.End]) {
		return
	}
	score, why := 0.95, ": keyword, form"
	switch {
	case strings.HasSuffix(h.Rule, "-client-id") || strings.Contains(h.Rule, "-pub"):
		score, why = 0.5, ": name, form; the part that is public"
	case h.Named:
		score, why = 0.85, ": name, form"
	}
	s.add(h.Rule, score, h.Start, h.End, "gitleaks "+h.Rule+why)
}

// maxNames is how many labels a content has: the mapper takes 64 findings at once, and a label is one.
const maxNames = 48

// few calls what more rules than that found by a name of ours.
func few(hits []detect.Hit) {
	var names []string
	for i := range hits {
		if slices.Contains(names, hits[i].Label) {
			continue
		}
		if len(names) < maxNames {
			names = append(names, hits[i].Label)
		} else if hits[i].Label == strings.ToLower(hits[i].Label) { // a rule's
			hits[i].Label = apiKey
		}
	}
}

// starts says whether a key can start at i: with a letter or a digit, and not inside a word.
func (s *scan) starts(i int) bool {
	if !alnum(s.content[i]) {
		return false
	}
	if i == 0 {
		return true
	}
	p := s.content[i-1]
	if alnum(p) { // \n and \t in quoted text
		return i > 1 && s.content[i-2] == '\\' && (p == 'n' || p == 't' || p == 'r')
	}
	return p != '_' && p != '-' && p < 0x80
}

var alnumSet = letters("0-9A-Za-z")

func alnum(c byte) bool { return alnumSet[c] }

// known tries the forms of providers, and then those that have no prefix.
func (s *scan) known(i int) {
	rest := s.content[i:]
	for k := range s.byFirst[rest[0]] {
		p := &s.byFirst[rest[0]][k]
		if len(rest) < 2 || rest[1] != p.prefix[1] || !strings.HasPrefix(rest, p.prefix) {
			continue
		}
		n := len(p.prefix)
		end := run(rest, n, p.set, n+p.max+1)
		for end > n && (rest[end-1] == '.' || rest[end-1] == '-') {
			end--
		}
		if end-n < p.min || end-n > p.max || end < len(rest) && alnum(rest[end]) || !random(rest[n:end], p.entropy) || end-n >= 30 && !strings.ContainsAny(rest[n:end], "0123456789") {
			continue
		}
		score := 0.95
		if len(p.prefix) < 4 {
			score = 0.8
		}
		s.add(p.label, score, i, i+end, p.name+": prefix, alphabet, length, entropy")
		return
	}
	switch {
	case strings.HasPrefix(rest, "eyJ"):
		s.jwt(i)
	case strings.HasPrefix(rest, "discord.com/api/webhooks/"):
		s.path(i, len("discord.com/api/webhooks/"), "discord webhook: host, path")
	case rest[0] >= '0' && rest[0] <= '9':
		s.telegram(i)
	default:
		s.header(i)
	}
}

// run is where bytes of an alphabet end, at most at limit.
func run(s string, i int, set alphabet, limit int) int {
	for i < len(s) && i < limit && set[s[i]] {
		i++
	}
	return i
}

// random says whether a text has so many bits a character, and is not a placeholder.
func random(s string, bits float64) bool {
	return gitleaks.Entropy(s) >= bits && !placeholder(s)
}

// placeholder says whether a text stands for a secret without being one.
func placeholder(s string) bool {
	if strings.ContainsAny(s[:1], "$<{%*[") || strings.HasPrefix(s, "...") {
		return true
	}
	lower := strings.ToLower(s)
	return slices.Contains(placeWords, lower) ||
		slices.ContainsFunc(placeStarts, func(w string) bool { return strings.HasPrefix(lower, w) }) ||
		slices.ContainsFunc(placeParts, func(w string) bool { return strings.Contains(lower, w) })
}

// What stands for secrets: whole, at the start, anywhere.
var (
	placeWords  = strings.Fields("none null true false nil todo undefined string required optional function")
	placeStarts = strings.Fields("!vault !ref !sub !secret config. secrets. vault. settings. var. self. this. env. process.env os.environ")
	placeParts  = strings.Fields("xxxx example_ examplekey your_ your- yourpass yourkey yoursecret yourtoken my_secret my-secret changeme change-me placeholder redacted dummy insert_ insert- abcdefgh 12345678901 00000000 getenv -here _here")
)
