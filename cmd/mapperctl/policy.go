package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/lint"
	"github.com/llama-mapper/llama-mapper/services/mapper"
	"github.com/llama-mapper/llama-mapper/services/policy"
	"github.com/llama-mapper/llama-mapper/services/policy/rego"
)

func policyCommand() *cobra.Command {
	group := &cobra.Command{Use: "policy", Short: "check, test and compare policies"}
	sarif := false
	check := &cobra.Command{Use: "lint FILE...", Short: "say what in policies is likely a mistake", Args: cobra.MinimumNArgs(1), RunE: func(c *cobra.Command, args []string) error {
		return lintPolicies(c.OutOrStdout(), args, sarif)
	}}
	check.Flags().BoolVar(&sarif, "sarif", false, "print SARIF 2.1.0")
	test := &cobra.Command{Use: "test FILE", Short: "run the tests of a policy: cases of evidence and what is wanted", Args: cobra.ExactArgs(1), RunE: testPolicy}
	evidence := ""
	diff := &cobra.Command{Use: "diff OLD NEW", Short: "say what is stricter and what is weaker in another policy", Args: cobra.ExactArgs(2), RunE: func(c *cobra.Command, args []string) error {
		return diffPolicies(c, args[0], args[1], evidence)
	}}
	diff.Flags().StringVar(&evidence, "evidence", "", "a file of evidence, a JSON object a line: what would have been decided otherwise")
	group.AddCommand(check, test, diff)
	return group
}

// readPolicy reads a file no further than a policy may be long.
func readPolicy(path string) ([]byte, error) { return readAtMost(path, policy.MaxPolicy) }

func readAtMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}

func openPolicy(path string) (*policy.Policy, error) {
	raw, err := readPolicy(path)
	if err != nil {
		return nil, err
	}
	p, err := policy.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, program := range p.Programs() {
		if err := rego.New().Check(program); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return p, nil
}

func lintPolicies(out io.Writer, paths []string, sarif bool) error {
	known, err := shippedKnown()
	if err != nil {
		return err
	}
	var problems []lint.Problem
	for _, path := range paths {
		raw, err := readPolicy(path)
		if err != nil {
			return err
		}
		problems = append(problems, policy.Lint(path, raw, known)...)
	}
	if sarif {
		raw, err := lint.SARIF("llama-mapper-policies", policy.LintRules, problems)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s\n", raw)
	} else {
		for _, p := range problems {
			fmt.Fprintln(out, p)
		}
	}
	if len(problems) > 0 {
		return errors.New("the policies have problems")
	}
	return nil
}

// shippedKnown is the taxonomy, and what detectors say by the tables that ship.
func shippedKnown() (policy.Known, error) {
	k := policy.Known{Says: map[string][]string{}, Programs: rego.New().Check}
	labels, err := taxonomyLabels()
	if err != nil {
		return k, err
	}
	k.Labels = labels
	files, err := fs.Glob(config.Detectors(), "*.yaml")
	if err != nil {
		return k, err
	}
	for _, name := range files {
		raw, err := fs.ReadFile(config.Detectors(), name)
		if err != nil {
			return k, err
		}
		var doc struct {
			Detector, Version, Taxonomy, Notes string
			Aliases                            []string
			Maps                               map[string]any
		}
		if err := config.Strict(raw, &doc); err != nil {
			return k, fmt.Errorf("%s: %w", name, err)
		}
		says := words(doc.Maps)
		for _, name := range append(doc.Aliases, doc.Detector) {
			k.Says[name] = says
		}
	}
	return k, nil
}

func taxonomyLabels() (labels []string, err error) {
	taxonomy, err := mapper.ParseTaxonomy(config.Taxonomy())
	if err != nil {
		return nil, err
	}
	for _, l := range taxonomy.Labels {
		labels = append(labels, l.ID)
	}
	return labels, nil
}

// words are all strings that are values somewhere in a value.
func words(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			out = append(out, words(item)...)
		}
	case map[string]any:
		for _, item := range v {
			out = append(out, words(item)...)
		}
	}
	return out
}

func testPolicy(c *cobra.Command, args []string) error {
	raw, err := readAtMost(args[0], policy.MaxSuite)
	if err != nil {
		return err
	}
	suite, err := policy.ParseSuite(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	p, err := openPolicy(filepath.Join(filepath.Dir(args[0]), suite.Policy))
	if err != nil {
		return err
	}
	failed, table := 0, tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	results := suite.Run(c.Context(), p, rego.New())
	for _, r := range results {
		if len(r.Faults) == 0 {
			fmt.Fprintf(table, "pass\t%s\n", r.Name)
			continue
		}
		failed++
		fmt.Fprintf(table, "FAIL\t%s\t%s\n", r.Name, strings.Join(r.Faults, "; "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cases failed", failed, len(results))
	}
	return nil
}

func diffPolicies(c *cobra.Command, from, to, evidence string) error {
	a, err := openPolicy(from)
	if err != nil {
		return err
	}
	b, err := openPolicy(to)
	if err != nil {
		return err
	}
	labels, err := taxonomyLabels()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, d := range policy.Diff(a, b, labels) {
		fmt.Fprintf(table, "%s\t%s\t%s -> %s\n", d.Direction, d.Place, none(d.From), none(d.To))
	}
	if err := table.Flush(); err != nil || evidence == "" {
		return err
	}
	return judgeAgain(c, a, b, evidence)
}

func none(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// maxEvidence is how long a line of evidence may be.
const maxEvidence = 4 << 20

// judgeAgain prints what two policies decide otherwise about stored evidence, and a summary.
func judgeAgain(c *cobra.Command, a, b *policy.Policy, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out, engine := c.OutOrStdout(), rego.New()
	judge := func(p *policy.Policy, e policy.Evidence) policy.Judgment {
		return p.Refine(c.Context(), engine, e, p.Judge(e))
	}
	var sum policy.Comparison
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxEvidence)
	n := 1
	for ; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var e policy.Evidence
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("%s, line %d is no evidence: %w", path, n, err)
		}
		before, after := judge(a, e), judge(b, e)
		sum.Add(before.Action, after.Action, 1)
		if before.Action != after.Action {
			fmt.Fprintf(out, "line %d: %s -> %s%s\n", n, before.Action, after.Action, why(after))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s, line %d: %w", path, n, err)
	}
	raw, err := json.MarshalIndent(&sum, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\n", raw)
	return nil
}

// why names what asked for a judgment's action.
func why(j policy.Judgment) string {
	var names []string
	for _, r := range j.Reasons {
		if r.Action == j.Action {
			names = append(names, strings.TrimSpace(r.Code+" "+r.Label+r.Detail))
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return " (" + strings.Join(slices.Compact(names), ", ") + ")"
}
