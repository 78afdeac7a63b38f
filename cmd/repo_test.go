// Package cmd holds the rules about the repository that a program can check; the commands are below it.
package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/llama-mapper/llama-mapper/"

// layers are the directories from the top down; a package may import only what is in a lower one, or in its
// own. api and config are below all and import nothing of ours.
var layers = []string{"bench", "cmd", "services", "engine", "llama", "api", "config"}

// Limits of what fits a head.
const (
	maxFile     = 500
	maxFunction = 60
)

func layer(path string) int {
	for i, l := range layers {
		if path == l || strings.HasPrefix(path, l+"/") {
			return i
		}
	}
	return -1
}

// allowed says whether a package of ours may import another.
func allowed(from, to string) bool {
	if strings.HasPrefix(from, "api") || strings.HasPrefix(from, "config") || from == "llama" {
		return false
	}
	if to == "llama" && strings.HasPrefix(from, "cmd") {
		return from == "cmd/mapper" || from == "cmd/mapperctl" // to serve, and to measure and check
	}
	return layer(from) >= 0 && layer(to) >= layer(from)
}

func TestRepository(t *testing.T) {
	documented := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".go" {
			dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
			checkFile(t, dir, path, documented)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: the package has no doc comment", dir)
		}
	}
}

func checkFile(t *testing.T, dir, path string, documented map[string]bool) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(raw), "\n"); n > maxFile {
		t.Errorf("%s: %d lines, at most %d", path, n, maxFile)
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, raw, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	documented[dir] = documented[dir] || file.Doc != nil && strings.HasPrefix(file.Doc.Text(), map[bool]string{true: "Command ", false: "Package "}[file.Name.Name == "main"])
	test := strings.HasSuffix(path, "_test.go")
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if name == "C" && dir != "llama" {
			t.Errorf("%s: imports C; only llama/ may", path)
		}
		if to, ours := strings.CutPrefix(name, module); ours && !allowed(dir, to) && !test {
			t.Errorf("%s: %s may not import %s", path, dir, to)
		}
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			if n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, at most %d", path, f.Name.Name, n, maxFunction)
			}
		}
		if !test {
			checkDocs(t, path, decl)
		}
	}
}

// checkDocs wants a comment on every exported function, type and value.
func checkDocs(t *testing.T, path string, decl ast.Decl) {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && d.Recv == nil {
			t.Errorf("%s: %s has no doc comment", path, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
				t.Errorf("%s: %s has no doc comment", path, s.Name.Name)
			}
		}
	}
}

// The pinned llama.cpp is the one that the code checks for.
func TestPin(t *testing.T) {
	pin, err := os.ReadFile("../llama/PIN")
	if err != nil {
		t.Fatal(err)
	}
	types, err := os.ReadFile("../llama/types.go")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^version=(.+)$`).FindSubmatch(pin)
	if version == nil || !strings.Contains(string(types), `Version = "`+string(version[1])+`"`) {
		t.Errorf("llama/PIN and llama/types.go disagree")
	}
}

// Every target that README and CONTRIBUTING name is in the Makefile.
func TestDocumentedTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "checkpoints/README.md"} {
		doc, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)(?:`|^    |^)make ([a-z-]+)").FindAllSubmatch(doc, -1) {
			if !strings.Contains(string(makefile), "\n"+string(m[1])+":") {
				t.Errorf("%s: there is no target %s", name, m[1])
			}
		}
	}
}
