package gitleaks

import (
	"strings"
	"unicode/utf8"
)

const (
	maxName   = 64       // how far behind a keyword an assignment is looked for
	maxWindow = 16 << 10 // what is searched at once, so that a search heeds its context
)

// scan is one content being looked at.
type scan struct {
	*Rules
	content string
	found   func(Hit)
	past    []int    // of each rule: where its last match ended
	windows []window // of each rule with keywords that are not where a match begins: what is to be searched
}

type window struct{ start, end int }

// try tries a rule where one of its keywords is.
func (s *scan) try(n, start, end int) {
	if start < s.past[n] {
		return
	}
	f := s.rules[n].form()
	if f.near {
		w := &s.windows[n]
		if start-around > w.end || w.end-w.start > maxWindow {
			s.search(n)
			w.start = s.whole(max(0, start-around))
		}
		w.end = s.whole(end + around)
		return
	}
	if f.word && start > 0 && (word(s.content[start-1]) || s.content[start-1] == '-') || f.named && !assigned(s.content, end) {
		return
	}
	if at := f.re.FindStringSubmatchIndex(s.content[start:s.whole(start+f.reach)]); at != nil {
		s.past[n] = start + at[1]
		s.judge(n, start, at)
	}
}

// whole is where the character that a place is in ends.
func (s *scan) whole(at int) int {
	for at < len(s.content) && !utf8.RuneStart(s.content[at]) {
		at++
	}
	return min(at, len(s.content))
}

// search searches what is around the keywords of a rule.
func (s *scan) search(n int) {
	w := s.windows[n]
	if w.end == 0 {
		return
	}
	for _, at := range s.rules[n].form().re.FindAllStringSubmatchIndex(s.content[w.start:w.end], -1) {
		s.judge(n, w.start, at)
	}
}

// assigned says whether an assignment may follow on the part of a name that ends at i: what a rule's expression asks
// first, without the expression.
func assigned(s string, i int) bool {
	for end := min(len(s), i+maxName); i < end; i++ {
		c := s[i]
		if strings.IndexByte("=>:|?,", c) >= 0 {
			return true
		}
		if !word(c) && strings.IndexByte(" \t\n\r\f.-'\"", c) < 0 {
			return false
		}
	}
	return false
}

func word(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
}

// judge reports what a rule matched, unless its entropy is too low or a list allows it. at is as package regexp has it,
// from base on.
func (s *scan) judge(n, base int, at []int) {
	r := &s.rules[n]
	start, end := base+at[0], base+at[1]
	from, to := start, end
	for group := max(r.Group, 1); !r.form().parts && 2*group < len(at); group++ { // the first one that is not empty
		if at[2*group] < at[2*group+1] {
			from, to = base+at[2*group], base+at[2*group+1]
			break
		}
	}
	for from < to && s.content[from] == '\n' {
		from++
	}
	for from < to && s.content[to-1] == '\n' {
		to--
	}
	secret := s.content[from:to]
	if secret == "" || r.Entropy > 0 && Entropy(secret) <= r.Entropy || s.allow.allows(s.content, start, end, secret) {
		return
	}
	for _, a := range r.Allow {
		if a.allows(s.content, start, end, secret) {
			return
		}
	}
	s.found(Hit{Rule: r.ID, Start: from, End: to, Named: r.form().named})
}

// allows says whether a secret, matched from start to end, is none.
func (a *allow) allows(content string, start, end int, secret string) bool {
	if len(a.Regexes) > 0 {
		target := secret
		switch a.Target {
		case "match": // with all of the name that it begins in
			from := start
			for from > 0 && start-from < 50 && (word(content[from-1]) || content[from-1] == '.' || content[from-1] == '-') {
				from--
			}
			target = content[from:end]
		case "line":
			from, to := max(0, start-around), min(len(content), end+around)
			from += strings.LastIndexByte(content[from:start], '\n') + 1
			if n := strings.IndexByte(content[end:to], '\n'); n >= 0 {
				to = end + n
			}
			target = content[from:to]
		}
		if a.re().MatchString(target) {
			return true
		}
	}
	return len(a.Stopwords) > 0 && a.words().any(secret)
}
