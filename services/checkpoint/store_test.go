package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func version(t *testing.T, v string) string {
	t.Helper()
	return write(t, strings.Replace(manifest(), `version: "1"`, `version: "`+v+`"`, 1))
}

func fine(*Checkpoint) error { return nil }

func openStore(t *testing.T, versions ...string) *Store {
	t.Helper()
	s, err := OpenStore(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		c, err := s.Install(version(t, v))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Activate(c.ID(), "activate", fine); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func wantActive(t *testing.T, s *Store, want string) {
	t.Helper()
	if got, err := s.Active(); err != nil || got != want {
		t.Errorf("active is %q (%v), want %q", got, err, want)
	}
}

func TestStoreActivates(t *testing.T) {
	s := openStore(t)
	wantActive(t, s, "")
	if IsStore(s.dir) {
		t.Error("a store without an active version cannot be served")
	}
	if _, err := s.Before(); err == nil {
		t.Error("went back from nothing")
	}
	s = openStore(t, "1", "2", "3", "4", "5")
	wantActive(t, s, "test@5")
	if before, err := s.Before(); before != "test@4" {
		t.Errorf("before is %q, %v", before, err)
	}
	list, err := s.List()
	if err != nil || len(list) != Kept+1 || list[0].ID != "test@2" || !list[3].Active {
		t.Errorf("%v %v", list, err)
	}
	if !IsStore(s.dir) {
		t.Error("not a store")
	}
}

func TestStoreFailedGateChangesNothing(t *testing.T) {
	s := openStore(t, "1")
	c, err := s.Install(version(t, "2"))
	if err != nil {
		t.Fatal(err)
	}
	bad := errors.New("worse than before")
	if err := s.Activate(c.ID(), "activate", func(*Checkpoint) error { return bad }); !errors.Is(err, bad) {
		t.Error(err)
	}
	wantActive(t, s, "test@1")
	if err := os.WriteFile(filepath.Join(s.path("test@2"), "lora.gguf"), []byte("LORA"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Activate("test@2", "activate", func(*Checkpoint) error { t.Error("tried an edited file"); return nil }); err == nil {
		t.Error("activated an edited file")
	}
	if err := s.Activate("test@9", "activate", fine); err == nil {
		t.Error("activated what is not there")
	}
	if err := s.Activate("../evil", "activate", fine); err == nil {
		t.Error("activated a path")
	}
	wantActive(t, s, "test@1")
	history, err := s.History()
	if err != nil || len(history) != 5 || history[1].Error != bad.Error() || history[0].Error != "" {
		t.Errorf("%+v %v", history, err)
	}
	list, err := s.List()
	if err != nil || len(list) != 2 || list[1].Error == nil {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := s.Install(version(t, "2")); err != nil {
		t.Errorf("a broken version could not be replaced: %v", err)
	}
}

func TestStoreRefuses(t *testing.T) {
	if _, err := OpenStore(version(t, "1")); err == nil || !strings.Contains(err.Error(), "is a checkpoint") {
		t.Error(err)
	}
	s := openStore(t, "1")
	other := write(t, strings.Replace(manifest(), "scale: 1.0", "scale: 1.0, min_words: 0", 1))
	if err := os.WriteFile(filepath.Join(other, "base.gguf"), []byte("BASE"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Install(other); err == nil {
		t.Error("installed a checkpoint that does not verify")
	}
	unlock, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "active"), []byte("../../etc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Active(); err == nil {
		t.Error("took a path for an id")
	}
}

func TestStoreTornHistory(t *testing.T) {
	s := openStore(t, "1", "2")
	f, err := os.OpenFile(filepath.Join(s.dir, "history.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"time":"2026-`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if before, err := s.Before(); before != "test@1" {
		t.Errorf("%q %v", before, err)
	}
}

func TestStoreKeepsWhatWasNeverActive(t *testing.T) {
	s := openStore(t, "1")
	if _, err := s.Install(version(t, "0")); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"2", "3", "4", "5"} {
		c, err := s.Install(version(t, v))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Activate(c.ID(), "activate", fine); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.List()
	if err != nil || !slices.ContainsFunc(list, func(v Version) bool { return v.ID == "test@0" }) || len(list) != Kept+2 {
		t.Errorf("%v %v", list, err)
	}
}
