package mapper

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/evaluation"
)

// found is a label's number and the grade of its evidence.
type found struct {
	label int
	grade string
}

func (f *found) UnmarshalJSON(raw []byte) error {
	return json.Unmarshal(raw, &[]any{&f.label, &f.grade})
}

// smallLexicon reads testdata/lexicon.json, to which checkpoints/train/lookup_test.py holds training.
func smallLexicon(t testing.TB) (l *lexicon, searches map[string][]found) {
	t.Helper()
	raw, err := os.ReadFile("testdata/lexicon.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Entries, Searches [][2]json.RawMessage
		Known             []string // that are not read as other words
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	number := map[string]int{}
	for _, e := range doc.Entries {
		var text string
		var label int
		if json.Unmarshal(e[0], &text) != nil || json.Unmarshal(e[1], &label) != nil {
			t.Fatalf("entry %s", e)
		}
		name := fmt.Sprint("label ", label)
		number[name] = label
		fmt.Fprintf(&lines, "%s\t%s\n", text, name)
	}
	if l, err = readLexicon(strings.NewReader(lines.String()), number); err != nil {
		t.Fatal(err)
	}
	l.speller = newSpeller(l, func(word string) bool { return slices.Contains(doc.Known, word) })
	searches = map[string][]found{}
	for _, s := range doc.Searches {
		var text string
		want := []found{}
		if json.Unmarshal(s[0], &text) != nil || json.Unmarshal(s[1], &want) != nil {
			t.Fatalf("search %s", s)
		}
		searches[text] = want
	}
	return l, searches
}

func TestLexiconAgreesWithTraining(t *testing.T) {
	l, searches := smallLexicon(t)
	for range 2 { // the second time with the first one's scratch
		for text, want := range searches {
			got := []found{}
			for _, n := range l.search(text, 6) {
				got = append(got, found{n.entry.label, n.grade()})
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q: got %v, want %v", text, got, want)
			}
		}
	}
}

func TestLexiconRefuses(t *testing.T) {
	f := func(lines, want string) {
		t.Helper()
		if _, err := readLexicon(strings.NewReader(lines), map[string]int{"A.B": 0}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", lines, err, want)
		}
	}
	f("words\tA.C\n", "not a label")
	f("words\n", "not a label")
	f("Words\tA.B\n", "normalised")
	f("b\tA.B\na\tA.B\n", "line 2")
	f("a\tA.B\na\tA.B\n", "twice")
	f(strings.Repeat("a", maxLexiconLine+1)+"\tA.B\n", "too long")
}

// exhaustive is search without its shortcuts.
func exhaustive(l *lexicon, text string, most int) (out []near) {
	words, read := l.speller.correct(text)
	s := l.share(words, read)
	defer l.release(s)
	var all []near
	for i := range l.entries {
		n := near{entry: &l.entries[i]}
		n.words, n.trigrams = l.nearness(s, i)
		if n.score = (n.words + 2*n.trigrams) / 3; n.score >= leastScore {
			all = append(all, n)
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return b.score - a.score })
	votes := map[int]int{}
	for _, n := range all[:min(len(all), voters)] {
		votes[n.entry.label]++
	}
	for _, n := range all[:min(len(all), bestEntries)] {
		if len(out) < most && !slices.ContainsFunc(out, func(o near) bool { return o.entry.label == n.entry.label }) {
			n.votes = votes[n.entry.label]
			out = append(out, n)
		}
	}
	return out
}

func TestSearchMissesNothing(t *testing.T) {
	one, err := readLexicon(strings.NewReader("credit card\tA.B\n"), map[string]int{"A.B": 0})
	if err != nil {
		t.Fatal(err)
	}
	one.speller = newSpeller(one, func(string) bool { return false })
	small, searches := smallLexicon(t)
	texts := append(slices.Collect(maps.Keys(searches)), "", "a", "creditt cardd", "cred card", "credit credit card", strings.Repeat("card number of the credit ", 40))
	for _, l := range []*lexicon{one, small, largeLexicon(t)} {
		for _, text := range texts {
			if got, want := l.search(text, 6), exhaustive(l, text, 6); !reflect.DeepEqual(got, want) {
				t.Errorf("%d entries, %q: found %v, there are %v", len(l.entries), text, got, want)
			}
		}
	}
}

func FuzzReadLexicon(f *testing.F) {
	f.Add("a\tA.B\nb c\tA.B\n")
	f.Fuzz(func(t *testing.T, lines string) {
		l, err := readLexicon(strings.NewReader(lines), map[string]int{"A.B": 0})
		if err != nil {
			return
		}
		for _, e := range l.entries {
			if got := l.search(e.text, 1); len(got) != 1 || got[0].score != 1000 {
				t.Errorf("%q finds %v", e.text, got)
			}
		}
	})
}

// largeLexicon is the one that ships.
func largeLexicon(t testing.TB) *lexicon {
	t.Helper()
	number := map[string]int{}
	for i, label := range labelIDs(t) {
		number[label] = i
	}
	f, err := os.Open(shippedLexicon)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l, err := readLexicon(f, number)
	if err != nil {
		t.Fatal(err)
	}
	l.speller = newSpeller(l, func(string) bool { return false })
	return l
}

// A search in the lexicon that ships, which every request to the model makes.
func BenchmarkLexiconSearch(b *testing.B) {
	l := largeLexicon(b)
	for _, text := range []string{"credit card number", "user asks how to build a bomb", "creditt cardd nummber"} {
		b.Run(strings.ReplaceAll(text, " ", "-"), func(b *testing.B) {
			for b.Loop() {
				l.search(text, 6)
			}
		})
	}
}

const shippedLexicon = "../../checkpoints/mapper-tiny/lexicon.tsv"

func labelIDs(t testing.TB) (out []string) {
	t.Helper()
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range taxonomy.Labels {
		out = append(out, l.ID)
	}
	return out
}

// What the shipped checkpoint is measured on is not in what it was taught.
func TestNoLeak(t *testing.T) {
	raw, err := os.ReadFile(shippedLexicon)
	if err != nil {
		t.Fatal(err)
	}
	taught := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		text, _, _ := strings.Cut(line, "\t")
		taught[text] = true
	}
	paths, err := filepath.Glob("../../checkpoints/mapper-tiny/eval/*.jsonl")
	if err != nil || len(paths) < 7 {
		t.Fatal(paths, err)
	}
	for _, path := range paths {
		set, err := evaluation.OpenSet(path, labelIDs(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range set.Rows {
			if taught[normalizeWords(row.Label)] {
				t.Errorf("%s: %q is in the lexicon that was trained on", set.Name, row.Label)
			}
		}
	}
}
