package mapper

import (
	"slices"
	"strings"
	"testing"

	"github.com/llama-mapper/llama-mapper/services/detect"
	"github.com/llama-mapper/llama-mapper/services/detect/code"
	"github.com/llama-mapper/llama-mapper/services/detect/injection"
	"github.com/llama-mapper/llama-mapper/services/detect/pii"
	"github.com/llama-mapper/llama-mapper/services/detect/secrets"
	"github.com/llama-mapper/llama-mapper/services/detect/toxicity"
	"github.com/llama-mapper/llama-mapper/services/detect/urls"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

var builtins = []detect.Detector{pii.New(), secrets.New(), injection.New(), toxicity.New(), urls.New(), code.New()}

// Whatever a built-in detector says has a row, and the tables have no row for what it does not say.
func TestBuiltins(t *testing.T) {
	_, tables := shippedTables(t)
	n := 0
	for _, d := range builtins {
		own := tables.of(d.Name(), wire.Output{Vendor: "own"})
		if own == nil {
			t.Fatalf("%s has no table", d.Name())
		}
		for _, native := range d.Labels() {
			n++
			labels, _ := tables.lookup(own, "", wire.Finding{Native: native}, false)
			if labels == nil || labels[0] == labelSafe || labels[0] == labelUnknown {
				t.Errorf("%s: %s is %v", d.Name(), native, labels)
			}
		}
		if own.Detector == d.Name() { // toxicity shares another's
			unused(t, own, d.Labels())
		}
	}
	if n < 80 {
		t.Errorf("only %d labels", n)
	}
}

// unused fails for rows that answer none of the labels.
func unused(t *testing.T, own *table, labels []string) {
	t.Helper()
	for name := range own.Maps {
		before, after, open := strings.Cut(name, "*")
		if !slices.ContainsFunc(labels, func(label string) bool {
			label = strings.ToLower(label)
			return label == name || open && (pattern{before: before, after: after}).matches(label)
		}) {
			t.Errorf("%s: nothing says %s", own.Detector, name)
		}
	}
}

// A rule of gitleaks means the same whoever runs it.
func TestBuiltinGitleaks(t *testing.T) {
	_, tables := shippedTables(t)
	n := 0
	for _, id := range secrets.New().Labels() {
		if id == strings.ToUpper(id) {
			continue // a label of our own
		}
		n++
		want, _ := tables.lookup(tables["gitleaks"], "", wire.Finding{Native: id}, false)
		if got, _ := tables.lookup(tables["secrets"], "", wire.Finding{Native: id}, false); !slices.Equal(got, want) {
			t.Errorf("%s is %v, and in gitleaks' table %v", id, got, want)
		}
	}
	if n < 200 {
		t.Errorf("only %d rules", n)
	}
}

// A detector of somebody else's that is called like one of ours keeps the answers that its format's table has.
func TestBuiltinNames(t *testing.T) {
	_, tables := shippedTables(t)
	for _, d := range builtins {
		own := tables.of(d.Name(), wire.Output{})
		for _, format := range []string{"fms-detectors", "huggingface-transformers", "sarif"} {
			for native := range tables[format].Maps {
				want, _ := tables.lookup(tables[format], "", wire.Finding{Native: native}, false)
				if got, _ := tables.lookup(own, format, wire.Finding{Native: native}, false); !slices.Equal(got, want) {
					t.Errorf("%s, %s: %s is %v, not %v", d.Name(), format, native, got, want)
				}
			}
		}
	}
}
