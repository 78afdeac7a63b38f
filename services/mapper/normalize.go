package mapper

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// protected are spellings that the borders of words and numbers would tear apart. They stay one word as
// written here, in lower case and in upper case.
var protected = func() (out []string) {
	for _, word := range []string{
		"IPv4", "IPv6", "OAuth", "OpenAI", "GitHub", "GitLab", "LinkedIn", "YouTube", "WhatsApp", "TikTok",
		"WeChat", "PayPal", "iCloud", "iPhone", "iPad", "DDoS", "NoSQL", "MySQL", "WiFi", "JavaScript",
	} {
		out = append(out, word, strings.ToLower(word), strings.ToUpper(word))
	}
	return out
}()

// letters writes Latin letters that have no decomposition in a-z.
var letters = strings.NewReplacer("ß", "ss", "ẞ", "SS", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O",
	"ł", "l", "Ł", "L", "đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ı", "i")

// normalizeWords makes of every spelling of a label the same lower-case words: "userID", "user-id" and
// "USER_ID" become "user id". The result has a-z, 0-9 and single spaces. checkpoints/train/normalize.py does
// the same; testdata/normalize.jsonl holds both to it.
func normalizeWords(text string) string {
	var out strings.Builder
	out.Grow(len(text) + 8)
	run := make([]byte, 0, 64) // ASCII letters and digits without a break
	flush := func() {
		for i := 0; i < len(run); {
			end := piece(run, i)
			if out.Len() > 0 {
				out.WriteByte(' ')
			}
			for _, c := range run[i:end] {
				if isUpper(c) {
					c += 'a' - 'A'
				}
				out.WriteByte(c)
			}
			i = end
		}
		run = run[:0]
	}
	for _, c := range letters.Replace(norm.NFKD.String(text)) {
		switch {
		case unicode.Is(unicode.Mn, c):
		case c < unicode.MaxASCII && (isUpper(byte(c)) || isLower(byte(c)) || isDigit(byte(c))):
			run = append(run, byte(c))
		default:
			flush()
		}
	}
	flush()
	return out.String()
}

// piece returns where the word or number that begins at i ends.
func piece(run []byte, i int) int {
	for _, p := range protected {
		if len(run)-i >= len(p) && string(run[i:i+len(p)]) == p {
			return i + len(p)
		}
	}
	switch {
	case isDigit(run[i]):
		return span(run, i, isDigit)
	case isLower(run[i]):
		return span(run, i, isLower)
	}
	end := span(run, i, isUpper)
	lower := span(run, end, isLower)
	switch {
	case end-i == 1: // a capitalised word
		return lower
	case lower-end == 1 && run[end] == 's': // a plural acronym: IDs
		return lower
	case lower > end: // HTTPServer: the last capital begins the next word
		return end - 1
	}
	return end
}

func span(run []byte, i int, is func(byte) bool) int {
	for i < len(run) && is(run[i]) {
		i++
	}
	return i
}

func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
