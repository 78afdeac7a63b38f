package mapper

import (
	"regexp"
	"strings"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
)

// event is what is kept of a mapping that was begun at a time. Its request id is left to the handler.
func (s *Service) event(c access.Caller, m *api.Mapping, begin time.Time) api.Event {
	e := api.Event{
		Kind: api.EventMapping, Time: time.Now(), TenantID: c.Tenant.ID, KeyID: c.Key.ID, Detector: m.Provenance.Detector, Vendor: m.Provenance.Vendor,
		Taxonomy: m.Taxonomy, Scores: m.Scores, Confidence: m.Confidence, Source: m.Source, Versions: m.VersionInfo,
		ModelOnly: m.Provenance.ModelOnly, LatencyMS: float64(time.Since(begin).Microseconds()) / 1000,
	}
	if !name.MatchString(e.Detector) {
		e.Detector = c.Tenant.Vault.Digest(e.Detector)
	}
	for _, f := range m.Provenance.Findings {
		native := f.Native
		if !s.vocabulary.spells(native) {
			native = c.Tenant.Vault.Digest(strings.ToLower(native))
		}
		e.Findings = append(e.Findings, api.EventFinding{
			Native: native, Labels: f.Labels, Source: f.Source, Confidence: f.Confidence, Score: f.Score, Scale: f.Scale, Model: f.Model, Table: f.Table,
		})
	}
	return e
}

// name is the form of a detector's name; what has another may be anything.
var name = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,63}$`)

// vocabulary is what our own tables and taxonomy say. A label that is one of the tables', or made of nothing but their
// words, cannot hold content.
type vocabulary struct{ labels, words map[string]bool }

func newVocabulary(t *Taxonomy, tables Tables) vocabulary {
	v := vocabulary{map[string]bool{}, map[string]bool{}}
	add := func(text string) {
		for _, word := range strings.Fields(normalizeWords(text)) {
			v.words[word] = true
		}
	}
	for _, l := range t.Labels {
		add(l.ID)
		add(l.Text)
	}
	for _, table := range tables {
		for native := range table.Maps {
			add(native)
			v.labels[native] = true
		}
	}
	return v
}

// maxWords is how many words a label has at most.
const maxWords = 5

// maxLabel is how many bytes a label has at most.
const maxLabel = 64

// spells says whether a native label is one of a table's, or up to five words of the vocabulary, or numbers of up to
// three digits.
func (v vocabulary) spells(native string) bool {
	if v.labels[strings.ToLower(native)] {
		return true
	}
	words := labelWords(native)
	for _, w := range words {
		if !v.words[w] && (!isDigit(w[0]) || len(w) > 3) {
			return false
		}
	}
	return words != nil
}

// labelWords are the words of what has the form of a label, which is letters, digits and what vendors put between words;
// nil of what has not.
func labelWords(native string) []string {
	runs, before := 0, false // each run of letters and digits is a word or more
	for _, c := range []byte(native) {
		within := isUpper(c) || isLower(c) || isDigit(c)
		if !within && strings.IndexByte(" _./:&-", c) < 0 {
			return nil
		}
		if within && !before {
			runs++
		}
		before = within
	}
	if len(native) > maxLabel || runs > maxWords {
		return nil
	}
	if words := strings.Fields(normalizeWords(native)); len(words) > 0 && len(words) <= maxWords {
		return words
	}
	return nil
}

// Spells returns what says of a native label whether it is made of nothing but words that the tables and the taxonomy
// have, so that it cannot be content.
func (k Knowledge) Spells() func(native string) bool {
	return newVocabulary(k.Taxonomy, k.Tables).spells
}
