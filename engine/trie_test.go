package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/llama-mapper/llama-mapper/llama"
)

type tokens = []llama.Token

func (n *node) String() string {
	if len(n.tokens) == 0 {
		return fmt.Sprintf("%v=%d", n.forced, n.answer)
	}
	var parts []string
	for i, t := range n.tokens {
		parts = append(parts, fmt.Sprintf("%d:%v", t, n.children[i]))
	}
	return fmt.Sprintf("%v(%s)", n.forced, strings.Join(parts, " "))
}

func TestTrie(t *testing.T) {
	f := func(want string, answers ...tokens) {
		t.Helper()
		n, err := newTrie(answers)
		if err != nil || n.String() != want {
			t.Errorf("%v: got %v, %v; want %s", answers, n, err, want)
		}
	}
	f("[](1:[]=0 2:[]=1)", tokens{1}, tokens{2})
	f("[](1:[]=1 2:[]=0)", tokens{2}, tokens{1})
	f("[7 8](1:[9]=0 2:[9]=1)", tokens{7, 8, 1, 9}, tokens{7, 8, 2, 9})
	f("[7](1:[](3:[]=0 4:[]=2) 2:[5 6]=1)", tokens{7, 1, 3}, tokens{7, 2, 5, 6}, tokens{7, 1, 4})

	for _, bad := range [][]tokens{nil, {{1}}, {{1}, {1}}, {{1}, {1, 2}}, {{1, 2}, {1}}, {{1}, {}}} {
		if n, err := newTrie(bad); err == nil {
			t.Errorf("%v was accepted as %v", bad, n)
		}
	}
}

// Every answer can be walked, and every end of a walk is that answer.
func TestTrieWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		answers := rapid.SliceOfNDistinct(rapid.SliceOfN(rapid.Int32Range(0, 3), 1, 5), 2, 12,
			func(a tokens) string { return fmt.Sprint(a) }).Draw(t, "answers")
		root, err := newTrie(answers)
		if err != nil {
			return
		}
		for i, a := range answers {
			n, rest := root, a
			for {
				if !slices.Equal(n.forced, rest[:len(n.forced)]) {
					t.Fatalf("answer %d: forced %v, rest %v", i, n.forced, rest)
				}
				if rest = rest[len(n.forced):]; len(rest) == 0 {
					break
				}
				k := slices.Index(n.tokens, rest[0])
				if k < 0 {
					t.Fatalf("answer %d: no child %d in %v", i, rest[0], n.tokens)
				}
				n, rest = n.children[k], rest[1:]
			}
			if n.answer != i {
				t.Fatalf("answer %d: walked to %d", i, n.answer)
			}
		}
	})
}
