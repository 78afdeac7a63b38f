package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
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

// commit writes an append together with all that wait beside it.
func (j *Journal) commit(p *pending) {
	group := []*pending{p}
	j.group = j.group[:0]
	n := j.add(p)
	for int64(len(j.group)) < j.part/4 {
		select {
		case p = <-j.queue:
			group = append(group, p)
			n += j.add(p)
			continue
		default:
		}
		break
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
		err = j.file.Sync()
	}
	if err != nil {
		// What is there of the group is cut off, or a start would take it for records. Where that fails, or a sync has
		// failed, whose pages the kernel may have dropped, no more goes into this file.
		cut := j.file.Truncate(j.size)
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

// prepare fills a segment with zeros, so that a write into it changes no metadata and its sync waits for nothing but
// its own bytes. Zeros are no record. Without room for them the segment grows as it is written.
func (j *Journal) prepare(fresh file) error {
	if err := fresh.Truncate(0); err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < j.part; at += int64(len(zeros)) {
		if _, err := fresh.WriteAt(zeros[:min(int64(len(zeros)), j.part-at)], at); err != nil {
			return fresh.Truncate(0)
		}
	}
	return fresh.Sync()
}

// rotate goes on in a new segment.
func (j *Journal) rotate() error {
	first := j.durable.Load() + 1
	fresh, err := j.open(j.path(first))
	if err != nil {
		return err
	}
	if err := errors.Join(j.prepare(fresh), syncDir(j.dir)); err != nil {
		return errors.Join(err, fresh.Close())
	}
	if j.file != nil {
		err = errors.Join(j.file.Truncate(j.size), j.file.Close()) // the rest of it is zeros
	}
	j.file, j.size = fresh, 0
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.segments[len(j.segments)-1] != first { // a segment without a record is taken again
		j.segments = append(j.segments, first)
	}
	return err
}
