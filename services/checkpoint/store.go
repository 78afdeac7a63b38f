package checkpoint

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Kept is how many versions stay on disk besides the active one.
const Kept = 3

// maxHistory bounds what is read of the history, from its end.
const maxHistory = 1000

// Event is a line of a store's history.
type Event struct {
	Time     time.Time `json:"time"`
	Action   string    `json:"action"` // activate or rollback
	Version  string    `json:"version"`
	Previous string    `json:"previous,omitempty"` // what was active before
	Error    string    `json:"error,omitempty"`    // why nothing was changed
}

// Version is one that is on disk.
type Version struct {
	ID     string
	Active bool
	Error  error // what is wrong with it, if anything
}

// Store is a directory with several versions of a checkpoint, one of them active:
//
//	active            the id of the active version
//	history.jsonl     what was activated when
//	versions/ID/      a checkpoint each
//
// The active version changes by one rename: a process or a machine that stops at any moment leaves the old one
// or the new one. One process at a time changes a store.
type Store struct {
	dir string
}

// OpenStore opens a store, and makes it where nothing is.
func OpenStore(dir string) (*Store, error) {
	if _, err := os.Stat(filepath.Join(dir, "manifest.yaml")); err == nil {
		return nil, fmt.Errorf("%s is a checkpoint, not a store of them; name another directory", dir)
	}
	if err := os.MkdirAll(filepath.Join(dir, "versions"), 0o750); err != nil {
		return nil, fmt.Errorf("checkpoint store: %w", err)
	}
	return &Store{dir: dir}, nil
}

// IsStore says whether a directory is a store with an active version.
func IsStore(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "active"))
	return err == nil
}

// Lock makes this process the only one that changes the store, until unlock. It fails at once if another is.
func (s *Store) Lock() (unlock func() error, err error) {
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("checkpoint store %s: another process is changing it: %w", s.dir, err), f.Close())
	}
	return f.Close, nil // closing unlocks
}

// Active is the id of the active version, "" if there is none.
func (s *Store) Active() (string, error) {
	raw, err := os.ReadFile(filepath.Join(s.dir, "active"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if !versionID.MatchString(id) {
		return "", fmt.Errorf("checkpoint store %s: the file active does not hold a version's id", s.dir)
	}
	return id, nil
}

// Open verifies and opens a version.
func (s *Store) Open(id string) (*Checkpoint, error) {
	if !versionID.MatchString(id) {
		return nil, fmt.Errorf("%q is not a version's id, such as mapper-tiny@2026.11.1", id)
	}
	c, err := Open(s.path(id))
	if err == nil && c.ID() != id {
		return nil, fmt.Errorf("checkpoint store: %s holds %s", s.path(id), c.ID())
	}
	return c, err
}

func (s *Store) path(id string) string { return filepath.Join(s.dir, "versions", id) }

// Sets returns the paths of the development sets that a version ships with.
func (s *Store) Sets(id string) ([]string, error) {
	return filepath.Glob(filepath.Join(s.path(id), "eval", "*.jsonl"))
}

// List returns what is on disk, oldest name first. It reads and hashes every file.
func (s *Store) List() ([]Version, error) {
	active, err := s.Active()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "versions"))
	if err != nil {
		return nil, err
	}
	var out []Version
	for _, e := range entries {
		if versionID.MatchString(e.Name()) {
			_, err := s.Open(e.Name())
			out = append(out, Version{e.Name(), e.Name() == active, err})
		}
	}
	return out, nil
}

