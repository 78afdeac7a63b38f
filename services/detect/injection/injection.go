// Package injection finds attempts to take over a model: instructions to ignore its own, to break character, to say
// what it was told, to misuse its tools or to send data away, in the open or hidden.
//
// The life of a content: characters that nobody sees are found and what they spell is read; escapes are undone; the
// text is made plain (package fold) and cut into words; each word is of some concepts, in seven languages; rules are
// rows of concepts with a few words between; marks of chat templates and images that carry data are found by their
// writing; base64, hex, rot13 and mirrored text are decoded and go the same way. At last the surroundings speak: being
// hidden or disguised, and findings of several kinds together, raise a score; being quoted, spoken about or negated
// lowers it. README.md has the measured quality, and what this cannot see.
package injection

import (
	"context"
	"slices"

	"github.com/llama-mapper/llama-mapper/services/detect"
)

// Detector is safe for concurrent use: nothing changes it.
type Detector struct {
	g                   *grammar
	turned, backwards   concept
	discuss, negate     concept
	third, permit, your concept
}

var _ detect.Detector = (*Detector)(nil)

// labels is all that the detector can say.
var labels = []string{
	"INSTRUCTION_OVERRIDE", "POLICY_OVERRIDE", "SYSTEM_PROMPT_LEAK", "JAILBREAK", "TOOL_ABUSE", "DATA_EXFILTRATION",
	"INDIRECT_INJECTION", "HIDDEN_TEXT", "DELIMITER_SPOOFING",
}

// Bounds of an answer.
const (
	maxHits  = 500
	minScore = 0.25 // below, a finding is not worth saying
	pause    = 64   // layers between two looks at the context
)

// New has the rules ready. They are a part of the program, so it fails only for a bug, which a test would find.
func New() *Detector {
	g, err := parse(rulesText)
	if err != nil {
		panic("injection: rules.txt: " + err.Error())
	}
	d := &Detector{g: g, discuss: g.named("@discuss"), negate: g.named("@negate"), third: g.named("@third"), permit: g.named("@permit"), your: g.named("@your")}
	d.turned, d.backwards = markTurned(g)
	g.first = append(g.first, make([][]int, g.concepts-len(g.first))...)
	return d
}

// Name of the detector.
func (d *Detector) Name() string { return "injection" }

// Version of its rules.
func (d *Detector) Version() string { return "2026.11.1" }

// Labels that it can say.
func (d *Detector) Labels() []string { return slices.Clone(labels) }

// Detect finds what is there. Its time is linear in the content's length.
func (d *Detector) Detect(ctx context.Context, content string) ([]detect.Hit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []finding
	queue := []layer{{text: content}}
	for _, u := range invisible(content) {
		if u.score > 0 {
			found = append(found, finding{label: "HIDDEN_TEXT", score: u.score, start: u.start, end: u.end, why: u.name})
		}
		if u.says != "" {
			queue = append(queue, layer{text: u.says, via: []string{u.name}, fixed: true, start: u.start, end: u.end})
		}
	}
	left := 2*len(content) + extraBytes
	for n := 0; n < len(queue); n++ {
		if n%pause == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		l := queue[n].plain()
		if n > 0 {
			if left -= len(l.text); left < 0 {
				break
			}
		}
		queue[n] = layer{} // its text is done with
		f, more := d.scan(&l)
		found = append(found, f...)
		if len(l.via) < maxDepth {
			queue = append(queue, more...)
		}
	}
	return d.hits(content, found), nil
}

// hits makes the answer of the findings.
func (d *Detector) hits(content string, found []finding) []detect.Hit {
	found = merge(found)
	together(found)
	var out []detect.Hit
	for _, f := range found {
		if f.score >= minScore && len(out) < maxHits {
			out = append(out, detect.Hit{Label: f.label, Score: f.score, Start: f.start, End: f.end, Rule: f.why})
		}
	}
	detect.Runes(content, out)
	return out
}
