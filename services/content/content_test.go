package content

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

func TestChunks(t *testing.T) {
	f := func(text string, window, overlap int, want ...string) {
		t.Helper()
		chunks, err := Chunks(text, window, overlap)
		var got []string
		for _, c := range chunks {
			got = append(got, c.Text)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	f("", 4, 1, "")
	f("abc", 0, 0, "abc")
	f("abcd", 4, 2, "abcd")
	f("abcdef", 4, 2, "abcd", "cdef")
	f("aaaa bbbb cccc", 6, 0, "aaaa ", "bbbb ", "cccc")                                       // after a word
	f("one two. three four five", 12, 0, "one two. ", "three four ", "five")                  // after a sentence rather than a word
	f("aaaaaaae\u0301aaa", 8, 0, "aaaaaaa", "e\u0301aaa")                                     // not before an accent
	f("a\u0301\u0301\u0301\u0301\u0301", 4, 0, "a\u0301\u0301\u0301", "\u0301\u0301")         // but where there is nothing else
	f("ab\xff\xffef", 4, 1, "ab\xff\xff", "\xffef")                                           // a broken byte is a code point
	f("one two three four five six", 16, 4, "one two three ", "three four five ", "five six") // overlap starts with a word if one is near
}

func TestChunksRefused(t *testing.T) {
	for _, c := range []struct{ window, overlap int }{{10, 6}, {-1, 0}, {4, -1}, {0, 1}, {2, 1}} {
		if _, err := Chunks(strings.Repeat("x", 2*MaxChunks), c.window, c.overlap); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

// checkChunks holds what every cut keeps.
func checkChunks(t interface{ Fatalf(string, ...any) }, text string, window, overlap int) {
	chunks, err := Chunks(text, window, overlap)
	if err != nil {
		return
	}
	byteAt, runeAt := 0, 0
	for i, c := range chunks {
		n := utf8.RuneCountInString(c.Text)
		switch {
		case c.Text != text[c.Byte[0]:c.Byte[1]], c.Rune[1]-c.Rune[0] != n, utf8.RuneCountInString(text[:c.Byte[0]]) != c.Rune[0]:
			t.Fatalf("chunk %d: its places are not its own: %v %v", i, c.Byte, c.Rune)
		case window > 0 && n > window:
			t.Fatalf("chunk %d has %d code points", i, n)
		case c.Byte[0] > byteAt || c.Byte[1] < byteAt || i > 0 && runeAt-c.Rune[0] < overlap:
			t.Fatalf("chunk %d leaves out something, or overlaps too little: %v after %d", i, c.Rune, runeAt)
		}
		byteAt, runeAt = c.Byte[1], c.Rune[1]
	}
	if byteAt != len(text) {
		t.Fatalf("the end is missing")
	}
}

func FuzzChunks(f *testing.F) {
	f.Add("Hello there. This is e\u0301 text \xff!", uint(8), uint(3))
	f.Add(strings.Repeat("\u0301", 50), uint(7), uint(3))
	f.Fuzz(func(t *testing.T, text string, window, overlap uint) {
		window %= 600
		checkChunks(t, text, int(window), int(overlap%(window/2+1)))
	})
}

func TestChunksKeepAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 60).Draw(t, "window")
		checkChunks(t, rapid.String().Draw(t, "text"), window, rapid.IntRange(0, window/2).Draw(t, "overlap"))
	})
}

func score(v float64) *float64 { return &v }

func at(a, b int) wire.Span { return wire.Span{Byte: &[2]int{a, b}, Rune: &[2]int{a, b}} }

func TestRebase(t *testing.T) {
	text := "ééé one two"
	c := Chunk{Text: text[6:], Byte: [2]int{6, len(text)}, Rune: [2]int{3, 11}}
	in := wire.Output{Vendor: "own", Findings: []wire.Finding{{Native: "A", Spans: []wire.Span{
		at(1, 4), {Rune: &[2]int{5, 8}}, {UTF16: &[2]int{1, 4}}, {Rune: &[2]int{5, 99}}, at(-1, 3), {},
	}}}}
	got := Rebase(in, c)
	want := []wire.Span{{Byte: &[2]int{7, 10}, Rune: &[2]int{4, 7}}, {Byte: &[2]int{11, 14}, Rune: &[2]int{8, 11}}, {Byte: &[2]int{7, 10}, Rune: &[2]int{4, 7}}}
	if !reflect.DeepEqual(got.Findings[0].Spans, want) {
		t.Errorf("%+v", got.Findings[0].Spans)
	}
	if *in.Findings[0].Spans[0].Byte != [2]int{1, 4} {
		t.Error("it changes what it was given")
	}
}

