package access_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/llama-mapper/llama-mapper/api"
)

// A pass lets a service map for a caller, for a minute, and not for longer than the key is good.
func TestPass(t *testing.T) {
	f := newFixture(t)
	key, k := f.create(t, "a", "admin")
	c, err := f.keys.Who(key)
	if err != nil {
		t.Fatal(err)
	}
	pass := secrets(t, 'k').Pass(c, time.Now())
	by, err := f.keys.Who(pass)
	if err != nil || by.Tenant.ID != "a" || by.Key.ID != k.ID || !by.Service || fmt.Sprint(by.Key.Scopes) != "[map]" {
		t.Fatalf("%+v %v", by, err)
	}
	if again, err := f.keys.Who(key); err != nil || len(again.Key.Scopes) < 2 || again.Service {
		t.Errorf("the key itself has lost something: %+v %v", again, err)
	}
	at := strings.Index(pass, ".") - 2
	for _, wrong := range []string{pass[:len(pass)-2], pass[:at] + "AA" + pass[at+2:], "lmp_", "lmp_.", secrets(t, 'k').Pass(c, time.Now().Add(-2*time.Minute))} {
		if f.code(wrong) != api.Unauthorized {
			t.Errorf("%q was let in", wrong)
		}
	}
	if err := f.store.Revoke(ctx, "a", k.ID); err != nil {
		t.Fatal(err)
	}
	f.keys.Follow(ctx)
	if f.code(pass) != api.Unauthorized {
		t.Error("a pass of a revoked key was let in")
	}
}
