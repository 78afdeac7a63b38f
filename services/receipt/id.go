package receipt

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// newID makes a UUID of version 7 (RFC 9562, with the fraction of the millisecond in rand_a), from which the time can be
// read to the microsecond: so an id finds its event by the index over times.
func newID(at time.Time) string {
	var b [16]byte
	rand.Read(b[:])              //nolint:errcheck // it never fails
	us := uint64(at.UnixMicro()) //nolint:gosec // it is after 1970
	binary.BigEndian.PutUint64(b[:], us/1000<<16|7<<12|us%1000*4096/1000)
	b[8] = b[8]&0x3f | 0x80
	return formatID(b[:])
}

func formatID(b []byte) string {
	s := hex.EncodeToString(b)
	return strings.Join([]string{s[:8], s[8:12], s[12:16], s[16:20], s[20:]}, "-")
}

// timeOf reads the time out of an id.
func timeOf(id string) (time.Time, bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
	if err != nil || len(b) != 16 || formatID(b) != id || b[6]>>4 != 7 {
		return time.Time{}, false
	}
	n := binary.BigEndian.Uint64(b)
	us := (n>>16)*1000 + (n&0xfff*1000+4095)/4096
	return time.UnixMicro(int64(us)).UTC(), true //nolint:gosec // it has 58 bits
}
