package journal

import (
	"fmt"
	"io"
	"os"
	"slices"
)

// Record is one record and its number.
type Record struct {
	Number  uint64
	Payload []byte
}

// Reader reads a journal in order. One goroutine at a time may use it.
type Reader struct {
	j      *Journal
	next   uint64 // number of the record at offset
	last   uint64 // of the segment that file is, or open
	file   *os.File
	offset int64
}

// open is the last record of a segment that is written to.
const open = ^uint64(0)

// Reader starts behind the record numbered after. Records that were trimmed already are passed over: the first one
// read says so by its number.
func (j *Journal) Reader(after uint64) *Reader { return &Reader{j: j, next: after + 1} }

// Read returns the next records on the disk, at most max of them and about maxBytes; none if there are none yet.
func (r *Reader) Read(max int, maxBytes int64) ([]Record, error) {
	var out []Record
	for len(out) < max && maxBytes > 0 && r.next <= r.j.durable.Load() {
		if r.file == nil || r.next > r.last {
			if err := r.seek(); err != nil {
				return nil, err
			}
		}
		chunk := make([]byte, min(maxBytes+header+MaxRecord, 2*MaxRecord))
		n, err := r.file.ReadAt(chunk, r.offset)
		if err != nil && err != io.EOF { //nolint:errorlint // ReadAt returns it as it is
			return nil, fmt.Errorf("journal: %w", err)
		}
		before, at := r.next, r.offset
		for rest := chunk[:n]; len(out) < max && maxBytes > 0 && r.next <= min(r.last, r.j.durable.Load()); {
			payload, ok := record(rest)
			if !ok {
				break
			}
			out = append(out, Record{r.next, payload})
			size := header + int64(len(payload))
			rest, r.next, r.offset, maxBytes = rest[size:], r.next+1, r.offset+size, maxBytes-size
		}
		if r.next > before {
			continue
		}
		if r.last != open { // or the segment was ended since it was opened
			return out, fmt.Errorf("%w: record %d", ErrCorrupt, r.next)
		}
		if err := r.seek(); err != nil {
			return out, err
		}
		if r.last == open && r.offset == at {
			return out, fmt.Errorf("%w: record %d", ErrCorrupt, r.next)
		}
	}
	return out, nil
}

// Back returns to the record behind after, which was read before.
func (r *Reader) Back(after uint64) {
	r.Close()
	r.next = after + 1
}

// Close closes what it has open.
func (r *Reader) Close() {
	if r.file != nil {
		r.file.Close() //nolint:errcheck // it was only read
		r.file = nil
	}
}

// seek opens the segment of the next record, or the first there is, and skips to it.
func (r *Reader) seek() error {
	r.Close()
	r.j.mu.Lock()
	i, found := slices.BinarySearch(r.j.segments, r.next)
	if !found {
		i--
	}
	i = max(i, 0)
	first := r.j.segments[i]
	r.last = open
	if i+1 < len(r.j.segments) {
		r.last = r.j.segments[i+1] - 1
	}
	file, err := os.Open(r.j.path(first))
	r.j.mu.Unlock()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	r.file, r.offset = file, 0
	if r.next < first {
		r.next = first
		return nil
	}
	raw, err := os.ReadFile(file.Name())
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	for n := first; n < r.next; n++ {
		payload, ok := record(raw[r.offset:])
		if !ok {
			return fmt.Errorf("%w: record %d", ErrCorrupt, n)
		}
		r.offset += header + int64(len(payload))
	}
	return nil
}
