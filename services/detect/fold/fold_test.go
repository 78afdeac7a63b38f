package fold

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestNew(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		if got := New(content).S; got != want {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
	f("Plain, OLD text.", "plain, old text.")
	f("précédentes Größe", "precedentes grosse")
	f("ｉｇｎｏｒｅ 𝐢𝐠𝐧𝐨𝐫𝐞 ⓘⓖⓝ", "ignore ignore ign")
	f("іgnоrе аll", "ignore all") // Cyrillic
	f("ig\u200bno\u200dre\ufeff", "ignore")
	f("i\u0335g\u0335n", "ign")
	f("<｜im_start｜>", "<|im_start|>")
	f("🅸🅶🅽 🇮🇬", "ign ig")
	f("соска и молоко", "соска и молоко") // Russian, no disguise
	f("bro\xffken\xc3", "broken")
	f("a→b", "a b")
}

func TestOdd(t *testing.T) {
	f := func(content string, want bool) {
		t.Helper()
		text := New(content)
		if got := text.Odd(0, len(text.S)); got != want {
			t.Errorf("%q: got %v, want %v", content, got, want)
		}
	}
	f("plain", false)
	f("précédentes Straße œuvre", false)
	f("ignоre", true)
	f("ig\u200bnore", true)
	f("ig\u00adnore", false)
	f("ｉｇｎ", true)
	f("joined 👩\u200d💻 people", false)
}

func TestUnescape(t *testing.T) {
	f := func(content, want string) {
		t.Helper()
		got, _, found := Unescape(content)
		if got != want || found != (content != want) {
			t.Errorf("%q: got %q %v", content, got, found)
		}
	}
	f("plain", "plain")
	f("100% & more \\o/", "100% & more \\o/")
	f("%69gnore%20it", "ignore it")
	f("caf%C3%A9", "café")
	f("&#105;&#x67;&lt;&amp;&nbsp;", "ig<&\u00a0")
	f(`\u0069\x67\u{6e}\n`, "ign\n")
	f(`\ud83d\ude00`, "😀")
	f("&#99999999999;&;&#;%", "&#99999999999;&;&#;%")
}

func TestWords(t *testing.T) {
	f := func(content string, want ...string) {
		t.Helper()
		text := New(content)
		var got []string
		text.Words(func(words []Word) {
			for _, w := range words {
				got = append(got, w.S)
			}
		})
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: got %q, want %q", content, got, want)
		}
	}
	f("Don't do it, l'amie!", "dont", "do", "it", "l", "amie")
	f("i g n o r e  a l l", "ignore", "a", "l", "l")
	f("i.g.n.o.r.e that", "ignore", "that")
	f("snake_case f*ck f**k a* b", "snake", "case", "f*ck", "f**k", "a", "b")
	f("pa$$word @dmin sh!t wow!", "pa$$word", "@dmin", "sh!t", "wow")
}

// The memory of words, which is used again, keeps nothing of a text.
func TestWordsAreForgotten(t *testing.T) {
	text := New("some words and s p a c e d ones")
	var words []Word
	text.Words(func(w []Word) { words = w })
	if len(words) != 5 {
		t.Errorf("%d words", len(words))
	}
	for _, w := range words {
		if w != (Word{}) {
			t.Errorf("%+v is left", w)
		}
	}
}

func TestReadings(t *testing.T) {
	f := func(word string, want ...string) {
		t.Helper()
		var got []string
		Readings(word, func(b []byte) { got = append(got, string(b)) })
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	f("plain")
	f("1gn0re", "ignore", "lgnore")
	f("a11", "aii", "all")
	f("2026")
	f("shiiiit", "shit", "shiit")
	f("cooool", "col", "cool")
}

// Every piece of the plain text leads to a place in the content, in order, on the border of a code point.
func TestSpansAreInTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-c%&#;xе́]|%6[0-9]|&#10[0-9];|ｉ|\x{200b}){0,30}`)).Draw(t, "content")
		text := New(content)
		before := 0
		for i := range len(text.S) {
			start, end := text.Span(i, i+1)
			if start < before || end <= start || end > len(content) {
				t.Fatalf("%d: %d to %d of %d", i, start, end, len(content))
			}
			if utf8.ValidString(content) && (!utf8.RuneStart(content[start]) || end < len(content) && !utf8.RuneStart(content[end])) {
				t.Fatalf("%d to %d cuts a code point", start, end)
			}
			before = start
		}
		plain, back, _ := Unescape(content)
		for i := range len(plain) {
			if start, end := back.Span(i, i+1); end <= start || end > len(content) {
				t.Fatalf("%d: %d to %d of %d", i, start, end, len(content))
			}
		}
	})
}

func FuzzNew(f *testing.F) {
	f.Add("i g n o r e %69 &#105; ｉ\xff\u200b")
	f.Fuzz(func(t *testing.T, content string) {
		plain, _, _ := Unescape(content)
		text := New(plain)
		text.Words(func(words []Word) {
			for _, w := range words {
				if w.Start >= w.End || w.End > len(text.S) {
					t.Fatalf("%+v of %d", w, len(text.S))
				}
				Readings(w.S, func([]byte) {})
			}
		})
	})
}
