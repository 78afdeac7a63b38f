package mapper

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestNormalizeWords(t *testing.T) {
	raw, err := os.ReadFile("testdata/normalize.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var row struct{ In, Out string }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if got := normalizeWords(row.In); got != row.Out {
			t.Errorf("%q: got %q, want %q", row.In, got, row.Out)
		}
	}
}

var normal = regexp.MustCompile(`^([a-z0-9]+( [a-z0-9]+)*)?$`)

func FuzzNormalizeWords(f *testing.F) {
	for _, s := range []string{"SELF_HARM", "HTTPServer", "userIDs", "IPv4Address", "Größe №5 ①", "\xff\x00", "naïve ﬁnance"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := normalizeWords(s)
		if !normal.MatchString(got) {
			t.Errorf("%q became %q", s, got)
		}
		if again := normalizeWords(got); again != got {
			t.Errorf("%q became %q, then %q", s, got, again)
		}
	})
}
