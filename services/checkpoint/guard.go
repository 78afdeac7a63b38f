package checkpoint

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// GuardPrompt is what only a guard's prompt has. The prompt is the prefix, the template and the suffix. {role} in the first two
// is the name of the role that is judged. The template is plain text, in which special tokens are text like any other, because
// it is tokenised in one with what the messages say, for {conversation}: "ROLE: TEXT" each, with an empty line in between. So
// let the prefix end where no token can go on, such as after an empty line.
type GuardPrompt struct {
	Suffix string            `yaml:"suffix"` // behind the template, with special tokens: the turn's end and the beginning of the answer
	Roles  map[string]string `yaml:"roles"`  // the model's names of user and, if it judges replies too, assistant
}

// Verdict is what a guard may say: Clean, or Flagged with one to Most of the categories, in their order, with commas.
type Verdict struct {
	Clean      string   `yaml:"clean"`
	Flagged    string   `yaml:"flagged"` // with the line break behind it
	Categories []string `yaml:"categories"`
	Most       int      `yaml:"most"` // 1 to 3
	End        string   `yaml:"end"`  // the token that ends an answer, by which one verdict is not the beginning of another
}

// maxCategories and maxMost bound the verdicts, which are all combinations.
const (
	maxCategories = 32
	maxMost       = 3
)

var (
	guardFields  = []string{"role", "conversation"}
	categoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$`)
)

// IsGuard says whether the checkpoint judges content, and does not map what detectors say.
func (m *Manifest) IsGuard() bool { return m.Codec.Type == "verdict" }

// Texts are all verdicts, without their end; the first is clean.
func (v Verdict) Texts() []string {
	out := []string{v.Clean}
	var grow func(text string, from, most int)
	grow = func(text string, from, most int) {
		for i := from; i < len(v.Categories) && most > 0; i++ {
			out = append(out, text+v.Categories[i])
			grow(text+v.Categories[i]+",", i+1, most-1)
		}
	}
	grow(v.Flagged, 0, v.Most)
	return out
}

func (p GuardPrompt) empty() bool { return p.Suffix == "" && len(p.Roles) == 0 }

func (v Verdict) empty() bool {
	return v.Clean == "" && v.Flagged == "" && len(v.Categories) == 0 && v.Most == 0 && v.End == ""
}

// validateGuard checks what a guard has.
func (m *Manifest) validateGuard() error {
	p, v := m.Prompt, m.Codec.Verdict
	errs := []error{unknown("prompt.template", p.Template, guardFields)}
	check := checker(&errs)
	for _, foreign := range []struct {
		key string
		set bool
	}{
		{"taxonomy", m.Taxonomy != ""}, {"adapters", len(m.Adapters) > 0}, {"lexicon", m.Lexicon != nil}, {"golden", m.Golden != nil}, {"codec.codes", len(m.Codec.Codes) > 0},
		{"prompt.normalize", p.Normalize != ""}, {"prompt.evidence", p.Evidence != nil}, {"prompt.default_kind", p.DefaultKind != ""}, {"prompt.kinds", len(p.Kinds) > 0},
	} {
		check(!foreign.set, "%s is for checkpoints that map findings; a guard has none: delete it", foreign.key)
	}
	check(strings.Count(p.Template, "{conversation}") == 1, "prompt.template must have {conversation} once, which stands for what is to be judged")
	roles := slices.Sorted(maps.Keys(p.Guard.Roles))
	check(slices.Equal(roles, []string{"user"}) || slices.Equal(roles, []string{"assistant", "user"}), "prompt.roles must name user, and may name assistant")
	for _, role := range roles {
		check(p.Guard.Roles[role] != "", "prompt.roles.%s must be the model's name of it", role)
	}
	check(v.Clean != "" && v.Flagged != "" && v.End != "", "codec.clean, codec.flagged and codec.end must be set")
	check(len(v.Categories) >= 1 && len(v.Categories) <= maxCategories, "codec.categories has %d, outside 1 to %d", len(v.Categories), maxCategories)
	check(v.Most >= 1 && v.Most <= maxMost, "codec.most is %d, outside 1 to %d", v.Most, maxMost)
	seen := map[string]bool{}
	for _, c := range v.Categories {
		check(categoryName.MatchString(c) && !seen[c], "codec.categories: %q is twice there, or not of letters, digits, spaces, dots, dashes and underscores", c)
		seen[c] = true
	}
	return errors.Join(errs...)
}
