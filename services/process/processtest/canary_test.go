package processtest

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"testing"
)

// A canary is found however it is written, and not where there is none.
func TestFind(t *testing.T) {
	const text = "canary4711"
	for _, before := range []string{"", "x", "xy", "xyz"} {
		plain := before + "/" + text + "?"
		for _, written := range []string{
			plain, before + "/Canary4711?", url.QueryEscape(plain), hex.EncodeToString([]byte(plain)), "\xff\x00" + plain,
			base64.StdEncoding.EncodeToString([]byte(plain)), base64.RawURLEncoding.EncodeToString([]byte(plain)),
		} {
			if find([]byte(written), text) < 0 {
				t.Errorf("it is not found in %q", written)
			}
		}
	}
	if i := find([]byte("canary471 canary Y2FuYXJ5 63616e617279"), text); i >= 0 {
		t.Errorf("it is found at %d", i)
	}
}
