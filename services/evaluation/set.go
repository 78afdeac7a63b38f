// Package evaluation measures how well a model maps native labels: agreement, calibration, coverage and
// confusion on sets of labels with known answers, beside lookups in the model's own lexicon.
package evaluation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a set's file.
const (
	MaxRows = 100_000
	maxLine = 64 << 10 // bytes
	maxText = 4 << 10  // bytes of a detector's name or label
)

// Row is a native label with the canonical labels that are right for it.
type Row struct {
	Detector string   `json:"detector"`
	Label    string   `json:"label"`
	Accept   []string `json:"accept"`
}

// Set is a named list of rows.
type Set struct {
	Name string
	Rows []Row
}

// OpenSet reads a file of rows, one JSON object a line; its name without the ending names the set. labels are
// those of the taxonomy; every accepted label must be one.
func OpenSet(path string, labels []string) (Set, error) {
	f, err := os.Open(path)
	if err != nil {
		return Set{}, err
	}
	defer f.Close()
	rows, err := ReadRows(f, labels)
	if err != nil {
		return Set{}, fmt.Errorf("%s: %w", path, err)
	}
	return Set{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Rows: rows}, nil
}

// ReadRows reads rows until the end of r. The error names the first bad line and what is wrong with it.
func ReadRows(r io.Reader, labels []string) ([]Row, error) {
	known := make(map[string]bool, len(labels))
	for _, label := range labels {
		known[label] = true
	}
	var rows []Row
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		row, err := parseRow(lines.Bytes(), known)
		if err == nil && len(rows) == MaxRows {
			err = fmt.Errorf("more than %d rows", MaxRows)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	if len(rows) == 0 {
		return nil, errors.New(`no rows; write a line {"detector":"...","label":"...","accept":["LABEL.ID"]} for each`)
	}
	return rows, nil
}

func parseRow(line []byte, known map[string]bool) (row Row, err error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&row); err != nil {
		return row, err
	}
	if d.More() {
		return row, errors.New("more than one JSON value")
	}
	switch {
	case row.Detector == "" || len(row.Detector) > maxText:
		return row, fmt.Errorf("detector must have 1 to %d bytes", maxText)
	case len(row.Label) > maxText:
		return row, fmt.Errorf("label has more than %d bytes", maxText)
	case len(row.Accept) == 0:
		return row, errors.New("accept is empty")
	}
	for _, label := range row.Accept {
		if !known[label] {
			return row, fmt.Errorf("accept: %q is not a label of the taxonomy", label)
		}
	}
	return row, nil
}
