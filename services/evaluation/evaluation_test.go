package evaluation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var labels = []string{"A.X", "A.Y", "B.Z"}

func TestReadRows(t *testing.T) {
	rows, err := ReadRows(strings.NewReader(`{"detector":"d","label":"l","accept":["A.X","B.Z"]}`+"\n\n"), labels)
	if err != nil || len(rows) != 1 || rows[0].Accept[1] != "B.Z" {
		t.Fatal(rows, err)
	}
	f := func(in, want string) {
		t.Helper()
		if _, err := ReadRows(strings.NewReader(in), labels); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", in, err, want)
		}
	}
	f("", "no rows")
	f(`{"detector":"d","label":"l","accept":["A.X"]}`+"\n{", "line 2")
	f(`{"detector":"d","label":"l","accept":["C"]}`, `"C" is not a label`)
	f(`{"detector":"d","label":"l","accept":[]}`, "accept is empty")
	f(`{"detector":"","label":"l","accept":["A.X"]}`, "detector")
	f(`{"detector":"d","label":"`+strings.Repeat("l", maxText+1)+`","accept":["A.X"]}`, "label has more")
	f(`{"detector":"d","label":"l","accept":["A.X"],"n":1}`, "n")
	f(`{"detector":"d","label":"l","accept":["A.X"]}{}`, "more than one")
	f(strings.Repeat(" ", maxLine+1), "too long")
}

func FuzzReadRows(f *testing.F) {
	f.Add(`{"detector":"d","label":"l","accept":["A.X","B.Z"]}`)
	f.Fuzz(func(t *testing.T, in string) {
		rows, err := ReadRows(strings.NewReader(in), labels)
		if (err == nil) != (len(rows) > 0) {
			t.Errorf("%d rows and %v", len(rows), err)
		}
	})
}

func row(label string, accept ...string) Row { return Row{"d", label, accept} }

func TestScore(t *testing.T) {
	rows := []Row{row("1", "A.X"), row("2", "A.Y", "B.Z"), row("3", "B.Z"), row("4", "A.X")}
	answers := []Answer{
		{[]string{"A.X", "A.Y"}, 0.95}, {[]string{"B.Z"}, 0.85}, {[]string{"A.X", "B.Z"}, 0.75}, {nil, 0.05},
	}
	got := Score("s", rows, answers, map[string][]string{"exact": {"A.X", "", "", ""}, "words": {"A.Y", "A.Y", "", ""}})
	near(t, "top1", got.Top1, 0.5)
	near(t, "top3", got.Top3, 0.75)
	near(t, "ece", got.ECE, (0.05+0.15+0.75+0.05)/4)
	near(t, "at 0.5", got.At(0.5), 1)
	near(t, "exact", got.Lookups["exact"], 0.25)
	near(t, "mcnemar", got.McNemar, 1)                 // the model alone is right of one row more than exact, which has the same as words
	near(t, "F1 of A", got.MacroF1["A"], 0.5)          // A.X: one right of two said and two that are
	near(t, "F1 of B", got.MacroF1["B"], 2*1./(1.+2.)) // B.Z: one right of one said, two that are
	if c := got.Confusions; len(c) != 2 || c[0] != (Confusion{"A.X", "", 1}) || c[1] != (Confusion{"B.Z", "A.X", 1}) {
		t.Errorf("confusions %v", c)
	}
	if got.Bins[9].N != 1 || got.Bins[0].N != 1 {
		t.Errorf("bins %v", got.Bins)
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %g, want %g", what, got, want)
	}
}

func TestMcNemar(t *testing.T) {
	a := make([]bool, 20)
	b := make([]bool, 20)
	for i := range 10 {
		a[i] = true
	}
	near(t, "10 to 0", mcnemar(a, b), 2.0/1024)
	near(t, "0 to 10", mcnemar(b, a), 2.0/1024)
	near(t, "the same", mcnemar(a, a), 1)
	b[15] = true
	near(t, "10 to 1", mcnemar(a, b), 2*(1+11)/2048.)
}

func TestRun(t *testing.T) {
	sets := []Set{{"one", []Row{row("a", "A.X"), row("b", "A.Y")}}, {"two", []Row{row("c", "B.Z")}}}
	s := System{Name: "m", Ask: func(_ context.Context, _, label string) (Answer, error) {
		return Answer{[]string{map[string]string{"a": "A.X", "b": "A.X", "c": "B.Z"}[label]}, 0.9}, nil
	}, Lookups: func(label string) map[string]string {
		return map[string]string{"exact": map[string]string{"a": "A.X"}[label]}
	}}
	report, answers, err := Run(context.Background(), s, sets, 2)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "overall", report.Overall.Top1, 2./3)
	if len(report.Sets) != 2 || report.Latency.N != 3 {
		t.Errorf("%+v", report)
	}
	worse := System{Name: "w", Ask: func(context.Context, string, string) (Answer, error) { return Answer{Labels: []string{"A.X"}}, nil }}
	if err := report.Compare(context.Background(), worse, sets, answers, 2); err != nil {
		t.Fatal(err)
	}
	near(t, "agreement", report.Agreements[0].Same, 2./3)
	near(t, "top1", report.Agreements[0].Top1, 1./3)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text": func(b *bytes.Buffer) error { return report.Text(b) },
		"html": func(b *bytes.Buffer) error { return report.HTML(b) },
		"json": func(b *bytes.Buffer) error { return report.JSON(b) },
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil || !strings.Contains(b.String(), "overall") {
			t.Errorf("%s: %v %s", name, err, &b)
		}
		if name == "json" && json.Unmarshal(b.Bytes(), &Report{}) != nil {
			t.Error("the JSON cannot be read again")
		}
		if name == "html" && strings.Contains(b.String(), "http") {
			t.Error("the page needs something else")
		}
	}
	broken := errors.New("broken")
	s.Ask = func(context.Context, string, string) (Answer, error) { return Answer{}, broken }
	if _, _, err := Run(context.Background(), s, sets, 2); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestOpenSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.jsonl")
	if err := os.WriteFile(path, []byte(`{"detector":"d","label":"l","accept":["A.X"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := OpenSet(path, labels); err != nil || s.Name != "mine" {
		t.Error(s, err)
	}
	if _, err := OpenSet(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
}
