package audit

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Report is what Verify found.
type Report struct {
	Tenant   string `json:"tenant"`
	First    int64  `json:"first"`    // number of the first event
	Last     int64  `json:"last"`     // and of the last
	Events   int    `json:"events"`   // that the chain ties together
	Opened   int    `json:"opened"`   // of them, that can be read and are what their leaf commits to
	Signed   int    `json:"signed"`   // signed heads
	Unsigned int64  `json:"unsigned"` // events behind the last signed head; they may still be cut off unseen
}

// maxLine is the length of a line of an export.
const maxLine = 4 << 20

// Verify reads an export and checks that each event is what it was when it was written, that none is missing or
// moved, and that the signed heads are signed by key. It needs nothing but the file and the public key.
func Verify(r io.Reader, key ed25519.PublicKey) (Report, error) {
	var rep Report
	var head Head
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for n := 1; lines.Scan(); n++ {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return rep, fmt.Errorf("line %d: it is not of an export", n)
		}
		var err error
		switch {
		case n == 1:
			err = rep.start(l, &head)
		case l.Tenant != rep.Tenant:
			err = errors.New("it is another tenant's")
		case l.Signature != nil:
			err = rep.seal(l, head, key)
		default:
			err = rep.event(l, &head)
		}
		if err != nil {
			return rep, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return rep, fmt.Errorf("export: %w", err)
	}
	if rep.Tenant == "" {
		return rep, errors.New("the export is empty")
	}
	return rep, nil
}

func (rep *Report) start(l Line, head *Head) error {
	if !l.Start || l.Tenant == "" {
		return errors.New("it is not the start of an export")
	}
	if l.Seq == 0 && !bytes.Equal(l.Hash, genesis(l.Tenant).Hash) {
		return errors.New("the chain does not begin as this tenant's does")
	}
	rep.Tenant, rep.First, rep.Last = l.Tenant, l.Seq+1, l.Seq
	*head = Head{l.Seq, l.Hash}
	return nil
}

func (rep *Report) event(l Line, head *Head) error {
	if l.Seq != head.Seq+1 {
		return fmt.Errorf("event %d comes after %d; events are missing or moved", l.Seq, head.Seq)
	}
	*head = head.next(l.At, l.Leaf)
	if !bytes.Equal(head.Hash, l.Hash) {
		return fmt.Errorf("event %d was changed, or one before it", l.Seq)
	}
	if l.Event != nil {
		if len(l.Salt) != saltSize || !bytes.Equal(leafOf(append(bytes.Clone(l.Salt), l.Event...)), l.Leaf) {
			return fmt.Errorf("event %d is not what its leaf commits to", l.Seq)
		}
		rep.Opened++
	}
	rep.Events, rep.Last, rep.Unsigned = rep.Events+1, l.Seq, rep.Unsigned+1
	return nil
}

func (rep *Report) seal(l Line, head Head, key ed25519.PublicKey) error {
	if l.Seq != head.Seq || !bytes.Equal(l.Hash, head.Hash) {
		return fmt.Errorf("the head that was signed at %d is another one", l.Seq)
	}
	if !ed25519.Verify(key, signed(l.Tenant, l.Seq, l.Hash, l.At), l.Signature) {
		return fmt.Errorf("the signature at %d is not of this key", l.Seq)
	}
	rep.Signed, rep.Unsigned = rep.Signed+1, 0
	return nil
}
