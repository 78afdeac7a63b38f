package fold

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxEscape is the longest escape that is looked at: &CounterClockwiseContourIntegral; is for others.
const maxEscape = 12

// Unescape undoes one layer of the escapes that pages, addresses and strings use: %69, &#105; &lt; \u0069 \x69 \n. It
// says whether there were any.
func Unescape(content string) (string, Map, bool) {
	m, done := (*maker)(nil), 0 // all before done is written
	for i := 0; i < len(content); {
		n := strings.IndexAny(content[i:], "%&\\")
		if n < 0 {
			break
		}
		i += n
		r, size := unescape(content[i:min(len(content), i+maxEscape)])
		if size == 0 {
			i++
			continue
		}
		var b []byte
		if content[i] == '%' || r < utf8.RuneSelf { // a byte of an address, perhaps a part of a letter
			b = []byte{byte(r)}
		} else {
			b = utf8.AppendRune(nil, r)
		}
		if m == nil {
			m = newMaker(len(content))
		}
		m.stretch(content, done, i)
		m.other(string(b), i, i+size, r < utf8.RuneSelf && isLetter(lower(byte(r))))
		i += size
		done = i
	}
	if m == nil {
		return content, Map{}, false
	}
	m.stretch(content, done, len(content))
	return string(m.out), Map{pieces: m.pieces}, true
}

// unescape reads the escape that s begins with; size is 0 if it begins with none.
func unescape(s string) (r rune, size int) {
	switch s[0] {
	case '%':
		return digits(s, 1, 2)
	case '\\':
		return backslash(s)
	case '&':
		return entity(s)
	}
	return 0, 0
}

func digits(s string, skip, count int) (rune, int) {
	if len(s) < skip+count {
		return 0, 0
	}
	n, err := strconv.ParseUint(s[skip:skip+count], 16, 32)
	if err != nil {
		return 0, 0
	}
	return rune(n), skip + count
}

func backslash(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case 'n', 'r', 't':
		return map[byte]rune{'n': '\n', 'r': '\r', 't': '\t'}[s[1]], 2
	case 'x':
		return digits(s, 2, 2)
	case 'u':
		if len(s) > 2 && s[2] == '{' {
			if end := strings.IndexByte(s, '}'); end > 3 && end < 10 {
				r, size := digits(s, 3, end-3)
				if size > 0 {
					return r, size + 1
				}
			}
			return 0, 0
		}
		return surrogates(s)
	}
	return 0, 0
}

// surrogates reads \ud83d\ude00 as one, as JSON has it.
func surrogates(s string) (rune, int) {
	r, size := digits(s, 2, 4)
	if size > 0 && r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(s[size:], `\u`) {
		if low, more := digits(s[size:], 2, 4); more > 0 && low >= 0xdc00 && low < 0xe000 {
			return 0x10000 + (r-0xd800)<<10 + low - 0xdc00, size + more
		}
	}
	return r, size
}

func entity(s string) (rune, int) {
	end := strings.IndexByte(s, ';')
	if end < 2 {
		return 0, 0
	}
	body, base := s[1:end], 10
	if body[0] != '#' {
		out := html.UnescapeString(s[:end+1])
		r, size := utf8.DecodeRuneInString(out)
		if size != len(out) {
			return 0, 0
		}
		return r, end + 1
	}
	if body = body[1:]; body != "" && (body[0] == 'x' || body[0] == 'X') {
		body, base = body[1:], 16
	}
	n, err := strconv.ParseUint(body, base, 32)
	if err != nil || n > 0x10ffff {
		return 0, 0
	}
	return rune(n), end + 1
}
