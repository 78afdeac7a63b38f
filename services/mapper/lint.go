package mapper

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/llama-mapper/llama-mapper/config"
	"github.com/llama-mapper/llama-mapper/services/lint"
	"github.com/llama-mapper/llama-mapper/services/wire"
)

// The rules that tables are held to, by their names.
var lintRules = map[string]string{
	"syntax":          "A table is strict YAML with the members detector, version, taxonomy, aliases, notes and maps.",
	"file-name":       "A table is in a file of its detector's name.",
	"taxonomy":        "A table is made for the taxonomy that is in force.",
	"unknown-label":   "Canonical labels are in the taxonomy.",
	"no-label":        "Every row and level has a label.",
	"duplicate":       "A native label is there once, whatever its case, and so is a label in a row.",
	"alias":           "Names of detectors are in lower case and no other table's.",
	"unreachable":     "A row can be reached: some output has such a label or level.",
	"shadowed":        "A pattern answers otherwise than the wider one that would answer in its place.",
	"missing-version": "A table has a version.",
	"vendor-label":    "Every label of the vendor's list has an answer.",
}

// linter gathers the problems of a directory.
type linter struct {
	taxonomy *Taxonomy
	owner    map[string]string // of a detector's name or alias
	problems []lint.Problem
}

// LintTables holds every table of a directory to the rules. Problems come in the order of files and lines.
func LintTables(dir fs.FS, taxonomy *Taxonomy) []lint.Problem {
	l := &linter{taxonomy: taxonomy, owner: map[string]string{}}
	files, err := fs.Glob(dir, "*.yaml")
	if err != nil || len(files) == 0 {
		l.add(".", 1, "syntax", "the directory has no tables, which are files that end in .yaml")
	}
	for _, name := range files {
		l.file(dir, name)
	}
	return l.sorted()
}

// LintVendors looks every label of the lists up, which are files of a label a line, named like the detector: bedrock.txt.
func LintVendors(dir, lists fs.FS, taxonomy *Taxonomy) []lint.Problem {
	l := &linter{taxonomy: taxonomy}
	tables, err := ParseTables(dir, taxonomy)
	if err != nil {
		l.add(".", 1, "syntax", "the tables do not load; see to the other problems first")
		return l.problems
	}
	files, err := fs.Glob(lists, "*.txt")
	if err != nil || len(files) == 0 {
		l.add(".", 1, "vendor-label", "the directory has no lists, which are files that end in .txt")
	}
	for _, name := range files {
		raw, err := fs.ReadFile(lists, name)
		t := tables[strings.TrimSuffix(name, ".txt")]
		if err != nil || t == nil {
			l.add(name, 1, "vendor-label", "no table is for this list; name it like the table's detector")
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(raw))
		for n := 1; lines.Scan(); n++ {
			native := strings.TrimSpace(lines.Text())
			if native == "" || native[0] == '#' {
				continue
			}
			if _, ok := t.find(native); !ok {
				l.add(t.Detector+".yaml", 1, "vendor-label", "%s, line %d of %s, has no row; add one", native, n, name)
			}
		}
	}
	return l.sorted()
}

func (l *linter) add(file string, line int, rule, format string, args ...any) {
	l.problems = append(l.problems, lint.Problem{File: file, Line: max(line, 1), Rule: rule, Text: fmt.Sprintf(format, args...)})
}

func (l *linter) sorted() []lint.Problem {
	lint.Sort(l.problems)
	return l.problems
}

