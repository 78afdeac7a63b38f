// Command generate writes the rules of the gitleaks module that it is built with, as the package above reads them. It is
// a module of its own, so that the nineteen modules that gitleaks needs to read its own rules are not ours.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/viper"
	"github.com/zricethezav/gitleaks/v8/config"
)

const source = "github.com/zricethezav/gitleaks/v8"

// head is the first line of the file.
type head struct {
	Source  string `json:"source"`
	Version string `json:"version"`
	Allow   allow  `json:"allow"`
}

// rule is each of the others.
type rule struct {
	ID       string   `json:"id"`
	Regex    string   `json:"regex"`
	Group    int      `json:"group,omitempty"`
	Entropy  float64  `json:"entropy,omitempty"`
	Keywords []string `json:"keywords"`
	Allow    []allow  `json:"allow,omitempty"`
}

// allow is what is no secret: by one of the patterns, in the target, or by a word in the secret.
type allow struct {
	Target    string   `json:"target,omitempty"` // the secret, unless match or line
	Regexes   []string `json:"regexes,omitempty"`
	Stopwords []string `json:"stopwords,omitempty"`
}

func main() {
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write makes the file.
func write(path string) error {
	viper.SetConfigType("toml")
	if err := viper.ReadConfig(strings.NewReader(config.DefaultConfig)); err != nil {
		return err
	}
	var raw config.ViperConfig
	if err := viper.Unmarshal(&raw); err != nil {
		return err
	}
	c, err := raw.Translate()
	if err != nil {
		return err
	}
	h := head{Source: source, Version: version()}
	for _, a := range c.Allowlists {
		one, err := allowed(a)
		if err != nil || one.Target != "" {
			return fmt.Errorf("the list for all rules: target %q: %w", one.Target, err)
		}
		h.Allow.Regexes, h.Allow.Stopwords = append(h.Allow.Regexes, one.Regexes...), append(h.Allow.Stopwords, one.Stopwords...)
	}
	var b strings.Builder
	lines := json.NewEncoder(&b)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(h); err != nil {
		return err
	}
	for _, r := range c.GetOrderedRules() {
		if r.Path != nil { // content has no path, and gitleaks itself does not use such a rule without one
			fmt.Println(r.RuleID, "needs a path: left out")
			continue
		}
		one, err := translate(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.RuleID, err)
		}
		if err := lines.Encode(one); err != nil {
			return err
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == source {
			return m.Version
		}
	}
	return ""
}

// translate refuses what the package above does not know how to do.
func translate(r config.Rule) (rule, error) {
	out := rule{ID: r.RuleID, Group: r.SecretGroup, Entropy: r.Entropy, Keywords: r.Keywords}
	if r.Regex == nil || len(r.Keywords) == 0 || len(r.RequiredRules) > 0 || r.SkipReport {
		return out, fmt.Errorf("no regex, no keywords, or rules that it requires")
	}
	out.Regex = r.Regex.String()
	for _, a := range r.Allowlists {
		one, err := allowed(a)
		if err != nil {
			return out, err
		}
		if len(one.Regexes) > 0 || len(one.Stopwords) > 0 {
			out.Allow = append(out.Allow, one)
		}
	}
	return out, nil
}

// allowed is a list without what concerns paths and commits, which content has not: a list that wants one of them too
// never allows anything.
func allowed(a *config.Allowlist) (allow, error) {
	if a.MatchCondition == config.AllowlistMatchAnd {
		if len(a.Paths) > 0 || len(a.Commits) > 0 {
			return allow{}, nil
		}
		if len(a.Regexes) > 0 && len(a.StopWords) > 0 {
			return allow{}, fmt.Errorf("a list that wants a pattern and a word")
		}
	}
	out := allow{Target: a.RegexTarget, Stopwords: slices.Sorted(slices.Values(a.StopWords))}
	for _, r := range a.Regexes {
		out.Regexes = append(out.Regexes, r.String())
	}
	return out, nil
}
