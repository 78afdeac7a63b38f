package idempotency

import (
	"bytes"
	"encoding/binary"
)

// The states of a record.
const (
	working = 'w'
	done    = 'd'
)

// record is what a key holds in Redis: its state, the length of the digest, the digest of the request's body, and then
// something random while there is work, or the sealed response.
type record struct {
	state  byte
	digest string
	rest   []byte
}

func (r record) encode() string {
	return string([]byte{r.state, byte(len(r.digest))}) + r.digest + string(r.rest)
}

func decode(s string) (record, bool) {
	if len(s) < 2 || len(s) < 2+int(s[1]) || s[0] != working && s[0] != done {
		return record{}, false
	}
	n := 2 + int(s[1])
	return record{state: s[0], digest: s[2:n], rest: []byte(s[n:])}, true
}

// pack makes what is sealed of a response. It names the record that it is for, so that nobody who can write to Redis
// makes one request's response another's.
func pack(status int, body []byte, place string) []byte {
	out := binary.BigEndian.AppendUint16(nil, uint16(status))    //nolint:gosec // a status has three digits
	out = binary.BigEndian.AppendUint16(out, uint16(len(place))) //nolint:gosec // a key and a digest
	return append(append(out, place...), body...)
}

func unpack(plain []byte, place string) (status int, body []byte, ok bool) {
	if len(plain) < 4 {
		return 0, nil, false
	}
	n := int(binary.BigEndian.Uint16(plain[2:]))
	rest, found := bytes.CutPrefix(plain[4:], []byte(place))
	if n != len(place) || !found {
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint16(plain)), rest, true
}
