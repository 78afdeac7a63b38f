package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
)

const (
	saltSize = 16
	sealing  = 28 // bytes that sealing adds: a nonce and a tag
)

// Head is the end of a chain.
type Head struct {
	Seq  int64
	Hash []byte
}

// genesis is the head of a chain without events.
func genesis(tenant string) Head {
	sum := sha256.Sum256([]byte("llama-mapper audit 1\n" + tenant))
	return Head{Hash: sum[:]}
}

// next is the head after one more event.
func (h Head) next(at time.Time, leaf []byte) Head {
	b := make([]byte, 0, 1+sha256.Size+16+sha256.Size)
	b = append(append(b, 1), h.Hash...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.Seq+1))        //nolint:gosec // it counts from 1
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro())) //nolint:gosec // only its bits count
	sum := sha256.Sum256(append(b, leaf...))
	return Head{h.Seq + 1, sum[:]}
}

func leafOf(salted []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, salted...))
	return sum[:]
}

// record is an event on its way: in the journal, and to Postgres.
type record struct {
	Tenant string
	At     time.Time // to the microsecond, as Postgres keeps it
	Leaf   []byte
	Sealed []byte // salt and event
}

// Entry is an event of any kind.
type Entry struct {
	At   time.Time // kept to the microsecond
	JSON []byte    // an object that is not empty
}

// Entries makes entries of mappings' events.
func Entries(events []api.Event) ([]Entry, error) {
	entries := make([]Entry, len(events))
	for i := range events {
		e := &events[i]
		e.Time = e.Time.UTC().Truncate(time.Microsecond)
		event, err := json.Marshal(e)
		if err != nil {
			return nil, fmt.Errorf("event: %w", err)
		}
		entries[i] = Entry{e.Time, event}
	}
	return entries, nil
}

// seal makes the journal's form of an entry: the tenant behind its length in a byte, microseconds, leaf, and salt and
// event sealed.
func seal(t *access.Tenant, e Entry) ([]byte, error) {
	plain := make([]byte, 1+saltSize, 1+saltSize+len(e.JSON)) // a leaf begins with 0
	rand.Read(plain[1:])                                      //nolint:errcheck // it never fails
	plain = append(plain, e.JSON...)
	leaf := sha256.Sum256(plain)
	b := make([]byte, 0, 1+len(t.ID)+8+len(leaf)+len(plain)+sealing)
	b = append(append(b, byte(len(t.ID))), t.ID...)                // at most api.MaxTenant
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro())) //nolint:gosec // only its bits count
	return t.Vault.AppendSeal(append(b, leaf[:]...), plain[1:])
}

var errRecord = errors.New("this is no record of an event")

func decodeRecord(b []byte) (r record, err error) {
	if len(b) < 1 || len(b) < 1+int(b[0])+8+sha256.Size {
		return r, errRecord
	}
	r.Tenant, b = string(b[1:1+b[0]]), b[1+b[0]:]
	r.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC() //nolint:gosec // only its bits count
	r.Leaf, r.Sealed = bytes.Clone(b[8:8+sha256.Size]), bytes.Clone(b[8+sha256.Size:])
	return r, nil
}

// openEvent opens what seal sealed, and holds it against its leaf.
func openEvent(v access.Vault, sealed, leaf []byte) (salt, event []byte, err error) {
	salted, err := v.Open(sealed)
	if err != nil {
		return nil, nil, err
	}
	if len(salted) < saltSize || !bytes.Equal(leafOf(salted), leaf) {
		return nil, nil, errors.New("an event is not what its leaf commits to")
	}
	return salted[:saltSize], salted[saltSize:], nil
}
