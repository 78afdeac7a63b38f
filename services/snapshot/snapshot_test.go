package snapshot

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSnapshot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "copy.json")
	var got []int
	if found, err := Load(path, &got); found || err != nil {
		t.Fatal(found, err)
	}
	for _, v := range [][]int{{1, 2}, {3}} {
		if err := Save(path, v); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := Load(path, &got); !found || err != nil || len(got) != 1 || got[0] != 3 {
		t.Error(got, found, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, &got); err == nil {
		t.Error("half a copy is one")
	}
	if Save(filepath.Join(t.TempDir(), "none", "copy.json"), 1) == nil || Save(path, func() {}) == nil {
		t.Error("what cannot be written is no error")
	}
}
