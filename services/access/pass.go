package access

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// A pass reads lmp_BODY.MAC, both in base64url: by it one of our services asks another on behalf of a caller whom it has
// let in and counted already. The body is the time of its end in Unix milliseconds, the tenant behind its length, and
// the id of the caller's key; the MAC is HMAC-SHA256 under a key that derives from the master key.
const passPrefix = "lmp_"

// PassLife is how long a pass may be valid.
const PassLife = time.Minute

// Pass makes one for a caller, who may map with it and nothing else.
func (s *Secrets) Pass(c Caller, now time.Time) string {
	body := binary.BigEndian.AppendUint64(nil, uint64(now.Add(PassLife).UnixMilli())) //nolint:gosec // only its bits count
	body = append(append(body, byte(len(c.Tenant.ID))), c.Tenant.ID...)               // at most api.MaxTenant
	body = append(body, c.Key.ID...)
	return passPrefix + base64.RawURLEncoding.EncodeToString(body) + "." + base64.RawURLEncoding.EncodeToString(s.passMAC(body))
}

func (s *Secrets) passMAC(body []byte) []byte { return macOf(s.passes, string(body)) }

// readPass returns what a pass says, if it is one and valid at that time.
func (s *Secrets) readPass(text string, now time.Time) (tenant, key string, ok bool) {
	encoded, mac, _ := strings.Cut(strings.TrimPrefix(text, passPrefix), ".")
	body, err := base64.RawURLEncoding.DecodeString(encoded)
	sum, macErr := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || macErr != nil || !hmac.Equal(sum, s.passMAC(body)) {
		return "", "", false
	}
	ends, rest := int64(binary.BigEndian.Uint64(body)), body[8:] //nolint:gosec // only its bits count
	if now.UnixMilli() >= ends {
		return "", "", false
	}
	return string(rest[1 : 1+rest[0]]), string(rest[1+rest[0]:]), true
}

// passed returns the caller for whom a pass was made. A key that was revoked since takes its passes with it.
func (d *Directory) passed(text string, now time.Time) (Caller, error) {
	id, key, ok := d.secrets.readPass(text, now)
	if !ok {
		return Caller{}, api.Errorf(api.Unauthorized, "the pass is not valid; all services need the same access.master_key, and clocks that agree")
	}
	d.mu.RLock()
	row, found := d.keys[key]
	tenant := d.known[id]
	d.mu.RUnlock()
	if tenant == nil || !found || row.Tenant != id || row.RevokedAt != nil {
		return Caller{}, api.Errorf(api.Unauthorized, "the key that the pass was made for is not valid any more")
	}
	k := row.Key
	k.Scopes = slices.Clip([]Scope{Map})
	return Caller{Key: &k, Tenant: tenant, Service: true}, nil
}
