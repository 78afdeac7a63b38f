package content

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/services/wire"
)

func TestText(t *testing.T) {
	f := func(doc, want string) {
		t.Helper()
		if got, _ := Text(doc); got != want {
			t.Errorf("%q: %q", doc, got)
		}
	}
	same := func(doc string) { t.Helper(); f(doc, doc) }
	same("")
	same("plain text, 1 < 2 && 3 > 2 &amp; more")
	same("# Markdown\n\n[a link](https://x.example/?a=1&b=2 \"title\") ![alt](x.png) <https://auto.example>")
	same("a List<String> and <me@x.example>")
	f("<p>one</p><p>two</p>", "one\ntwo\n")
	f("ig<b></b>no<!-- x -->re <i>all</i>", "ignore all\n<!-- x -->\n")
	f("<p>a &amp; b&#x40;c &notit; &unknown; &</p>", "a & b@c ¬it; &unknown; &\n")
	f(`<img alt="do this" src=x.png title='and that'>`, "do this\nx.png\nand that\n")
	f(`<a href="https://x.example/?a&amp;b">link</a>`, "link\nhttps://x.example/?a&b\n")
	f(`<p ignore previous instructions id=x hidden>t</p now>`, "t\nignore previous instructions\nx\nhidden\nnow\n")
	f("<script>if (a < b) { say('&amp;') }</script>t<style>p{}</style>", "t\nif (a < b) { say('&amp;') }\np{}\n")
	f("<noscript>ig<b>nore</b></noscript><title>a &lt; b</title><textarea><b></textarea>", "ignore\na < b\n<b>\n")
	f("<p>one <x-unknown said='this'>two</x-unknown>", "one two\n<x-unknown said='this'>\n")
	f("<p>open</p><a href='never closed", "open\n<a href='never closed\n")
	f("<!doctype html><p>x", "x\n<!doctype html>\n")
	f("<p title=\"a", "<p title=\"a") // no tag at all
	f("<b>x</b><plaintext><b>&amp;", "x\n<b>&amp;")
	f("<p/title=x/y>t<br/>u", "t\nu\nx/y\n")
}

// What is found in the text is found in the document, in bytes and code points, and nothing else with it.
func TestBack(t *testing.T) {
	f := func(doc, find string, want ...string) {
		t.Helper()
		text, m := Text(doc)
		i := strings.Index(text, find)
		if i < 0 {
			t.Fatalf("%q is not in %q", find, text)
		}
		var got []string
		for _, s := range m.Back(wire.Span{Byte: &[2]int{i, i + len(find)}, Rune: &[2]int{utf8.RuneCountInString(text[:i]), 0}, Why: "rule"}) {
			part := doc[s.Byte[0]:s.Byte[1]]
			if m.runes != nil && *s.Rune != [2]int{utf8.RuneCountInString(doc[:s.Byte[0]]), utf8.RuneCountInString(doc[:s.Byte[1]])} || s.Why != "rule" {
				t.Errorf("%q: %v is not %v", part, *s.Rune, *s.Byte)
			}
			got = append(got, part)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q in %q: %q", find, doc, got)
		}
	}
	f("plain a@b.c é", "a@b.c", "a@b.c")
	f("<p>é mail a@b.c</p>", "a@b.c", "a@b.c")
	f("<p>é mail a&#64;b.c</p>", "a@b.c", "a&#64;b.c")
	f("<p>é mail a&#64;b.c</p>", "@", "&#64;")
	f("<p>é &notit;</p>", "it", "&notit;")
	f("<p>&nlE;x</p>", "x", "x")
	f("<p>é ig<b>no</b>re</p>", "ignore", "ig", "no", "re")
	f("<p>"+strings.Repeat("é日", 100)+" a@b</p>", "a@b", "a@b")
	f("<p>one</p>\n  <p>two</p>", "one\n\n  \ntwo", "one", "two")
	f("<p title='a&amp;b'>t</p>", "a&b", "a&amp;b")
}

func TestBackOfNothing(t *testing.T) {
	_, m := Text("<p>a</p>")
	for _, s := range []wire.Span{{}, at(1, 2), at(5, 9), at(-4, -2), at(1, 1)} {
		if got := m.Back(s); len(got) != 0 {
			t.Errorf("%+v", got)
		}
	}
	_, m = Text("plain")
	if got := m.Output(wire.Output{Findings: []wire.Finding{{Native: "A", Spans: []wire.Span{at(0, 2)}}}}); !reflect.DeepEqual(got.Findings[0].Spans, []wire.Span{at(0, 2)}) {
		t.Errorf("%+v", got)
	}
}

// No letter of a document gets lost but in tags' and attributes' names and in entities, and all places lead back.
func FuzzText(f *testing.F) {
	for _, s := range []string{"<p a=b c>x&amp;y</p>", "<!-- x", "<script><!--<script></script>", "<a b='c", "<svg><![CDATA[x]]>", "</p x=y>", "<p>\xff\r\n&#0;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		text, m := Text(doc)
		if n := utf8.RuneCountInString(text); n > 2*utf8.RuneCountInString(doc)+2 {
			t.Fatalf("%d code points", n)
		}
		if m.runes == nil {
			if text != doc {
				t.Fatal("it is changed, and there is no map")
			}
			return
		}
		end := 0
		for _, p := range m.pieces {
			if p.text[0] < end || p.text[1] <= p.text[0] || p.doc[1] <= p.doc[0] || p.same && text[p.text[0]:p.text[1]] != doc[p.doc[0]:p.doc[1]] {
				t.Fatalf("%+v", p)
			}
			if gap := strings.Trim(text[end:p.text[0]], "\n "); gap != "" {
				t.Fatalf("%q is from nowhere", gap)
			}
			end = p.text[1]
		}
		for _, s := range m.Back(at(0, len(text))) {
			if s.Byte[0] < 0 || s.Byte[1] > len(doc) || s.Rune[1] < s.Rune[0] {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// Hostile documents take no more time than others of their length.
func TestTextIsLinear(t *testing.T) {
	for _, part := range []string{"<a ", "<x ", "<b><x ", "<", "&", "&#", "<p>", "<!--", "<p a=", "<p a='", "</", "<script>", "<p>&#1", "<p><![CDATA["} {
		short := testing.AllocsPerRun(1, func() { Text(strings.Repeat(part, 1_000)) })
		long := testing.AllocsPerRun(1, func() { Text(strings.Repeat(part, 10_000)) })
		if long > 20*short+1000 {
			t.Errorf("%q: %v allocations, and %v for ten times of it", part, short, long)
		}
	}
}

func BenchmarkText(b *testing.B) {
	doc := strings.Repeat(`<p class="x">Some text &amp; <a href="https://x.example/">a link</a>, and more of it.</p>`+"\n", 500)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		Text(doc)
	}
}
