package gitleaks

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// form is a rule's expression, made ready to be tried where one of its keywords is.
type form struct {
	re    *regexp.Regexp
	near  bool // the keyword is not where a match begins: one is searched for around it
	word  bool // a match begins at the boundary of a word, and not behind a hyphen
	named bool // the keyword is part of a name, and an assignment must follow
	parts bool // its groups are parts of the secret: one of them repeats
	reach int  // how many bytes a match may have from the keyword on
}

// What most of gitleaks' expressions begin and end with. They are for source code; behind a secret in prose there may
// be other signs.
const (
	nameHead   = `[\w.-]{0,50}?`
	nameTail   = `(?:[ \t\w.-]{0,20})[\s'"]{0,3}`
	secretTail = `(?:[\x60'"\s;]|\\[nr]|$)`
	proseTail  = `(?:[\x60'"\s;,)\]}<>&]|\\[nr]|[.!?:](?:\s|$)|$)`
)

const (
	maxReach = 2048 // of a match without a limit of its own
	around   = 512  // of a keyword that is not where the match begins
)

// shape makes a rule's form.
func shape(expression string, keywords []string) (*form, error) {
	source := strings.ReplaceAll(expression, secretTail, proseTail)
	tree, err := syntax.Parse(source, syntax.Perl)
	if err != nil {
		return nil, err
	}
	f := &form{named: tree.Op == syntax.OpConcat && strings.Contains(source, nameHead) && strings.Contains(source, nameTail)}
	f.parts = repeats(tree, false)
	wild := wanders(tree)
	source = trim(tree).String()
	if rest, word := unbound(tree); begins(rest, keywords) && !wild {
		f.word, f.reach = word, length(rest)+4 // so that the end of what is looked at is not taken for the end of the content
		source = "^(?:" + rest.String() + ")"
	} else {
		f.near = true
	}
	f.re, err = regexp.Compile(source)
	return f, err
}

// trim takes from an expression the beginning of a name, if it may be left out: without its fifty optional characters a
// search is many times as fast, and finds the same secrets.
func trim(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpConcat:
		for len(re.Sub) > 1 && re.Sub[0].Op == syntax.OpRepeat && re.Sub[0].Min == 0 && re.Sub[0].Flags&syntax.NonGreedy != 0 {
			re.Sub = re.Sub[1:]
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			trim(sub)
		}
	}
	return re
}

// unbound takes the boundary of a word from where an expression begins, if there is one.
func unbound(re *syntax.Regexp) (rest *syntax.Regexp, word bool) {
	switch {
	case re.Op == syntax.OpConcat && re.Sub[0].Op == syntax.OpWordBoundary:
		re.Sub = re.Sub[1:]
		word = true
	case re.Op == syntax.OpConcat, re.Op == syntax.OpCapture:
		re.Sub[0], word = unbound(re.Sub[0])
	}
	return re, word
}

// wanders says whether an expression may run over whatever there is, its own keyword too: then what is around many
// keywords is searched once, and not for each of them.
func wanders(re *syntax.Regexp) bool {
	if re.Op == syntax.OpStar || re.Op == syntax.OpPlus {
		if sub := re.Sub[0].Op; sub == syntax.OpAnyChar || sub == syntax.OpAnyCharNotNL {
			return true
		}
	}
	return slices.ContainsFunc(re.Sub, wanders)
}

// repeats says whether an expression has a group that may match more than once; again says that it itself may.
func repeats(re *syntax.Regexp, again bool) bool {
	switch re.Op {
	case syntax.OpCapture:
		if again {
			return true
		}
	case syntax.OpStar, syntax.OpPlus, syntax.OpRepeat:
		again = true
	}
	return slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return repeats(sub, again) })
}

// begins says whether whatever an expression matches begins with one of the words.
func begins(re *syntax.Regexp, words []string) bool {
	set, _ := leads(re)
	for _, s := range set {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(s, w) }) {
			return false
		}
	}
	return true
}

// maxLeads bounds the ways in which an expression may begin.
const maxLeads = 64

// leads are the ways in which matches begin, in small letters, as far as they can be told; whole says that they are all
// of the match.
func leads(re *syntax.Regexp) (set []string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}, true
	case syntax.OpCharClass:
		for i := 0; i+1 < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				if s := strings.ToLower(string(c)); !slices.Contains(set, s) {
					set = append(set, s)
				}
				if len(set) > 8 {
					return []string{""}, false
				}
			}
		}
		return set, true
	case syntax.OpCapture:
		return leads(re.Sub[0])
	case syntax.OpQuest:
		set, whole = leads(re.Sub[0])
		return append(set, ""), whole
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			s, w := leads(sub)
			set, whole = append(set, s...), whole && w
		}
		return set, whole
	case syntax.OpConcat:
		set = []string{""}
		for _, sub := range re.Sub {
			s, w := leads(sub)
			if len(set)*len(s) > maxLeads {
				return set, false
			}
			var longer []string
			for _, a := range set {
				for _, b := range s {
					longer = append(longer, a+b)
				}
			}
			if set = longer; !w {
				return set, false
			}
		}
		return set, true
	}
	return []string{""}, false
}

// length is how many characters a match may have, at most maxReach.
func length(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpStar, syntax.OpPlus:
		n = maxReach
	case syntax.OpRepeat:
		if n = maxReach; re.Max >= 0 {
			n = re.Max * length(re.Sub[0])
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			n = max(n, length(sub))
		}
	default:
		for _, sub := range re.Sub {
			n += length(sub)
		}
	}
	return min(n, maxReach)
}
