package pii

import "strings"

// birth tries a date that starts with a number, if a word near says that someone was born then.
func (s *scan) birth(i int) {
	if i+1 >= len(s.words) || goesOn(s.content, s.words[i].start) {
		return
	}
	a, b := s.words[i], s.words[i+1]
	c := word{start: b.end, end: b.end} // none
	if i+2 < len(s.words) {
		c = s.words[i+2]
	}
	first := i
	gap1, gap2 := s.content[a.end:b.start], s.content[b.end:c.start]
	good := false
	switch {
	case c.end > c.start && len(gap1) == 1 && gap1 == gap2 && strings.Contains("./-", gap1) && b.digits == b.end-b.start && c.digits == c.end-c.start:
		good = numericDate(s.number4(a), s.number4(b), s.number4(c))
	case len(gap1) <= 4 && len(gap2) <= 4 && b.topics&ofMonth != 0: // 3. March 1980
		good = s.number4(a) >= 1 && s.number4(a) <= 31 && year(s.number4(c))
	case i > 0 && s.words[i-1].topics&ofMonth != 0 && year(s.number4(b)) && len(gap1) <= 2: // March 3, 1980
		good = s.number4(a) >= 1 && s.number4(a) <= 31
		first, c = i-1, b
	}
	if !good {
		return
	}
	last := first + 2
	if k := near(s.words, first, last, ofBirth); k > 0 && k <= before {
		s.add("DATE_OF_BIRTH", 0.95-0.01*float64(k), s.words[first].start, c.end, "birth: a date beside a word of birth")
	}
}

// number4 is a word of at most four digits as a number, else -1.
func (s *scan) number4(w word) int {
	if n := w.end - w.start; w.digits != n || n > 4 {
		return -1
	}
	return num([]byte(s.content[w.start:w.end]))
}

func year(y int) bool { return y >= 1900 && y <= 2029 }

func numericDate(a, b, c int) bool {
	switch {
	case year(a):
		return date(a, b, c)
	case year(c), c >= 0 && c <= 99:
		if c < 100 {
			c += 1900
		}
		return date(c, b, a) || date(c, a, b)
	}
	return false
}
