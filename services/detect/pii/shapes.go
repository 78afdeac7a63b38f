package pii

import "strings"

// rule is one kind of number: what it looks like, what must hold for it, and how sure that makes us.
type rule struct {
	label  string
	name   string            // what the rule looked at, for a hit's explanation
	shapes string            // separated by blanks; see match
	check  func([]byte) bool // checksum and ranges; nil if there is none
	alone  float64           // the score without a word near; 0 if it is no hit then
	told   float64           // the score with one
	topics topics
	upper  bool // letters must be capitals
}

// shape is one form of a rule.
type shape struct {
	form string
	*rule
}

// shapeTable is the shapes by the length of their first run of letters and digits, and by what it is of.
type shapeTable [4][longest][]shape

// What a run is of.
const (
	allLetters = iota
	allDigits
	letterFirst // and digits
	digitFirst  // and letters
)

func (t *shapeTable) add(form string, r *rule) {
	n := 0
	for n < len(form) && (form[n] == '9' || form[n] == 'A' || form[n] == 'X') {
		n++
	}
	run := form[:n]
	for of, fits := range [...]bool{
		allLetters:  !strings.Contains(run, "9"),
		allDigits:   !strings.Contains(run, "A"),
		letterFirst: run[0] != '9',
		digitFirst:  run[0] != 'A',
	} {
		if fits {
			t[of][n] = append(t[of][n], shape{form, r})
		}
	}
}

// match reads a form at the start of s: 9 is a digit, A a letter, X either, _ a blank or a hyphen, and all else is
// itself. It writes letters and digits to out, letters as capitals, and returns how much it read and wrote, or 0.
func match(form, s string, out *[longest]byte, upper bool) (read, wrote int) {
	if len(s) < len(form) {
		return 0, 0
	}
	for i := range len(form) {
		c := s[i]
		isLetter := c|0x20 >= 'a' && c|0x20 <= 'z'
		switch form[i] {
		case '9':
			if !digit(c) {
				return 0, 0
			}
		case 'A', 'X':
			if !isLetter && (form[i] == 'A' || !digit(c)) || isLetter && upper && c >= 'a' {
				return 0, 0
			}
		case '_':
			if c != ' ' && c != '-' {
				return 0, 0
			}
			continue
		default:
			if c != form[i] {
				return 0, 0
			}
			continue
		}
		if isLetter {
			c &^= 0x20
		}
		out[wrote] = c
		wrote++
	}
	return len(form), wrote
}

// shapes tries every shape that can start at a word.
func (s *scan) shapes(i int) {
	w := s.words[i]
	n, of := w.end-w.start, letterFirst
	switch {
	case n >= longest:
		return
	case w.digits == 0:
		of = allLetters
	case w.digits == n:
		of = allDigits
	case digit(s.content[w.start]):
		of = digitFirst
	}
	for _, sh := range s.table[of][n] {
		s.shape(i, sh)
	}
}

func (s *scan) shape(i int, sh shape) {
	start := s.words[i].start
	read, wrote := match(sh.form, s.content[start:], &s.out, sh.upper)
	end := start + read
	if read == 0 || letter(s.content, end) || within(s.content, start, end) || start > 0 && s.content[start-1] == '+' {
		return
	}
	if sh.check != nil && !sh.check(s.out[:wrote]) {
		return
	}
	s.judge(i, start, end, sh.rule)
}

// judge adds a hit if a rule's score allows, with the words around in view.
func (s *scan) judge(first, start, end int, r *rule) {
	last := first
	for last+1 < len(s.words) && s.words[last+1].start < end {
		last++
	}
	for first > 0 && s.words[first-1].end > start {
		first--
	}
	score, why := r.alone, ""
	if r.topics != 0 {
		if k := near(s.words, first, last, r.topics); k > 0 {
			score, why = max(r.alone, r.told-0.005*float64(k-1)), "; raised by a word near"
		} else {
			why = "; no word near"
		}
	}
	if score > 0 {
		s.add(r.label, score, start, end, r.name+why)
	}
}
