package content

import (
	"regexp"
	"strings"

	"golang.org/x/net/html/atom"
)

// Text returns what there is to read in a document, and where it is from. Plain text and Markdown are returned as they
// are: all of Markdown, links too, is text. Of HTML it is first the text, without the tags, so that a tag or a comment
// does not part a word; then, each on a line of its own and in their order, what a reader does not see and a model may:
// the values of attributes, comments, scripts, styles, and tags that are not HTML's.
func Text(doc string) (string, Map) {
	if !isHTML(doc) {
		return doc, Map{}
	}
	r := reader{doc: doc}
	r.read()
	m := Map{pieces: r.text.pieces, doc: doc, runes: count(doc)}
	shown := r.text.out.Len()
	if r.aside.out.Len() > 0 && shown > 0 {
		r.text.line()
		shown = r.text.out.Len()
	}
	for _, p := range r.aside.pieces {
		p.text[0], p.text[1] = p.text[0]+shown, p.text[1]+shown
		m.pieces = append(m.pieces, p)
	}
	return r.text.out.String() + r.aside.out.String(), m
}

var tag = regexp.MustCompile(`<(?:!--|!(?i:doctype)\b|/?([A-Za-z][A-Za-z0-9]*)(?:[\s/][^>]*)?>)`)

// isHTML says whether a text has a tag of HTML's, or a comment.
func isHTML(doc string) bool {
	for {
		at := tag.FindStringSubmatchIndex(doc)
		switch {
		case at == nil:
			return false
		case at[2] < 0, atom.Lookup([]byte(strings.ToLower(doc[at[2]:at[3]]))) != 0:
			return true
		}
		doc = doc[at[1]:]
	}
}

// stream is text and where its pieces are from.
type stream struct {
	out    strings.Builder
	pieces []piece
	last   byte
}

// put adds text that the document has from start to end; same says that it has just that there.
func (s *stream) put(text string, start, end int, same bool) {
	if text == "" {
		return
	}
	n, k := s.out.Len(), len(s.pieces)-1
	s.out.WriteString(text)
	s.last = text[len(text)-1]
	if same && k >= 0 && s.pieces[k].same && s.pieces[k].text[1] == n && s.pieces[k].doc[1] == start {
		s.pieces[k].text[1], s.pieces[k].doc[1] = n+len(text), end
		return
	}
	s.pieces = append(s.pieces, piece{[2]int{n, n + len(text)}, [2]int{start, end}, same})
}

// line starts a new line, if there is something on this one.
func (s *stream) line() {
	if s.out.Len() > 0 && s.last != '\n' {
		s.gap('\n')
	}
}

func (s *stream) gap(c byte) {
	s.out.WriteByte(c)
	s.last = c
}
