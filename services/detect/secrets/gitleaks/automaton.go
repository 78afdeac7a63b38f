package gitleaks

import "strings"

// automaton finds all of many words in one pass, whatever the case of their ASCII letters (Aho and Corasick, 1975).
type automaton struct {
	class [256]uint8 // bytes that no word has are alike
	width int        // how many classes there are
	next  []uint16   // by state and class
	ends  [][]uint16 // by state: the words that end there
}

func newAutomaton(words []string) *automaton {
	a := &automaton{width: 1}
	for _, w := range words {
		for i := range len(w) {
			if c := w[i]; a.class[c] == 0 {
				a.class[c] = uint8(a.width)
				a.width++
			}
		}
	}
	for c := 'a'; c <= 'z'; c++ {
		a.class[c-'a'+'A'] = a.class[c]
	}
	a.state()
	for n, w := range words {
		s := 0
		for i := range len(w) {
			at := s*a.width + int(a.class[w[i]])
			if a.next[at] == 0 {
				a.next[at] = a.state()
			}
			s = int(a.next[at])
		}
		a.ends[s] = append(a.ends[s], uint16(n))
	}
	a.link()
	return a
}

// state adds one.
func (a *automaton) state() uint16 {
	a.next = append(a.next, make([]uint16, a.width)...)
	a.ends = append(a.ends, nil)
	return uint16(len(a.ends) - 1)
}

// link fills in where a state goes when its word goes on otherwise: where the longest end of it that begins a word goes.
func (a *automaton) link() {
	shorter := make([]uint16, len(a.ends))
	queue := []uint16{0}
	for len(queue) > 0 {
		s := int(queue[0])
		queue = queue[1:]
		a.ends[s] = append(a.ends[s], a.ends[shorter[s]]...)
		for c := range a.width {
			other := uint16(0)
			if s != 0 {
				other = a.next[int(shorter[s])*a.width+c]
			}
			if child := a.next[s*a.width+c]; child != 0 {
				shorter[child] = other
				queue = append(queue, child)
			} else {
				a.next[s*a.width+c] = other
			}
		}
	}
}

// step is the state behind one more byte.
func (a *automaton) step(state uint16, c byte) uint16 {
	return a.next[int(state)*a.width+int(a.class[c])]
}

// any says whether a text has one of the words.
func (a *automaton) any(s string) bool {
	state := uint16(0)
	for i := range len(s) {
		if state = a.step(state, s[i]); len(a.ends[state]) > 0 {
			return true
		}
	}
	return false
}

// lower is what the automaton needs its words to be.
func lower(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strings.ToLower(w)
	}
	return out
}
