package injection

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What is said of the kinds of hidden text. A few invisible characters are everyday typography; runs are not.
const (
	minTags    = 4  // tag characters that are no flag
	minVariant = 4  // variation selectors behind one character
	minZero    = 8  // characters without width in a row
	minSplits  = 3  // words that a character without width is in
	maxFlag    = 7  // tags behind a black flag: the subdivision and the end
	maxBidi    = 4  // closing marks are looked for this far, in hundreds of bytes
	minRTL     = 10 // one letter in this many reads from right to left: direction marks are normal
)

// unseen is a run of characters that a reader does not see.
type unseen struct {
	start, end int
	name       string
	score      float64
	says       string // what it spells, if it spells anything; lives as long as the call
}

// invisible finds the runs in one pass. What it decodes is scanned like any other text.
func invisible(content string) []unseen {
	i := 0
	for i < len(content) && content[i] < utf8.RuneSelf {
		i++
	}
	if i == len(content) {
		return nil
	}
	var out []unseen
	splits := 0
	rtl := mostlyRTL(content)
	for i < len(content) {
		if content[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(content[i:])
		next := i + size
		var u unseen
		switch {
		case r >= 0xe0001 && r <= 0xe007f:
			u, next = tags(content, i)
		case r >= 0xe0100 && r <= 0xe01ef || r >= 0xfe00 && r <= 0xfe0f:
			u, next = variants(content, i)
		case zeroWidth(r):
			u, next = zeros(content, i)
			if next-i <= 3*utf8.UTFMax && between(content, i, next) && !rtl {
				splits++
			}
			if splits == minSplits {
				u = unseen{start: i, end: next, name: "zero-width-in-words", score: 0.55}
			}
		case r == '\u202d' || r == '\u202e' || r == '\u2066' || r == '\u2067':
			if u, next = bidi(content, i, next); rtl || r >= '\u2066' {
				u.score = 0
			}
		}
		if u.score > 0 || u.says != "" {
			out = append(out, u)
		}
		i = next
	}
	return out
}

func zeroWidth(r rune) bool {
	return r >= '\u200b' && r <= '\u200d' || r >= '\u2060' && r <= '\u2064' || r == '\ufeff' || r == '\u180e' || r == '\u034f'
}

// between says whether the bytes from i to j have letters of Latin on both sides.
func between(content string, i, j int) bool {
	letter := func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
	return i > 0 && j < len(content) && letter(content[i-1]) && letter(content[j])
}

// tags reads a run of tag characters, which spell ASCII. A flag of a part of a country is made of them too.
func tags(content string, i int) (unseen, int) {
	var says []byte
	n, j := 0, i
	for j < len(content) {
		r, size := utf8.DecodeRuneInString(content[j:])
		if r < 0xe0001 || r > 0xe007f {
			break
		}
		if c := r - 0xe0000; c >= 0x20 && c < 0x7f {
			says = append(says, byte(c))
		}
		n++
		j += size
	}
	if n < minTags || n <= maxFlag && strings.HasSuffix(content[:i], "\U0001f3f4") {
		return unseen{}, j
	}
	return unseen{start: i, end: j, name: "tag-characters", score: 0.85, says: string(says)}, j
}

// variants reads a run of variation selectors, 256 of which there are: a byte each. One behind a character is normal.
func variants(content string, i int) (unseen, int) {
	var says []byte
	n, j := 0, i
	for j < len(content) {
		r, size := utf8.DecodeRuneInString(content[j:])
		switch {
		case r >= 0xfe00 && r <= 0xfe0f:
			says = append(says, byte(r-0xfe00))
		case r >= 0xe0100 && r <= 0xe01ef:
			says = append(says, byte(r-0xe0100+16))
		default:
			size = 0
		}
		if size == 0 {
			break
		}
		n++
		j += size
	}
	if n < minVariant {
		return unseen{}, j
	}
	return unseen{start: i, end: j, name: "variation-selectors", score: 0.8, says: printable(says)}, j
}

// zeros reads a run of characters without width; two kinds of them may be the bits of a text.
func zeros(content string, i int) (unseen, int) {
	var kinds []rune
	var bits []byte
	j := i
	for j < len(content) {
		r, size := utf8.DecodeRuneInString(content[j:])
		if !zeroWidth(r) {
			break
		}
		k := 0
		for k < len(kinds) && kinds[k] != r {
			k++
		}
		if k == len(kinds) && k < 3 {
			kinds = append(kinds, r)
		}
		bits = append(bits, byte(k))
		j += size
	}
	if len(bits) < minZero {
		return unseen{}, j
	}
	says := ""
	if len(kinds) == 2 {
		if says = fromBits(bits, 0); says == "" {
			says = fromBits(bits, 1)
		}
	}
	return unseen{start: i, end: j, name: "zero-width-run", score: 0.65, says: says}, j
}

// fromBits makes bytes of bits, where one says which of the two kinds is a 1.
func fromBits(bits []byte, one byte) string {
	out := make([]byte, 0, len(bits)/8)
	for k := 0; k+8 <= len(bits); k += 8 {
		var b byte
		for _, bit := range bits[k : k+8] {
			b <<= 1
			if bit == one {
				b |= 1
			}
		}
		out = append(out, b)
	}
	return printable(out)
}

// bidi reads what an override turns round: until it ends, or the line does.
func bidi(content string, i, from int) (unseen, int) {
	rest := content[from:min(len(content), from+maxBidi*100)]
	if end := strings.IndexAny(rest, "\u202c\u2069\n"); end >= 0 {
		rest = rest[:end]
	}
	u := unseen{start: i, end: from + len(rest), name: "bidi-override", score: 0.55}
	for len(rest) > 0 && u.end < len(content) && !utf8.RuneStart(content[u.end]) {
		rest = rest[:len(rest)-1]
		u.end--
	}
	u.says = reversed(rest)
	if u.end <= from {
		return unseen{}, from
	}
	return u, u.end
}

func mostlyRTL(content string) bool {
	rtl, all := 0, 0
	for _, r := range content {
		if r < utf8.RuneSelf {
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				all++
			}
			continue
		}
		if unicode.In(r, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana) {
			rtl++
		}
		all++
	}
	return rtl > 0 && rtl*minRTL >= all
}

