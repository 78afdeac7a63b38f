package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Seal writes the hashes and sizes of a checkpoint's files into its manifest, whose order and comments stay.
// edit, if not nil, may change the document first. What has been sealed has not been checked: Open does that.
func Seal(dir string, edit func(manifest *yaml.Node) error) error {
	path := filepath.Join(dir, "manifest.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("seal %s: it is not a manifest", path)
	}
	root := doc.Content[0]
	if edit != nil {
		if err := edit(root); err != nil {
			return fmt.Errorf("seal %s: %w", path, err)
		}
	}
	var errs []error
	for _, entry := range files(root) {
		errs = append(errs, seal(dir, entry))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(&doc), e.Close()); err != nil {
		return fmt.Errorf("seal %s: %w", path, err)
	}
	return writeAtomic(path, out.Bytes())
}

// files returns the entries of a manifest that name a file of the checkpoint.
func files(root *yaml.Node) (out []*yaml.Node) {
	for _, key := range []string{"base", "lexicon", "golden"} {
		if n := Field(root, key); n != nil && n.Kind == yaml.MappingNode {
			out = append(out, n)
		}
	}
	if n := Field(root, "adapters"); n != nil {
		out = append(out, n.Content...)
	}
	return out
}

// seal writes the hash and the size of the file that an entry names into it.
func seal(dir string, entry *yaml.Node) error {
	name := Field(entry, "file")
	if name == nil || !fileName.MatchString(name.Value) {
		return fmt.Errorf("line %d: file must be a plain file name", entry.Line)
	}
	f, err := os.Open(filepath.Join(dir, name.Value))
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	SetField(entry, "sha256", fmt.Sprintf("%x", h.Sum(nil)), "!!str")
	SetField(entry, "bytes", strconv.FormatInt(n, 10), "!!int")
	return nil
}

// Field returns a key's value in a mapping, nil if it is not there.
func Field(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// SetField gives a key of a mapping a scalar value of a YAML type such as !!str.
func SetField(mapping *yaml.Node, key, value, tag string) {
	n := Field(mapping, key)
	if n == nil {
		n = &yaml.Node{}
		mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, n)
	}
	n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, tag, value, 0
}
