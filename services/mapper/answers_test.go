package mapper

import (
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/checkpoint"
)

func TestAnswers(t *testing.T) {
	taxonomy, err := ParseTaxonomy(config.Taxonomy())
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]string{}
	for _, label := range taxonomy.Labels {
		codes[label.ID] = "<" + label.ID + ">"
	}
	m := &checkpoint.Manifest{Taxonomy: taxonomy.Version, Codec: checkpoint.Codec{Type: "code", Codes: codes}}
	if err := taxonomy.Answers(m); err != nil {
		t.Error(err)
	}
	if err := taxonomy.Answers(&checkpoint.Manifest{Taxonomy: taxonomy.Version, Codec: checkpoint.Codec{Type: "json"}}); err != nil {
		t.Error(err)
	}
	err = taxonomy.Answers(&checkpoint.Manifest{Codec: checkpoint.Codec{Type: "verdict"}})
	if err == nil || !strings.Contains(err.Error(), "name it in guard.model_paths") {
		t.Errorf("a guard: %v", err)
	}
	m.Taxonomy = "1999.12"
	delete(codes, "OTHER.Spam")
	codes["BIAS.Age"], codes["BIAS.Race"], codes["BIAS.Wrong"] = "", "<BIAS.Gender>", "<x>"
	err = taxonomy.Answers(m)
	for _, want := range []string{
		`it answers with taxonomy "1999.12", this program has "` + taxonomy.Version + `"`, "lacks 2 of the taxonomy's 89 labels: BIAS.Age, OTHER.Spam",
		`BIAS.Gender and BIAS.Race both have "<BIAS.Gender>"`, "has what the taxonomy has not: BIAS.Wrong",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
