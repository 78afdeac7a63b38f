package gitleaks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// reference is what gitleaks' own engine does with a rule: all of the content, once a keyword is in it.
func reference(all *Rules, r *rule, content string) (secrets []string) {
	if !slices.ContainsFunc(r.Keywords, func(k string) bool { return strings.Contains(strings.ToLower(content), k) }) {
		return nil
	}
	for _, m := range regexp.MustCompile(r.Regex).FindAllStringSubmatchIndex(content, -1) {
		secret := strings.Trim(content[m[0]:m[1]], "\n")
		for g := max(1, r.Group); 2*g < len(m); g++ {
			if m[2*g] < m[2*g+1] {
				secret = content[m[2*g]:m[2*g+1]]
				break
			}
		}
		if r.Entropy > 0 && Entropy(secret) <= r.Entropy || all.allow.allows(content, m[0], m[1], secret) {
			continue
		}
		if !slices.ContainsFunc(r.Allow, func(a *allow) bool { return a.allows(content, m[0], m[1], secret) }) {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// sample is a text that an expression matches.
func sample(re *syntax.Regexp, r *rand.Rand) string {
	times := func(least, most int) string {
		if most < 0 {
			most = least + 3
		}
		var b strings.Builder
		for range least + r.IntN(most-least+1) {
			b.WriteString(sample(re.Sub[0], r))
		}
		return b.String()
	}
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		for {
			i := 2 * r.IntN(len(re.Rune)/2)
			if lo, hi := max(re.Rune[i], '\n'), min(re.Rune[i+1], '~'); lo <= hi {
				return string(lo + rune(r.IntN(int(hi-lo)+1)))
			}
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return string(rune('a' + r.IntN(26)))
	case syntax.OpStar:
		return times(0, 2)
	case syntax.OpPlus:
		return times(1, 3)
	case syntax.OpQuest:
		return times(0, 1)
	case syntax.OpRepeat:
		return times(re.Min, re.Max)
	case syntax.OpAlternate:
		return sample(re.Sub[r.IntN(len(re.Sub))], r)
	}
	var b strings.Builder
	for _, sub := range re.Sub {
		b.WriteString(sample(sub, r))
	}
	return b.String()
}

// Every rule finds what it is for, and, in a content of a few hundred bytes, all that gitleaks' engine finds by it.
func TestRules(t *testing.T) {
	all := Load()
	for i := range all.rules {
		r := &all.rules[i]
		tree, err := syntax.Parse(r.Regex, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, uint64(i)))
		found := 0
		for n := 0; n < 400 && found < 10; n++ {
			content := "See " + r.Keywords[n%len(r.Keywords)] + ":\n\"" + sample(tree, random) + "\"\nand\n" + sample(tree, random) + " there."
			want := reference(all, r, content)
			found += len(want)
			got := map[string]bool{}
			if err := all.Find(context.Background(), content, func(h Hit) {
				if h.Rule == r.ID {
					got[content[h.Start:h.End]] = true
				}
			}); err != nil {
				t.Fatal(err)
			}
			for _, secret := range want {
				whole := func(s string) bool { return strings.Contains(s, secret) } // of a rule whose groups are parts
				if !got[secret] && !(r.form().parts && slices.ContainsFunc(keys(got), whole)) {
					t.Errorf("%s: missed %q in %q", r.ID, secret, content)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s finds nothing", r.ID)
		}
	}
}

func keys(m map[string]bool) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}

// The automaton finds the words that a search for each finds.
func TestAutomaton(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab-]{1,4}`)
		words := rapid.SliceOfNDistinct(word, 1, 6, rapid.ID[string]).Draw(t, "words")
		content := rapid.StringMatching(`[abABc-]{0,40}`).Draw(t, "content")
		a := newAutomaton(words)
		var got []string
		state := uint16(0)
		for i := range len(content) {
			state = a.step(state, content[i])
			for _, n := range a.ends[state] {
				got = append(got, fmt.Sprint(words[n], i+1))
			}
		}
		var want []string
		for i := range len(content) {
			for _, w := range words {
				if strings.HasSuffix(strings.ToLower(content[:i+1]), w) {
					want = append(want, fmt.Sprint(w, i+1))
				}
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || a.any(content) != (len(want) > 0) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// The rules are those of the module that the generator is built with.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("generate/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if v := Load().Version(); v == "" || !strings.Contains(string(mod), "github.com/zricethezav/gitleaks/v8 "+v+"\n") {
		t.Errorf("rules.json is of %q, and generate/go.mod names another: go generate", v)
	}
}

// What is searched for around keywords is found once, wherever it is among many of them.
func TestWindows(t *testing.T) {
	all := Load()
	token := "pat" + "7fKq2mZx9RtYw4" + "." + strings.Repeat("0a1b2c3d", 8)
	many := strings.Repeat("airtable is a table in the air ", 2*maxWindow/31)
	for _, content := range []string{many + token, token + " " + many, many[:maxWindow-30] + " " + token + " " + many, many + strings.Repeat(" ", 2*around) + "airtable " + token} {
		places := map[int]bool{}
		if err := all.Find(context.Background(), content, func(h Hit) { places[h.Start] = true }); err != nil {
			t.Fatal(err)
		}
		if len(places) != 1 || !places[strings.Index(content, token)] {
			t.Errorf("%d bytes: %v", len(content), places)
		}
	}
}

// What no rule of today has: a keyword at the end of a long content that is cut, and one inside a character's bytes.
func TestEdges(t *testing.T) {
	all := Load()
	key := "ghp_" + "7fKq2mZx9RtYw4LbVc8NpJd3HsGa6TeUo1Xi"
	for _, content := range []string{key[:20], key + "\xff", "é" + key + "é", strings.Repeat("é", 400) + " jira é", "curl -u \xff:\xfe\xff\xff é"} {
		found := 0
		if err := all.Find(context.Background(), content, func(h Hit) {
			if found++; h.Start < 0 || h.Start >= h.End || h.End > len(content) || utf8.ValidString(content) && !utf8.ValidString(content[h.Start:h.End]) {
				t.Errorf("%q: %+v", content, h)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if want := strings.Count(content, key); found != want {
			t.Errorf("%q: %d hits, want %d", content, found, want)
		}
	}
}
