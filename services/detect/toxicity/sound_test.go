package toxicity

import (
	"context"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/services/detect/detecttest"
)

var pieces = []string{
	"you ", "are an ", "idiot", "I will kill ", "you. ", "é", "\xff", "\u200b", "f u c k", "f**k", "fuuuuck", "\U000e0041", "😀", "%69diot", "&#105;diot",
	"women ", "are vermin ", "\n", "\"", "the word ", "process ", "ѕhіt", "ｓｈｉｔ ", "a$$hole ", "!",
}

func TestSound(t *testing.T) {
	d := New()
	rapid.Check(t, func(t *rapid.T) {
		made := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		detecttest.Check(t, d, made)
		detecttest.Check(t, d, rapid.String().Draw(t, "any"))
	})
}

// What takes a threat back takes all of it back, also between the violence and whom it would have met.
func TestThreatTakenBack(t *testing.T) {
	for _, text := range []string{"are an I will kill process you", "I will kill process you", "I will kill not you"} {
		hits, err := New().Detect(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hits {
			if h.Label == Labels[threat] && h.Rule == "announced violence" {
				t.Errorf("%q is a threat, %v", text, h)
			}
		}
	}
}

// Who only names groups of people is not toxic, whatever the sentence.
func TestNamesOfGroupsDoNotScore(t *testing.T) {
	d := New()
	frames := []string{
		"%s.", "I met %s today.", "%s and their families live here.", "My parents are %s.", "As a member of %s I vote.", "Are there %s in your class?",
		"The new law is about %s.", "%s won three medals.", "We invited %s to dinner.", "I love %s.", "Two of them are %s.", "%s pray, sing and cook.",
	}
	groups := []string{
		"women", "men", "Muslims", "Jews", "Christians", "Hindus", "Buddhists", "atheists", "gay people", "lesbians", "bisexual people", "trans people",
		"black people", "white people", "Asians", "Africans", "Arabs", "Mexicans", "Latinos", "Poles", "Turks", "Roma", "refugees", "immigrants",
		"disabled people", "blind people", "deaf people", "autistic people", "elderly people", "Germans", "Chinese people", "Indians", "Russians",
	}
	for _, f := range frames {
		for _, g := range groups {
			text := strings.Replace(f, "%s", g, 1)
			for label, score := range detecttest.Best(t, d, text) {
				if score >= threshold {
					t.Errorf("%q is %s by %.2f", text, label, score)
				}
			}
		}
	}
}

func TestHitsAreSilent(t *testing.T) {
	detecttest.Silent(t, New(), "Quokkacanary, you are a fucking idiot. I will kill you, mongoosecanary. f u c k narwhalcanary", "canary", "quokka", "fuck", "idiot", "kill")
}

func TestLinear(t *testing.T) {
	d := New()
	for _, unit := range []string{"you idiot ", "a", "a ", "f**k "} {
		detecttest.LinearTo(t, d, unit, 1<<20)
	}
	for _, unit := range []string{"You are an idiot. ", "f*", "*", "%69", "é", "e\u0301", "\u200b", "\n", "\"", "fuuuck", "1d10t ", "I will kill ", "f-"} {
		detecttest.LinearTo(t, d, unit, 1<<19)
	}
}

func TestDetectHeedsTheContext(t *testing.T) { detecttest.Cancelled(t, New()) }

func TestModelIsThere(t *testing.T) {
	if New().model == nil || len(modelBytes) > 300<<10 {
		t.Errorf("%d bytes of model", len(modelBytes))
	}
}

func FuzzDetect(f *testing.F) {
	for _, p := range pieces {
		f.Add(p + p)
	}
	f.Add(strings.Join(pieces, ""))
	f.Add("are an I will kill process you")
	d := New()
	f.Fuzz(func(t *testing.T, content string) { detecttest.Check(t, d, content) })
}

var prose = strings.Repeat("The committee met on Tuesday to review the annual budget. Several members asked which of the previous projects could be continued, "+
	"and the chair explained the rules for new applications. \"We are glad,\" she said, \"that the system works.\" Please send comments by e-mail. ", 37)

func BenchmarkDetect10KB(b *testing.B) {
	d, content := New(), prose[:5<<10]+"You are a stupid idiot. "+prose[:5<<10]
	b.SetBytes(int64(len(content)))
	begin := detecttest.CPU()
	for b.Loop() {
		if _, err := d.Detect(context.Background(), content); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((detecttest.CPU()-begin).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
