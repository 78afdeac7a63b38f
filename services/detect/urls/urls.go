// Package urls finds web addresses and says which of them are risky by their form alone: it fetches nothing, and knows
// no list of what is bad today.
package urls

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/spans"
)

// Detector finds web addresses. Make one with New.
type Detector struct{}

var _ detect.Detector = Detector{}

// New makes a detector.
func New() Detector { return Detector{} }

// Name is the detector's name.
func (Detector) Name() string { return "urls" }

// Version is that of the rules.
func (Detector) Version() string { return "2026.11.1" }

// What it can say.
const (
	plain     = "URL"
	malicious = "MALICIOUS_URL"
)

// Labels are all that it can say.
func (Detector) Labels() []string { return []string{malicious, plain} }

// flagged is the risk from which an address is called malicious.
const flagged = 0.5

const maxURL = 2048

// Detect finds web addresses in content. One that is risky is MALICIOUS_URL and not URL too; the rule of the hit lists
// what makes it so.
func (Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	var hits []detect.Hit
	for i := 0; i < len(content); i++ {
		if i%65536 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		start, scheme := i, ""
		switch content[i] {
		case ':':
			start, scheme = schemeOf(content, i)
		case 'w', 'W':
			if i+4 < len(content) && strings.EqualFold(content[i:i+4], "www.") && (i == 0 || !part(content[i-1])) && part(content[i+4]) {
				scheme = "www"
			}
		}
		if scheme == "" {
			continue
		}
		if skip := hopeless(content, scheme, i); skip > 0 {
			i += skip - 1
			continue
		}
		end := endOf(content, start, i)
		if h, ok := judge(content, scheme, start, end); ok {
			hits = append(hits, h)
			i = end - 1
		}
	}
	hits = spans.Resolve(hits)
	detect.Runes(content, hits)
	return hits, ctx.Err()
}

// schemeOf is where the scheme before a colon starts, and which it is, or "".
func schemeOf(content string, colon int) (start int, scheme string) {
	start = colon
	for start > 0 && colon-start < 11 && (letter(content[start-1])) {
		start--
	}
	scheme = strings.ToLower(content[start:colon])
	switch scheme {
	case "http", "https", "ftp", "ws", "wss", "hxxp", "hxxps":
		if strings.HasPrefix(content[colon:], "://") && colon+3 < len(content) && content[colon+3] > ' ' {
			return start, scheme
		}
	case "javascript", "vbscript", "data":
		if start == 0 || !part(content[start-1]) {
			return start, scheme
		}
	}
	return start, ""
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// part says whether a byte can be in the name of a host.
func part(c byte) bool { return letter(c) || c >= '0' && c <= '9' || c == '-' || c == '_' || c >= 0x80 }

// hopeless says how much can be skipped at i because no address can be there: an answer found in a few hundred bytes,
// where the whole of one may be thousands. 0 is that there may be one.
func hopeless(content, scheme string, i int) int {
	head := content[i:min(len(content), i+maxHead)]
	switch scheme {
	case "data":
		if k := strings.IndexAny(head[:min(len(head), 80)], ", \n"); k < 0 || head[k] != ',' || strings.HasPrefix(head, ":,") {
			return 1
		}
	case "javascript", "vbscript":
		if k := strings.IndexAny(head, "(=` \n"); k < 0 || head[k] == ' ' || head[k] == '\n' {
			return 1
		}
	default:
		if k := strings.IndexAny(head, "/?# \n\"<>"); scheme == "www" && (k < 0 || k > 300) && len(head) == maxHead {
			return len(head) - 4 // no host is so long
		}
		head = strings.TrimPrefix(head, "://")
		k := strings.IndexAny(head, "/?# \n\"<>")
		if k < 0 {
			k = len(head)
		}
		if !parse(strings.TrimRight(head[:k], ".,;:!?)'*]}")+map[bool]string{true: "]"}[strings.HasPrefix(head, "[")]).valid() && ascii(head[:k]) {
			return 1
		}
	}
	return 0
}

const maxHead = 400

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// endOf is where an address ends: at a blank or at what quotes it, without the punctuation of the sentence.
func endOf(content string, start, from int) int {
	end, open := from+1, 0
	for end < len(content) && end-start < maxURL {
		c := content[end]
		if c <= ' ' || c == 0x7f || strings.IndexByte("\"<>`|\\^", c) >= 0 {
			break
		}
		if c == '(' {
			open++
		}
		if c == ')' {
			if open--; open < 0 {
				break
			}
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(content[end:])
			if r == utf8.RuneError || strings.ContainsRune("，。、；：？！）」』”’…\u3000\u00a0\u200b", r) {
				break
			}
			end += size
			continue
		}
		end++
	}
	for end > from+1 && strings.IndexByte(".,;:!?'*]}", content[end-1]) >= 0 {
		end--
	}
	return end
}

// judge says what an address is.
func judge(content, scheme string, start, end int) (detect.Hit, bool) {
	text := content[start:end]
	h := detect.Hit{Label: plain, Score: 0.95, Start: start, End: end, Rule: "url: scheme and host"}
	var r risk
	switch scheme {
	case "javascript", "vbscript":
		_, code, _ := strings.Cut(text, ":")
		if !strings.ContainsAny(code, "(=`") || len(code) < 4 || strings.HasPrefix(strings.ToLower(code), "void(0") {
			return h, false
		}
		r.add(0.8, "a scheme that runs script")
	case "data":
		if !r.data(strings.ToLower(text[:min(len(text), 80)])) {
			return h, false
		}
	default:
		a := parse(text)
		if !a.valid() {
			return h, false
		}
		r.address(a)
		r.image(content, start, a)
		if scheme == "www" {
			h.Score = 0.85
		}
	}
	if r.score >= flagged {
		h.Label, h.Score = malicious, min(r.score, 0.98)
	}
	if len(r.reasons) > 0 {
		h.Rule = "url: " + strings.Join(slices.Compact(r.reasons)[:min(len(r.reasons), 4)], "; ")
	}
	return h, true
}

// address is the pieces of a URL.
type address struct {
	user, host, port, path, query string
	labels                        []string // of the host, in lower case, decoded
}

func parse(text string) address {
	var a address
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	authority := text
	if k := strings.IndexAny(text, "/?#"); k >= 0 {
		authority, text = text[:k], text[k:]
	} else {
		text = ""
	}
	if k := strings.LastIndexByte(authority, '@'); k >= 0 {
		a.user, authority = authority[:k], authority[k+1:]
	}
	a.host = strings.ToLower(authority)
	if strings.HasPrefix(authority, "[") {
		a.host, _, _ = strings.Cut(a.host, "]")
		a.host += "]"
	} else if k := strings.LastIndexByte(authority, ':'); k >= 0 {
		a.host, a.port = a.host[:k], authority[k+1:]
	}
	a.path, a.query, _ = strings.Cut(text, "?")
	a.host = strings.TrimSuffix(a.host, ".")
	a.labels = strings.Split(a.host, ".")
	return a
}

func (a address) valid() bool {
	if a.host == "" || len(a.host) > 253 {
		return false
	}
	if a.host[0] == '[' {
		return strings.Count(a.host, ":") >= 2
	}
	for _, l := range a.labels {
		if l == "" || len(l) > 80 {
			return false
		}
	}
	for i := range len(a.host) {
		if c := a.host[i]; !part(c) && c != '.' {
			return false
		}
	}
	return len(a.labels) > 1 || a.host == "localhost" || a.port != "" || whole(a.host)
}

func whole(s string) bool {
	return strings.Trim(s, "0123456789") == "" || strings.HasPrefix(s, "0x")
}
