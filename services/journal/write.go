package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
)

// write is the one goroutine that writes.
func (j *Journal) write() {
	defer close(j.stopped)
	for {
		select {
		case p := <-j.queue:
			j.commit(p)
		case <-j.stop:
			for {
				select {
				case p := <-j.queue:
					j.commit(p)
				default:
					return
				}
			}
		}
	}
}

// yields is how often a group lets other goroutines run before it is written. On a busy machine they come with more
// records, and a sync costs as much for few as for many; on an idle one there are none, and nothing is waited for.
const yields = 4

// commit writes an append together with all that wait beside it.
func (j *Journal) commit(p *pending) {
	group := []*pending{p}
	j.group = j.group[:0]
	n := j.add(p)
	for left := yields; int64(len(j.group)) < j.part/4; {
		select {
		case p = <-j.queue:
			group = append(group, p)
			n += j.add(p)
			continue
		default:
		}
		if left--; left < 0 {
			break
		}
		runtime.Gosched()
	}
	err := j.flush(n)
	j.failing.Store(err != nil)
	for _, p := range group {
		p.done <- err
	}
}

func (j *Journal) add(p *pending) uint64 {
	for _, r := range p.records {
		j.group = binary.LittleEndian.AppendUint32(j.group, uint32(len(r))) //nolint:gosec // Append has checked it
		j.group = binary.LittleEndian.AppendUint32(j.group, crc32.Checksum(r, castagnoli))
		j.group = append(j.group, r...)
	}
	return uint64(len(p.records))
}

// flush puts the group of n records on the disk. If it fails nothing of it is there.
func (j *Journal) flush(n uint64) error {
	size := int64(len(j.group))
	if j.bytes.Load()+size > j.max {
		return ErrFull
	}
	if j.size > j.part || j.file == nil {
		if err := j.rotate(); err != nil {
			return errors.Join(ErrFull, err)
		}
	}
	_, err := j.file.WriteAt(j.group, j.size)
	wrote := err == nil
	if wrote {
		err = errors.Join(j.fill(j.size+size), j.file.Sync())
	}
	if err != nil {
		// What is there of the group is cut off, or a start would take it for records. Where that fails, or a sync has
		// failed, whose pages the kernel may have dropped, no more goes into this file.
		cut := j.file.Truncate(j.size)
		j.filled = 0
		if wrote || cut != nil {
			cut = errors.Join(cut, j.file.Close())
			j.file = nil
		}
		return errors.Join(ErrFull, err, cut)
	}
	j.size += size
	j.bytes.Add(size)
	j.durable.Add(n)
	return nil
}

// ahead is how many bytes of a segment are zeros before they are written to: a write into them changes no metadata, and
// its sync waits for nothing but its own bytes. Zeros are no record.
const ahead = 256 << 10

var zeros [ahead]byte

// fill puts zeros behind a size that the segment grows to, now and then. Without room for them they take none.
func (j *Journal) fill(size int64) error {
	if size <= j.filled {
		return nil
	}
	j.filled = size + ahead
	if _, err := j.file.WriteAt(zeros[:], size); err != nil {
		return j.file.Truncate(size)
	}
	return nil
}

// rotate goes on in a new segment.
func (j *Journal) rotate() error {
	first := j.durable.Load() + 1
	fresh, err := j.open(j.path(first))
	if err != nil {
		return err
	}
	if err := errors.Join(fresh.Truncate(0), syncDir(j.dir)); err != nil {
		return errors.Join(err, fresh.Close())
	}
	if j.file != nil {
		err = errors.Join(j.file.Truncate(j.size), j.file.Close()) // the rest of it is zeros
	}
	j.file, j.size, j.filled = fresh, 0, 0
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.segments[len(j.segments)-1] != first { // a segment without a record is taken again
		j.segments = append(j.segments, first)
	}
	return err
}
