package migration

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
)

// taxonomy reads the labels that ship: those that the first version had, and all.
func taxonomy(t testing.TB) (before, all []string, version string) {
	t.Helper()
	var doc struct {
		Version string
		Labels  []struct{ ID, Since string }
	}
	if err := yaml.Unmarshal(config.Taxonomy(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, l := range doc.Labels {
		all = append(all, l.ID)
		if l.Since == "" {
			before = append(before, l.ID)
		}
	}
	return before, all, doc.Version
}

func shipped(t testing.TB) (table *Table, before, all []string) {
	t.Helper()
	before, all, version := taxonomy(t)
	table, err := Parse(config.Migration(), before, all)
	if err != nil {
		t.Fatal(err)
	}
	if table.From != version || table.To != "2025.09" {
		t.Fatalf("it leads from %s to %s, but the taxonomy is %s", table.From, table.To, version)
	}
	return table, before, all
}

// Every label has an old name; those of 2025.09 keep theirs, and only they are exact.
func TestTotal(t *testing.T) {
	table, before, all := shipped(t)
	if len(before) != 50 || len(all) != 89 {
		t.Fatalf("%d labels before, %d now; want 50 and 89", len(before), len(all))
	}
	for _, label := range all {
		old, lossy := table.Old(label)
		if !slices.Contains(before, old) {
			t.Errorf("%s is called %q", label, old)
		}
		if kept := slices.Contains(before, label); lossy == kept || kept && old != label {
			t.Errorf("%s is called %s, lossy %v", label, old, lossy)
		}
	}
}

func TestOld(t *testing.T) {
	table, _, all := shipped(t)
	f := func(label, want string, loses bool) {
		t.Helper()
		if old, lossy := table.Old(label); old != want || lossy != loses {
			t.Errorf("%s: %s, %v; want %s, %v", label, old, lossy, want, loses)
		}
	}
	f("PII.Identifier.SSN", "PII.Identifier.SSN", false)
	f("PII.Identifier.NationalID", "PII.Identifier.Other", true)
	f("SECURITY.Credential.Token", "PII.Other", true)
	f("HARM.SEXUAL.Content", "HARM.VIOLENCE.Sexual", true)
	f("HARM.CRIME.Drugs", "HARM.VIOLENCE.Other", true)
	f("PII.NoSuch", "", false)
	f("", "", false)

	old, lossy := table.Labels([]string{"OTHER.Spam", "PII.Identifier.Device", "PII.Identifier.IPAddress", "PII.Person.Name", "no label"})
	if want := []string{"PII.Person.Name", "PII.Identifier.Other", "OTHER.LowQuality"}; !slices.Equal(old, want) || !lossy {
		t.Errorf("%v, %v; want %v", old, lossy, want)
	}
	if old, lossy := table.Labels([]string{"OTHER.Safe", "OTHER.Safe"}); !slices.Equal(old, []string{"OTHER.Safe"}) || lossy {
		t.Errorf("%v, %v", old, lossy)
	}
	if old, _ := table.Labels(all); len(old) != 50 {
		t.Errorf("all labels are called by %d names, want 50", len(old))
	}
}

func TestMistakes(t *testing.T) {
	f := func(doc string, wants ...string) {
		t.Helper()
		_, err := Parse([]byte(doc), []string{"A", "B"}, []string{"A", "B", "C"})
		if err == nil {
			t.Fatalf("taken: %s", doc)
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s\nis not in: %v", want, err)
			}
		}
	}
	const head = "from: '2'\nto: '1'\nlabels:\n"
	f("", "EOF")
	f("from: 2\nto: 1\nsurprise: 1", "surprise")
	f(head+"  - {label: C, old: A, why: x}\n---\n{}", "second document")
	f("from: '2'\nto: '2'\nlabels: [{label: C, old: A, why: x}]", "two taxonomies")
	f(head+"  - {label: A, old: B, why: x}", "A: the old taxonomy has it", "C has no old label")
	f(head+"  - {label: D, old: A, why: x}", "D: it is not in the new taxonomy")
	f(head+"  - {label: C, old: A, why: x}\n  - {label: C, old: B, why: x}", "C: it is there twice")
	f(head+"  - {label: C, old: Z, why: x}", `old: "Z" is not in the old taxonomy`)
	f(head+"  - {label: C, old: A}", "why: it is empty")
	if _, err := Parse([]byte(head+"  - {label: C, old: A, why: x}"), []string{"A", "Gone"}, []string{"A", "C"}); err == nil || !strings.Contains(err.Error(), "Gone of the old taxonomy") {
		t.Errorf("a label that is gone: %v", err)
	}
}

// Whatever is parsed is total.
func FuzzParse(f *testing.F) {
	f.Add([]byte("from: '2'\nto: '1'\nlabels: [{label: C, old: A, why: x}]"))
	f.Add(config.Migration())
	before, all := []string{"A", "B"}, []string{"A", "B", "C"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		table, err := Parse(raw, before, all)
		if err != nil {
			return
		}
		for _, label := range all {
			if old, _ := table.Old(label); !slices.Contains(before, old) {
				t.Errorf("%s is called %q", label, old)
			}
		}
	})
}