func TestMerge(t *testing.T) {
	clean := wire.Finding{Native: "clean", Clean: true}
	absent := wire.Finding{Native: "B", Clean: true, Raw: "0.1", Score: score(.1)}
	found := func(name string, s float64, spans ...wire.Span) wire.Finding {
		return wire.Finding{Native: name, Score: score(s), Raw: fmt.Sprint(s), Spans: spans}
	}
	f := func(want []wire.Finding, outputs ...[]wire.Finding) {
		t.Helper()
		var in []wire.Output
		for _, o := range outputs {
			in = append(in, wire.Output{Vendor: "own", Findings: o})
		}
		if got := Merge(in); !reflect.DeepEqual(got, wire.Output{Vendor: "own", Findings: want}) {
			t.Errorf("%+v", got)
		}
	}
	type list = []wire.Finding
	f(list{clean}, list{clean}, list{clean})
	f(list{found("A", .7)}, list{clean}, list{found("A", .7)}, list{clean})
	f(list{found("B", .6)}, list{absent}, list{found("B", .6)}, list{absent})
	f(list{absent}, list{absent}, list{absent})
	f(list{found("A", .9, at(0, 6), at(8, 9))}, list{found("A", .7, at(0, 5))}, list{found("A", .9, at(3, 6), at(8, 9))})
	f(list{found("A", .9, at(0, 9), at(9, 12))}, list{found("A", .9, at(9, 12), at(0, 9), at(2, 5))}, list{found("A", .1)})
	if got := Merge(nil); len(got.Findings) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestDedupe(t *testing.T) {
	p := func(label string, a, b int, s float64, by ...string) Place {
		return Place{label, s, [2]int{a, b}, [2]int{a, b}, by}
	}
	got := Dedupe([]Place{p("B", 4, 8, .2, "y"), p("A", 5, 9, .9, "y"), p("A", 0, 6, .5, "x"), p("A", 3, 4, .5, "y"), p("A", 9, 12, 1, "z"), p("B", 0, 20, .1, "y")})
	want := []Place{p("A", 0, 9, .9, "x", "y"), p("B", 0, 20, .2, "y"), p("A", 9, 12, 1, "z")}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
}

func TestRedact(t *testing.T) {
	f := func(text, want string, n int, places ...Place) {
		t.Helper()
		if got, count := Redact(text, places); got != want || count != n {
			t.Errorf("%q, %d", got, count)
		}
	}
	p := func(label string, a, b int) Place { return Place{Label: label, Byte: [2]int{a, b}} }
	f("mail a@b.c now", "mail [PII.Contact.Email] now", 1, p("PII.Contact.Email", 5, 10))
	f("0123456789", "0[X]9", 1, p("X", 5, 9), p("Y", 1, 6))
	f("0123456789", "[A][B]6789", 2, p("B", 3, 6), p("A", 0, 3))
	f("aéb", "a[X]b", 1, p("X", 2, 3))
	f("a\xc3b\xa9", "a[X]b[Y]", 2, p("X", 1, 2), p("Y", 3, 4))
	f("abc", "abc", 0, p("X", 2, 2), p("X", 2, 1), p("X", 9, 12))
	f("abc", "[X]", 1, p("X", -5, 99))
}

// What is in a place goes, and all else stays as it is and where it is.
func FuzzRedact(f *testing.F) {
	f.Add("a text wíth 日本 \xff in it", 3, 9, 7, 14)
	f.Fuzz(func(t *testing.T, text string, a, b, c, d int) {
		text = strings.Map(func(r rune) rune {
			if r == '[' || r == ']' {
				return -1
			}
			return r
		}, text)
		got, n := Redact(text, []Place{{Label: "X", Byte: [2]int{a, b}}, {Label: "Y", Byte: [2]int{c, d}}})
		if n != strings.Count(got, "[") || !utf8.ValidString(got) {
			t.Fatalf("%q: %q %d", text, got, n)
		}
		gone := func(from, size int) bool {
			return from < b && from+size > a && a < b || from < d && from+size > c && c < d
		}
		var want strings.Builder
		for i, r := range text {
			if !gone(i, utf8.RuneLen(r)) {
				want.WriteRune(r)
			}
		}
		if kept := strings.NewReplacer("[X]", "", "[Y]", "").Replace(got); kept != want.String() {
			t.Fatalf("%q: kept %q, want %q", text, kept, want.String())
		}
	})
}
