// Package pii finds personal data by its form: patterns, checksums, and the words around, in Presidio's manner and
// with Presidio's names. What has no form of its own it cannot see: names of people and places need a model of the
// language.
package pii

import (
	"context"
	"slices"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/spans"
)

// Detector finds personal data. Make one with New.
type Detector struct {
	table      shapeTable
	vocabulary map[string]topics
	labels     []string
}

var _ detect.Detector = (*Detector)(nil)

// New makes a detector. It is meant to be made once.
func New() *Detector {
	d := &Detector{vocabulary: vocabulary()}
	d.labels = []string{"CRYPTO", "DATE_OF_BIRTH", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MAC_ADDRESS", "PHONE_NUMBER"}
	all := rules()
	for i := range all {
		r := &all[i]
		for form := range fields(r.shapes) {
			d.table.add(form, r)
		}
		d.labels = append(d.labels, r.label)
	}
	slices.Sort(d.labels)
	d.labels = slices.Compact(d.labels)
	return d
}

// Name is the detector's name.
func (d *Detector) Name() string { return "pii" }

// Version is that of the rules.
func (d *Detector) Version() string { return "2026.11.1" }

// Labels are all that it can say.
func (d *Detector) Labels() []string { return slices.Clone(d.labels) }

// scan is one content being looked at.
type scan struct {
	content string
	words   []word
	table   *shapeTable
	hits    []detect.Hit
	out     [longest]byte // of the shape being matched

	phones   int // that were validated
	phoneEnd int // of the last that was found
}

func (s *scan) add(label string, score float64, start, end int, rule string) {
	s.hits = append(s.hits, detect.Hit{Label: label, Score: min(score, 1), Start: start, End: end, Rule: rule})
}

// Detect finds personal data in content. Where two readings overlap, the surer one is a hit, and of equally sure ones
// the longer.
func (d *Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	s := &scan{content: content, table: &d.table}
	room := rooms.Get().(*[]word)
	defer rooms.Put(room)
	*room = split(content, (*room)[:0], d.vocabulary)
	s.words = *room
	for i := range s.words {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w := &s.words[i]
		if w.end < len(content) && content[w.end] == '@' {
			s.email(i)
		}
		if w.digits > 0 {
			s.number(i)
		} else if w.end-w.start <= 5 {
			s.letters(i)
		}
	}
	hits := spans.Resolve(s.hits)
	detect.Runes(content, hits)
	return hits, ctx.Err()
}

// number tries all that can start with a word that has a digit.
func (s *scan) number(i int) {
	w := s.words[i]
	n := w.end - w.start
	s.shapes(i)
	if n <= 4 {
		s.address(i)
	}
	if w.digits == n {
		s.phone(i)
		if n <= 4 {
			s.birth(i)
		}
	}
	if n >= 4 && n <= 34 && w.digits < n {
		s.iban(i)
	}
	if n >= 25 {
		s.crypto(i)
	}
}

// letters tries what can start with a short word without a digit.
func (s *scan) letters(i int) {
	if n := s.words[i].end - s.words[i].start; n == 2 || n == 4 {
		s.address(i)
	}
	s.shapes(i)
}
