package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/llama-mapper/llama-mapper/llama"
)

// node is a place in the trie of answers: the tokens that must follow, and then either a branch or the end.
type node struct {
	forced   []llama.Token // a run without a choice
	tokens   []llama.Token // the choices after the run, ascending; empty at the end of an answer
	children []*node       // one for each choice
	answer   int           // the answer's number at its end, -1 at a branch
}

// newTrie compiles the answers. It fails when one is the beginning of another, because then there is no
// token that tells them apart.
func newTrie(answers [][]llama.Token) (*node, error) {
	if len(answers) < 2 {
		return nil, errors.New("fewer than two answers leave nothing to ask")
	}
	order := make([]int, len(answers))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(answers[a], answers[b]) })
	for i, a := range order {
		if len(answers[a]) == 0 {
			return nil, fmt.Errorf("answer %d is empty", a)
		}
		if i > 0 {
			before := answers[order[i-1]]
			if len(before) <= len(answers[a]) && slices.Equal(before, answers[a][:len(before)]) {
				return nil, fmt.Errorf("answer %d begins with answer %d", a, order[i-1])
			}
		}
	}
	return grow(answers, order, 0), nil
}

// grow makes the node below the first depth tokens, which the ordered answers have in common.
func grow(answers [][]llama.Token, order []int, depth int) *node {
	n := &node{answer: -1}
	first, last := answers[order[0]], answers[order[len(order)-1]]
	if len(order) == 1 {
		n.forced, n.answer = first[depth:], order[0]
		return n
	}
	from := depth
	for first[depth] == last[depth] { // sorted, so what the ends share all share; prefix-free, so it ends
		depth++
	}
	n.forced = first[from:depth]
	for len(order) > 0 {
		token := answers[order[0]][depth]
		same := 1
		for same < len(order) && answers[order[same]][depth] == token {
			same++
		}
		n.tokens = append(n.tokens, token)
		n.children = append(n.children, grow(answers, order[:same], depth+1))
		order = order[same:]
	}
	return n
}