// file lints one table.
func (l *linter) file(dir fs.FS, name string) {
	raw, err := fs.ReadFile(dir, name)
	if err != nil {
		l.add(name, 1, "syntax", "the file cannot be read")
		return
	}
	t, root := &table{}, &yaml.Node{}
	if err := config.Strict(raw, t); err != nil {
		l.add(name, 1, "syntax", "%v", err)
		return
	}
	if err := yaml.Unmarshal(raw, root); err != nil || len(root.Content) == 0 || root.Content[0].Kind != yaml.MappingNode {
		l.add(name, 1, "syntax", "it is no mapping of members")
		return
	}
	members := pairs(root.Content[0])
	if path.Base(name) != t.Detector+".yaml" {
		l.add(name, line(members["detector"]), "file-name", "the table is for %s; name the file like it", t.Detector)
	}
	if t.Version == "" {
		l.add(name, 1, "missing-version", "give the table a version, and a new one with every change")
	}
	if t.Taxonomy != l.taxonomy.Version {
		l.add(name, line(members["taxonomy"]), "taxonomy", "it is for taxonomy %s; look it through and say %s", t.Taxonomy, l.taxonomy.Version)
	}
	for _, alias := range append(t.Aliases, t.Detector) {
		at := line(members["aliases"])
		if alias != strings.ToLower(alias) {
			l.add(name, at, "alias", "%s is not in lower case, so no detector has it", alias)
		}
		if other := l.owner[alias]; other != "" {
			l.add(name, at, "alias", "%s is a name in %s already; leave it to one of them", alias, other)
		}
		l.owner[alias] = name
	}
	if rows := members["maps"]; rows != nil && rows.Kind == yaml.MappingNode {
		l.rows(name, t, rows)
	}
}

// rows lints the rows of a table.
func (l *linter) rows(name string, t *table, rows *yaml.Node) {
	seen := map[string]int{}
	for i := 0; i+1 < len(rows.Content); i += 2 {
		key, value := rows.Content[i], rows.Content[i+1]
		native := key.Value
		if before := seen[strings.ToLower(native)]; before > 0 {
			l.add(name, key.Line, "duplicate", "%s is in line %d already; keep one of them", native, before)
		}
		seen[strings.ToLower(native)] = key.Line
		if strings.Count(native, "*") > 1 || !wire.IsName(strings.ReplaceAll(native, "*", "x")) {
			l.add(name, key.Line, "unreachable", "no output has a label such as %s; at most one * stands for a name", native)
		}
		if !wire.HasCode(t.Detector, native) {
			l.add(name, key.Line, "unreachable", "%s is no code of this model", native)
		}
		if value.Kind == yaml.MappingNode {
			for j := 0; j+1 < len(value.Content); j += 2 {
				l.labels(name, native, value.Content[j+1])
			}
			if len(value.Content) == 0 {
				l.add(name, key.Line, "no-label", "%s has no level; give it labels", native)
			}
			continue
		}
		l.labels(name, native, value)
	}
	l.patterns(name, t, seen)
}

// labels lints the labels of a row or of a level.
func (l *linter) labels(name, native string, list *yaml.Node) {
	if len(list.Content) == 0 {
		l.add(name, list.Line, "no-label", "%s has no label; give it one, or OTHER.Unknown", native)
	}
	var seen []string
	for _, label := range list.Content {
		if _, ok := l.taxonomy.order[label.Value]; !ok {
			l.add(name, label.Line, "unknown-label", "%s: %s is not in the taxonomy", native, label.Value)
		}
		if slices.Contains(seen, label.Value) {
			l.add(name, label.Line, "duplicate", "%s has %s twice", native, label.Value)
		}
		seen = append(seen, label.Value)
	}
}

// patterns finds rows with a * that change nothing: a wider one says the same.
func (l *linter) patterns(name string, t *table, lines map[string]int) {
	if err := t.check(name, l.taxonomy); err != nil {
		return // reported by the row
	}
	for i, p := range t.patterns {
		for _, wider := range t.patterns[i+1:] {
			if !strings.HasPrefix(p.before, wider.before) || !strings.HasSuffix(p.after, wider.after) {
				continue
			}
			if slices.Equal(p.row.all(), wider.row.all()) {
				l.add(name, lines[p.before+"*"+p.after], "shadowed", "%s*%s says what %s*%s says; remove it", p.before, p.after, wider.before, wider.after)
			}
			break
		}
	}
}

// pairs are the members of a mapping.
func pairs(node *yaml.Node) map[string]*yaml.Node {
	members := map[string]*yaml.Node{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		members[node.Content[i].Value] = node.Content[i+1]
	}
	return members
}

func line(node *yaml.Node) int {
	if node == nil {
		return 1
	}
	return node.Line
}
