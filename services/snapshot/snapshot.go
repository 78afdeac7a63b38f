// Package snapshot keeps a copy on the local disk of what a process has from Postgres, for a start without that.
package snapshot

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Save writes v as JSON in place of the file at path: whoever reads it sees the old one or the new one. Only its owner may.
func Save(path string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Load reads into v what Save has written, and makes the directory. found says whether there was something.
func Load(path string, v any) (found bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, json.Unmarshal(raw, v)
}
