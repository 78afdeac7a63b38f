package content

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// inline are the elements of HTML that do not end a line.
var inline = func() map[atom.Atom]bool {
	set := map[atom.Atom]bool{}
	for _, a := range []atom.Atom{
		atom.A, atom.Abbr, atom.Acronym, atom.B, atom.Bdi, atom.Bdo, atom.Big, atom.Cite, atom.Code, atom.Data, atom.Del, atom.Dfn,
		atom.Em, atom.Font, atom.I, atom.Img, atom.Ins, atom.Kbd, atom.Label, atom.Mark, atom.Nobr, atom.Q, atom.Rp, atom.Rt,
		atom.Ruby, atom.S, atom.Samp, atom.Small, atom.Span, atom.Strike, atom.Strong, atom.Sub, atom.Sup, atom.Time, atom.Tt,
		atom.U, atom.Var, atom.Wbr, 0,
	} {
		set[a] = true
	}
	return set
}()

// reader reads a document of HTML.
type reader struct {
	doc         string
	at          int       // where the next token starts
	in          atom.Atom // the element whose text has no tags, if in one
	text, aside stream
}

func (r *reader) read() {
	z := html.NewTokenizer(strings.NewReader(r.doc))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		start := r.at
		r.at += len(z.Raw())
		switch kind {
		case html.TextToken:
			r.words(start)
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			name, _ := z.TagName()
			a := atom.Lookup(name)
			r.tag(start, a, kind == html.EndTagToken)
			if r.in = 0; kind == html.StartTagToken {
				r.in = a
			}
			switch a {
			case atom.Iframe, atom.Noembed, atom.Noframes, atom.Noscript, atom.Xmp:
				z.NextIsNotRawText()
			}
		default: // a comment, a doctype
			r.apart(start, r.at)
		}
	}
	r.apart(r.at, len(r.doc)) // a tag without an end
}

// words reads text from start.
func (r *reader) words(start int) {
	switch r.in {
	case atom.Script, atom.Style:
		r.apart(start, r.at)
	case atom.Plaintext:
		r.text.put(r.doc[start:r.at], start, r.at, true)
	default:
		unescape(&r.text, r.doc, start, r.at)
	}
}

// apart puts a part of the document on a line of its own.
func (r *reader) apart(start, end int) {
	r.aside.line()
	r.aside.put(r.doc[start:end], start, end, true)
	r.aside.line()
}

// tag reads a tag from start: its attributes, or all of it if it is not HTML's.
func (r *reader) tag(start int, a atom.Atom, end bool) {
	if !inline[a] {
		r.text.line()
	}
	if a == 0 && !end {
		r.apart(start, r.at)
		return
	}
	i := start + 1
	for i < r.at && !strings.ContainsRune(blank+"/>", rune(r.doc[i])) || i == start+1 {
		i++
	}
	r.attributes(i)
}

const blank = " \t\r\n\f"

// attributes puts the values of attributes, from i to the end of the tag, on lines of their own. Names without a value
// are text that somebody may read, and stay together.
func (r *reader) attributes(i int) {
	names := false
	for {
		i = r.skip(i, blank+"/>")
		if i >= r.at {
			break
		}
		start := i
		for i++; i < r.at && !strings.ContainsRune(blank+"/>=", rune(r.doc[i])); {
			i++
		}
		end := i
		if i = r.skip(i, blank); i >= r.at || r.doc[i] != '=' {
			if names {
				r.aside.gap(' ')
			} else {
				r.aside.line()
			}
			r.aside.put(r.doc[start:end], start, end, true)
			names = true
			continue
		}
		names = false
		start, end, i = r.value(r.skip(i+1, blank))
		r.aside.line()
		unescape(&r.aside, r.doc, start, end)
	}
	r.aside.line()
}

// skip returns the first position from i on whose byte is none of a set.
func (r *reader) skip(i int, set string) int {
	for i < r.at && strings.IndexByte(set, r.doc[i]) >= 0 {
		i++
	}
	return i
}

// value returns where the value of an attribute at i starts and ends, and where to go on.
func (r *reader) value(i int) (start, end, next int) {
	if i < r.at && (r.doc[i] == '"' || r.doc[i] == '\'') {
		if n := strings.IndexByte(r.doc[i+1:r.at], r.doc[i]); n >= 0 {
			return i + 1, i + 1 + n, i + n + 2
		}
	}
	for end = i; end < r.at && strings.IndexByte(blank+">", r.doc[end]) < 0; {
		end++
	}
	return i, end, end
}

// unescape puts what the document has from start to end, with its entities as the characters that they stand for.
func unescape(s *stream, doc string, start, end int) {
	for start < end {
		i := strings.IndexByte(doc[start:end], '&')
		if i < 0 {
			s.put(doc[start:end], start, end, true)
			return
		}
		s.put(doc[start:start+i], start, start+i, true)
		start += i
		n := entity(doc[start:end])
		text := html.UnescapeString(doc[start : start+n])
		s.put(text, start, start+n, text == doc[start:start+n])
		start += n
	}
}

// entity returns how long what may be an entity is, at the start of a text.
func entity(text string) int {
	const longest = 33 // &CounterClockwiseContourIntegral;
	n := 1
	if n < len(text) && text[n] == '#' {
		n++
	}
	for n < len(text) && (text[1] == '#' || n < longest) && alphanumeric(text[n]) {
		n++
	}
	if n < len(text) && text[n] == ';' {
		n++
	}
	return n
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