// region is a part of a text that a page does not show.
type region struct {
	start, end int
	name       string
}

// Bounds of a look for the end of a tag, and of what it hides.
const (
	maxTag    = 400
	maxHidden = 8000
)

// hiddenMarks are the attributes that hide an element.
var hiddenMarks = []string{
	"display:none", "display: none", "visibility:hidden", "visibility: hidden", "font-size:0", "font-size: 0", "font-size:1px", "font-size: 1px",
	"opacity:0", "opacity: 0", "color:white", "color: white", "color:#fff", "color: #fff", "left:-9999", "left: -9999", " hidden>", " hidden ", "mso-hide:all",
}

// regions finds the hidden parts of a plain text: comments of HTML and Markdown, and elements that a style hides. They
// do not overlap, so all of it is one pass.
func regions(s string) []region {
	var out []region
	for i := 0; i < len(s); {
		n := strings.IndexAny(s[i:], "<[{")
		if n < 0 {
			break
		}
		i += n
		r := regionAt(s, i)
		if r.end > i {
			out = append(out, r)
			i = r.end
			continue
		}
		i++
	}
	return out
}

// regionAt is the region that begins at i, if one does.
func regionAt(s string, i int) region {
	rest := s[i:min(len(s), i+maxHidden)]
	for _, k := range []struct{ open, shut, name string }{
		{"<!--", "-->", "html-comment"}, {"[//]:", "\n", "markdown-comment"}, {"[comment]:", "\n", "markdown-comment"},
		{"{#", "#}", "template-comment"}, {"{{!", "}}", "template-comment"},
	} {
		if !strings.HasPrefix(rest, k.open) {
			continue
		}
		if end := strings.Index(rest[len(k.open):], k.shut); end >= 0 {
			rest = rest[:len(k.open)+end]
		}
		return region{i, i + len(rest), k.name}
	}
	if rest[0] != '<' || len(rest) < 2 || rest[1] < 'a' || rest[1] > 'z' {
		return region{}
	}
	end := strings.IndexByte(rest[:min(len(rest), maxTag)], '>')
	if end < 0 || !hides(rest[:end+1]) {
		return region{}
	}
	name := rest[1:]
	name = name[:strings.IndexAny(name, " \t\r\n/>")]
	if stop := strings.Index(rest[end:], "</"+name); stop >= 0 {
		rest = rest[:end+stop]
	}
	return region{i, i + len(rest), "hidden-element"}
}

func hides(tag string) bool {
	for _, m := range hiddenMarks {
		if strings.Contains(tag, m) {
			return true
		}
	}
	return false
}
