package remote

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// step is one part of a path: a member's name, an element's number, or all elements.
type step struct {
	name  string
	index int
	all   bool
}

// path leads to values in a JSON document. It is a part of JSONPath whose walk is no longer than the document.
type path []step

const maxSteps = 16

var (
	stepShape = regexp.MustCompile(`^(?:\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(\d{1,4})\]|\[(\*)\]|\['([^'\\]{1,64})'\])`)
	errPath   = errors.New("it must be of names, [n], [*] and ['name'], such as results[*].label, with at most 16 of them")
	errAbsent = errors.New("the answer has no value at a path")
)

// parsePath reads a path; $ in front is no part of it.
func parsePath(text string) (out path, err error) {
	text = strings.TrimPrefix(text, "$")
	for text != "" {
		m := stepShape.FindStringSubmatch(text)
		if m == nil || len(out) == maxSteps {
			return nil, errPath
		}
		s := step{name: m[1] + m[4], all: m[3] != ""}
		if m[2] != "" {
			s.index, _ = strconv.Atoi(m[2])
		}
		out, text = append(out, s), text[len(m[0]):]
	}
	return out, nil
}

// each calls do with every value that the path leads to, in their order. That a member or an element is not there is
// errAbsent; that a list is empty is not.
func (p path) each(v any, do func(any) error) error {
	if len(p) == 0 {
		return do(v)
	}
	s, rest := p[0], p[1:]
	if s.name != "" {
		members, _ := v.(map[string]any)
		inner, ok := members[s.name]
		if !ok {
			return errAbsent
		}
		return rest.each(inner, do)
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		return errAbsent
	case s.all:
		for _, inner := range list {
			if err := rest.each(inner, do); err != nil {
				return err
			}
		}
		return nil
	case s.index >= len(list):
		return errAbsent
	}
	return rest.each(list[s.index], do)
}

// one is the value that a path without [*] leads to.
func (p path) one(v any) (out any, err error) {
	err = p.each(v, func(found any) error { out = found; return nil })
	return out, err
}

// many says whether the path may lead to several values.
func (p path) many() bool {
	for _, s := range p {
		if s.all {
			return true
		}
	}
	return false
}
