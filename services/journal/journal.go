// Package journal is a log of records on the local disk. What Append has returned nil for survives kill -9 and a
// power cut. Many appends share one write and one fdatasync (group commit). Segments are files named after the
// number of their first record; a record is its length, the CRC-32C of its bytes (both little-endian uint32), and
// its bytes.
package journal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Errors of Append.
var (
	ErrFull   = errors.New("the journal has no room: its disk or its limit is full")
	ErrClosed = errors.New("the journal is closed")
	ErrLarge  = errors.New("the record is larger than MaxRecord")
)

// ErrCorrupt is the error of reading a record that is not what was written.
var ErrCorrupt = errors.New("the journal is damaged")

// MaxRecord is the size of a record, at most.
const MaxRecord = 1 << 20

const (
	header  = 8
	waiting = 4096     // appends that may wait for the next write; more block
	segment = 16 << 20 // bytes of a file, at most, and a write more
	suffix  = ".journal"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Journal is open on a directory that no other process has open.
type Journal struct {
	dir     string
	id      string
	max     int64 // bytes of all segments
	part    int64 // bytes of one; a write has a quarter of that, about
	lock    *os.File
	queue   chan *pending
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	durable atomic.Uint64 // number of the last record on the disk
	bytes   atomic.Int64  // of all segments
	failing atomic.Bool   // whether the last write failed

	mu       sync.Mutex // guards segments
	segments []uint64   // numbers of their first records, ascending; the last is written to

	// Owned by the writer.
	file   file
	size   int64 // of file, of whole records
	filled int64 // to where zeros go behind them
	group  []byte
	open   func(path string) (file, error)
}

// file is what the writer needs of one; tests have one that fails.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// diskFile syncs its data, and of its metadata only the size.
type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return unix.Fdatasync(int(f.Fd())) } //nolint:gosec // a descriptor is an int

func openFile(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is ours
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

// pending is one Append that waits.
type pending struct {
	records [][]byte
	done    chan error
}

// Open opens or makes the journal in dir, which may grow to maxBytes. A record that was only written in part, when
// the process or the machine died, was never acknowledged, and is cut off.
func Open(dir string, maxBytes int64) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j := &Journal{
		dir: dir, max: maxBytes, part: min(segment, maxBytes/4), queue: make(chan *pending, waiting), stop: make(chan struct{}), stopped: make(chan struct{}), open: openFile,
	}
	if err := j.start(); err != nil {
		if j.lock != nil {
			err = errors.Join(err, j.lock.Close())
		}
		return nil, fmt.Errorf("journal %s: %w", dir, err)
	}
	go j.write()
	return j, nil
}

func (j *Journal) start() (err error) {
	if j.lock, err = os.OpenFile(filepath.Join(j.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(j.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil { //nolint:gosec // a descriptor is an int
		return errors.New("another process has it; each replica needs a state_dir of its own")
	}
	if j.id, err = identity(filepath.Join(j.dir, "id")); err != nil {
		return err
	}
	names, err := filepath.Glob(filepath.Join(j.dir, "*"+suffix))
	if err != nil {
		return err
	}
	for _, name := range names {
		first, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 10, 64)
		info, statErr := os.Stat(name)
		if err != nil || statErr != nil {
			return fmt.Errorf("%s is no segment", name)
		}
		j.segments = append(j.segments, first)
		j.bytes.Add(info.Size())
	}
	slices.Sort(j.segments)
	if len(j.segments) == 0 {
		j.segments = []uint64{1}
	}
	return j.resume()
}

// identity reads the journal's name, or makes one.
func identity(path string) (string, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the path is ours
	if err == nil && len(raw) > 0 {
		return string(raw), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := rand.Text()
	if err := os.WriteFile(path+".new", []byte(id), 0o600); err != nil {
		return "", err
	}
	return id, os.Rename(path+".new", path)
}

// resume opens the last segment behind its last whole record.
func (j *Journal) resume() error {
	first := j.segments[len(j.segments)-1]
	raw, err := os.ReadFile(j.path(first))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	n, whole := count(raw)
	j.durable.Store(first - 1 + n)
	if j.file, err = j.open(j.path(first)); err != nil {
		return err
	}
	j.size = whole
	j.bytes.Add(whole - int64(len(raw)))
	return errors.Join(j.file.Truncate(whole), j.file.Sync(), syncDir(j.dir))
}

// count returns how many whole records there are from the start of raw, and their bytes.
func count(raw []byte) (n uint64, size int64) {
	for {
		payload, ok := record(raw[size:])
		if !ok {
			return n, size
		}
		n, size = n+1, size+header+int64(len(payload))
	}
}

// record returns the payload of the record that raw begins with.
func record(raw []byte) ([]byte, bool) {
	if len(raw) < header {
		return nil, false
	}
	length, sum := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
	if length == 0 || length > MaxRecord || len(raw) < header+int(length) {
		return nil, false
	}
	payload := raw[header : header+int(length)]
	return payload, crc32.Checksum(payload, castagnoli) == sum
}

func (j *Journal) path(first uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%020d%s", first, suffix))
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the path is ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// ID names this journal; it stays the same as long as the directory does.
func (j *Journal) ID() string { return j.id }

// Last is the number of the last record that is on the disk; numbers begin with 1.
func (j *Journal) Last() uint64 { return j.durable.Load() }

// Filled is the share of its limit that the journal has, 0 to 1.
func (j *Journal) Filled() float64 { return float64(j.bytes.Load()) / float64(j.max) }

// Err is nil while records can be written.
func (j *Journal) Err() error {
	if j.failing.Load() {
		return ErrFull
	}
	return nil
}

// Append writes records, all or none, and returns once they are on the disk. An error means that they may not be
// there; ErrFull goes by itself once there is room. The records are not kept.
func (j *Journal) Append(ctx context.Context, records ...[]byte) error {
	for _, r := range records {
		if len(r) == 0 || len(r) > MaxRecord {
			return ErrLarge
		}
	}
	p := &pending{records, make(chan error, 1)}
	select {
	case j.queue <- p:
	case <-ctx.Done():
		return ctx.Err()
	case <-j.stop:
		return ErrClosed
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-j.stopped:
		select {
		case err := <-p.done:
			return err
		default:
			return ErrClosed
		}
	}
}

// Close ends the writer after what has been queued is on the disk.
func (j *Journal) Close() error {
	j.once.Do(func() { close(j.stop) })
	<-j.stopped
	var err error
	if j.file != nil {
		err = j.file.Close()
	}
	return errors.Join(err, j.lock.Close())
}

// Trim removes the segments whose records are all numbered up to upto.
func (j *Journal) Trim(upto uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.segments) > 1 && j.segments[1] <= upto+1 {
		path := j.path(j.segments[0])
		info, err := os.Stat(path)
		if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
		j.bytes.Add(-info.Size())
		j.segments = j.segments[1:]
	}
	return nil
}
