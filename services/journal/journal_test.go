package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func opened(t testing.TB, dir string, max int64) *Journal {
	t.Helper()
	j, err := Open(dir, max)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func appended(t testing.TB, j *Journal, records ...string) {
	t.Helper()
	for _, r := range records {
		if err := j.Append(context.Background(), []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
}

// all reads everything behind a number and checks that no number is left out.
func all(t testing.TB, j *Journal, after uint64) []string {
	t.Helper()
	r := j.Reader(after)
	defer r.Close()
	var out []string
	for {
		records, err := r.Read(3, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if len(records) == 0 {
			return out
		}
		for _, rec := range records {
			if rec.Number != after+uint64(len(out))+1 {
				t.Fatalf("record %d after %d", rec.Number, after+uint64(len(out)))
			}
			out = append(out, string(rec.Payload))
		}
	}
}

// Records come back in order, over restarts, and from any place.
func TestAppendRead(t *testing.T) {
	dir := t.TempDir()
	j := opened(t, dir, 1<<20)
	appended(t, j, "a", "b")
	if err := j.Append(context.Background(), []byte("c"), []byte("d")); err != nil {
		t.Fatal(err)
	}
	id := j.ID()
	if _, err := Open(dir, 1<<20); err == nil {
		t.Error("a second process took the same directory")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(context.Background(), []byte("x")); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	j = opened(t, dir, 1<<20)
	appended(t, j, "e")
	if got := fmt.Sprint(all(t, j, 0), all(t, j, 3), all(t, j, 5), j.Last(), j.ID() == id); got != "[a b c d e] [d e] [] 5 true" {
		t.Error(got)
	}
	for _, bad := range [][]byte{nil, make([]byte, MaxRecord+1)} {
		if err := j.Append(context.Background(), bad); !errors.Is(err, ErrLarge) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}

// A record cut anywhere, as by a power cut, takes only itself away; one that is damaged in the middle is told.
func TestTornAndDamaged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		j := opened(t, dir, 1<<20)
		appended(t, j, "first", "second", "third")
		j.Close()
		path := j.path(1)
		raw, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		cut := rapid.IntRange(0, len(raw)).Draw(rt, "cut")
		if err := os.WriteFile(path, raw[:cut], 0o600); err != nil {
			rt.Fatal(err)
		}
		want, _ := count(raw[:cut])
		j = opened(t, dir, 1<<20)
		appended(t, j, "next")
		if got := all(t, j, 0); uint64(len(got)) != want+1 || got[want] != "next" {
			rt.Errorf("cut at %d: %v", cut, got)
		}
		j.Close()
	})
	j := opened(t, t.TempDir(), 64<<10)
	for range 40 {
		appended(t, j, string(make([]byte, 1000))+"x")
	}
	if len(j.segments) < 2 {
		t.Fatal("there is one segment")
	}
	if err := os.WriteFile(j.path(1), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Reader(0).Read(10, 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Errorf("damaged: %v", err)
	}
}

// Many appenders at once, a reader beside them, segments that are trimmed: nothing is lost or doubled.
func TestConcurrent(t *testing.T) {
	const appenders, each = 16, 200
	j := opened(t, t.TempDir(), 1<<20)
	var wg sync.WaitGroup
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				for j.Append(context.Background(), fmt.Appendf(nil, "%d.%d %s", a, i, make([]byte, 400))) != nil {
					time.Sleep(time.Millisecond) // full until the reader has trimmed
				}
			}
		})
	}
	seen := map[string]bool{}
	r, last := j.Reader(0), uint64(0)
	defer r.Close()
	for len(seen) < appenders*each {
		records, err := r.Read(50, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range records {
			var a, i int
			if _, err := fmt.Sscanf(string(rec.Payload), "%d.%d", &a, &i); err != nil || rec.Number != last+1 {
				t.Fatalf("record %d after %d: %v", rec.Number, last, err)
			}
			last = rec.Number
			seen[fmt.Sprint(a, ".", i)] = true
		}
		if err := j.Trim(last); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if last != appenders*each {
		t.Errorf("%d records, %d distinct", last, len(seen))
	}
}

// A journal at its limit refuses, and takes records again once what was read is trimmed.
func TestLimit(t *testing.T) {
	j := opened(t, t.TempDir(), 16<<10)
	record := make([]byte, 512)
	n := 0
	for ; n < 100; n++ {
		if err := j.Append(context.Background(), record); err != nil {
			if !errors.Is(err, ErrFull) || j.Err() == nil {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 100 || n < 20 {
		t.Fatalf("%d records of %d bytes fit", n, len(record))
	}
	if err := j.Trim(j.Last()); err != nil {
		t.Fatal(err)
	}
	appended(t, j, "again")
	if j.Err() != nil || j.Last() != uint64(n)+1 {
		t.Error(j.Err(), j.Last())
	}
}

// failing is a file on a full or broken disk.
type failing struct {
	file
	write, sync, cut *error
}

func (f failing) WriteAt(p []byte, at int64) (int, error) {
	if *f.write != nil {
		n, _ := f.file.WriteAt(p[:len(p)/2], at)
		return n, *f.write
	}
	return f.file.WriteAt(p, at)
}

func (f failing) Sync() error { return errors.Join(*f.sync, f.file.Sync()) }

func (f failing) Truncate(size int64) error {
	if *f.cut != nil {
		return *f.cut
	}
	return f.file.Truncate(size)
}

// Whatever fails on the disk, an append that failed is not read and one that succeeded is, also after a restart.
func TestDiskFails(t *testing.T) {
	var write, sync, cut error
	dir := t.TempDir()
	j := opened(t, dir, 1<<20)
	inner := j.open
	wrapped := func(path string) (file, error) {
		f, err := inner(path)
		return failing{f, &write, &sync, &cut}, err
	}
	j.open, j.file = wrapped, failing{j.file, &write, &sync, &cut}
	var want []string
	for i, fail := range []func(){
		func() {}, func() { write = syscall.ENOSPC }, func() {}, func() { sync = syscall.EIO }, func() {},
		func() { write, cut = syscall.ENOSPC, syscall.EIO }, func() { write = syscall.ENOSPC }, func() {}, func() { sync, cut = syscall.EIO, syscall.EIO }, func() {},
	} {
		write, sync, cut = nil, nil, nil
		fail()
		broken := write != nil || sync != nil
		text := fmt.Sprint("record ", i)
		err := j.Append(context.Background(), []byte(text))
		if broken != errors.Is(err, ErrFull) || broken != (j.Err() != nil) {
			t.Fatalf("%s: %v", text, err)
		}
		if !broken {
			want = append(want, text)
		}
	}
	if got := all(t, j, 0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	j.Close()
	j = opened(t, dir, 1<<20)
	if got := all(t, j, 0); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("after a restart %v, want %v", got, want)
	}
}

// An append whose time is over returns, and does not hold the journal.
func TestDeadline(t *testing.T) {
	j := opened(t, t.TempDir(), 1<<20)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		_ = j.Append(ctx, []byte("late"))
	}
	appended(t, j, "in time")
}

// Start refuses what is not a journal.
func TestStrangers(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "notes.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 1<<20); err == nil {
		t.Error("it was taken")
	}
	if _, err := Open(filepath.Join(dir, "notes.journal"), 1<<20); err == nil {
		t.Error("a file was taken")
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte{5, 0, 0, 0, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		n, size := count(raw)
		if size > int64(len(raw)) || n > uint64(len(raw)/header) {
			t.Errorf("%d records in %d of %d bytes", n, size, len(raw))
		}
	})
}

// What an acknowledged record costs, alone and beside 32 others.
func BenchmarkAppend(b *testing.B) {
	for _, appenders := range []int{1, 32} {
		b.Run(fmt.Sprint(appenders), func(b *testing.B) {
			j := opened(b, b.TempDir(), 1<<40)
			record := make([]byte, 700)
			b.SetParallelism(appenders)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := j.Append(context.Background(), record); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
