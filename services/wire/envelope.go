package wire

import (
	"encoding/json"
	"regexp"
	"slices"
)

// envelopeFormat marks a document that Encode has made.
const envelopeFormat = "llama-mapper/1"

// envelope is an output that was read already, on its way between our services.
type envelope struct {
	Format   string            `json:"format"`
	Vendor   string            `json:"vendor"`
	Table    string            `json:"table,omitempty"`
	Fallback string            `json:"fallback,omitempty"`
	Model    string            `json:"model,omitempty"`
	Findings []envelopeFinding `json:"findings"`
}

// envelopeFinding is a Finding without its places, which the mapper has no use for.
type envelopeFinding struct {
	Native string   `json:"native"`
	Words  string   `json:"words,omitempty"`
	Table  string   `json:"table,omitempty"`
	Score  *float64 `json:"score,omitempty"`
	Scale  string   `json:"scale,omitempty"`
	Raw    string   `json:"raw,omitempty"`
	Clean  bool     `json:"clean,omitempty"`
}

// Encode writes an output so that Parse reads the same from it, but for places and the note.
func Encode(out Output) ([]byte, error) {
	e := envelope{Format: envelopeFormat, Vendor: out.Vendor, Table: out.Table, Fallback: out.Fallback, Model: out.Model, Findings: []envelopeFinding{}}
	for _, f := range out.Findings {
		e.Findings = append(e.Findings, envelopeFinding{f.Native, f.Words, f.Table, f.Score, f.Scale, f.Raw, f.Clean})
	}
	return json.Marshal(e)
}

func isEnvelope(d document) bool { return d.object("format", "findings") }

// scaleShape is what names of scales look like.
var scaleShape = regexp.MustCompile(`^[a-z0-9 .'-]{0,64}$`)

func parseEnvelope(_, output string) (Output, error) {
	var e envelope
	if err := json.Unmarshal([]byte(output), &e); err != nil || e.Format != envelopeFormat || !slices.Contains(Vendors(), e.Vendor) {
		return Output{}, ErrShape
	}
	out := Output{Vendor: e.Vendor, Table: e.Table, Fallback: e.Fallback, Model: e.Model}
	for _, f := range e.Findings {
		if f.Score != nil && (*f.Score < 0 || *f.Score > 1) || !scaleShape.MatchString(f.Scale) {
			return Output{}, ErrScale
		}
		for _, name := range []string{e.Table, e.Fallback, e.Model, f.Table, f.Words, f.Raw} {
			if name != "" && !nameShape.MatchString(name) {
				return Output{}, ErrName
			}
		}
		if out.add(Finding{Native: f.Native, Words: f.Words, Table: f.Table, Score: f.Score, Scale: f.Scale, Raw: f.Raw, Clean: f.Clean}); out.full() {
			return Output{}, ErrTooMany
		}
	}
	return out, named(out.Findings)
}