// Install verifies a checkpoint and copies it into the store. One that is there already must be the same.
func (s *Store) Install(dir string) (*Checkpoint, error) {
	c, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if !versionID.MatchString(c.ID()) {
		return nil, fmt.Errorf("checkpoint %s: name@version must consist of letters, digits, dots, - and _", c.ID())
	}
	if old, err := s.Open(c.ID()); err == nil {
		if !slices.Equal(old.Files(), c.Files()) {
			return nil, fmt.Errorf("checkpoint store: %s is there with other files; give the new one another version", c.ID())
		}
		return old, nil
	}
	unlock, err := s.Lock()
	if err != nil {
		return nil, err
	}
	defer unlock() //nolint:errcheck // closing a file that was only locked
	if err := s.copyIn(dir, c.ID()); err != nil {
		return nil, err
	}
	return s.Open(c.ID())
}

// copyIn makes a copy of a checkpoint beside the versions and puts it among them by one rename.
func (s *Store) copyIn(dir, id string) error {
	tmp := filepath.Join(s.dir, "versions", ".new") // with what a killed process may have left in it
	if err := errors.Join(os.RemoveAll(tmp), os.Mkdir(tmp, 0o750)); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := copyTree(dir, tmp); err != nil {
		return err
	}
	if _, err := Open(tmp); err != nil { // the source may have changed under our hands
		return err
	}
	if err := os.RemoveAll(s.path(id)); err != nil { // a broken one
		return err
	}
	return errors.Join(os.Rename(tmp, s.path(id)), syncDir(filepath.Join(s.dir, "versions")))
}

// Activate makes a version the active one after try has found it good; if try fails nothing changes. Both are
// noted in the history. action is activate or rollback.
func (s *Store) Activate(id, action string, try func(*Checkpoint) error) error {
	previous, err := s.Active()
	if err != nil {
		return err
	}
	c, err := s.Open(id)
	if err == nil {
		err = try(c)
	}
	e := Event{Time: time.Now().UTC(), Action: action, Version: id, Previous: previous}
	if err != nil {
		e.Error = err.Error()
		return errors.Join(err, s.note(e))
	}
	if err := writeAtomic(filepath.Join(s.dir, "active"), []byte(id+"\n")); err != nil {
		return err
	}
	return errors.Join(s.note(e), s.prune())
}

// Before is the version that was active before the active one, and is still on disk.
func (s *Store) Before() (string, error) {
	active, err := s.Active()
	if err != nil {
		return "", err
	}
	used, err := s.used()
	if err != nil {
		return "", err
	}
	for _, id := range used {
		if id != active {
			if _, err := os.Stat(s.path(id)); err == nil {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("checkpoint store %s: there is no earlier version to go back to", s.dir)
}

// used returns the ids that were active, latest first, each once.
func (s *Store) used() ([]string, error) {
	history, err := s.History()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range slices.Backward(history) {
		for _, id := range []string{e.Version, e.Previous} {
			if e.Error == "" && id != "" && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out, nil
}

// History returns what was done to the store, oldest first, the last thousand events.
func (s *Store) History() ([]Event, error) {
	f, err := os.Open(filepath.Join(s.dir, "history.jsonl"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Event
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e Event
		if json.Unmarshal(lines.Bytes(), &e) == nil { // a line that a power cut has torn is not an event
			out = append(out, e)
		}
	}
	return out[max(0, len(out)-maxHistory):], lines.Err()
}

func (s *Store) note(e Event) error {
	raw, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "history.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// prune removes versions that are neither active nor among the last Kept ones before it, and never one that was
// not active yet.
func (s *Store) prune() error {
	used, err := s.used()
	if err != nil || len(used) <= Kept+1 {
		return err
	}
	var errs []error
	for _, id := range used[Kept+1:] {
		errs = append(errs, os.RemoveAll(s.path(id)))
	}
	return errors.Join(errs...)
}

// copyTree copies plain files and directories, and syncs them.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil || name == "." {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case d.IsDir():
			return os.Mkdir(target, 0o750)
		case d.Type().IsRegular():
			return copyFile(path, target)
		}
		return fmt.Errorf("%s is neither a file nor a directory", path)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// writeAtomic replaces a file by one rename.
func writeAtomic(path string, content []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(tmp, path), syncDir(filepath.Dir(path)))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
