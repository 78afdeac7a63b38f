package receipt

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/llama-mapper/llama-mapper/api"
	"github.com/llama-mapper/llama-mapper/services/access"
	"github.com/llama-mapper/llama-mapper/services/audit"
)

// maxReceipt is the size of a receipt, at most; the journal takes no larger record.
const maxReceipt = 1<<20 - 1<<10

// Content is what a receipt says of content.
func Content(v access.Vault, kind api.ContentType, content string) api.ReceiptContent {
	return api.ReceiptContent{Type: kind, Characters: utf8.RuneCountInString(content), Digest: v.Digest(content)}
}

// Native is a detector's label as evidence may keep it: in words if it is known, and a digest of it otherwise, for a
// remote detector may answer with content. known says whether the built-in detector or the table of that name has the
// label.
func Native(v access.Vault, known func(detector, native string) bool, detector, native string) string {
	if known(detector, native) {
		return native
	}
	return v.Digest(strings.ToLower(native))
}

// Entries gives receipts their ids, kinds, times and tenant and makes events of them, for audit.Append.
func Entries(t *access.Tenant, receipts ...*api.Receipt) ([]audit.Entry, error) {
	entries := make([]audit.Entry, len(receipts))
	for i, r := range receipts {
		r.Time = time.Now().UTC().Truncate(time.Microsecond)
		r.ID, r.Kind, r.TenantID = newID(r.Time), api.EventDecision, t.ID
		if r.FailOpen == nil {
			r.FailOpen = []string{}
		}
		raw, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("receipt: %w", err)
		}
		if len(raw) > maxReceipt {
			return nil, fmt.Errorf("receipt: it has %d bytes, at most %d can be kept", len(raw), maxReceipt)
		}
		entries[i] = audit.Entry{At: r.Time, JSON: raw}
	}
	return entries, nil
}

// Log keeps events. *audit.Log is one.
type Log interface {
	Keep(ctx context.Context, t *access.Tenant, events []audit.Entry) error
}

// Service keeps receipts, reads them and judges them again.
type Service struct {
	log      Log
	feed     *audit.Feed
	key      ed25519.PrivateKey
	policies Policies
}

// New makes a service that signs with a key.
func New(l Log, f *audit.Feed, key ed25519.PrivateKey, p Policies) *Service {
	return &Service{l, f, key, p}
}

// Keep fills in receipts as Entries does and has them, all or none, on the disk before it returns nil.
func (s *Service) Keep(ctx context.Context, t *access.Tenant, receipts ...*api.Receipt) error {
	entries, err := Entries(t, receipts...)
	if err != nil {
		return err
	}
	return s.log.Keep(ctx, t, entries)
}

// errNotFound is also the answer for what is no id, or another tenant's.
var errNotFound = api.Errorf(api.NotFound, "there is no such receipt; a new one can be read a moment after its decision, and retention removes old ones")

// Get returns the bytes of a tenant's receipt, as they were when it was kept.
func (s *Service) Get(ctx context.Context, t *access.Tenant, id string) ([]byte, error) {
	at, ok := timeOf(id)
	if !ok {
		return nil, errNotFound
	}
	events, err := s.feed.At(ctx, t, at)
	if err != nil {
		return nil, err
	}
	for _, e := range events {
		var is struct{ ID string }
		if err := json.Unmarshal(e, &is); err == nil && is.ID == id {
			return e, nil
		}
	}
	return nil, errNotFound
}

// List returns a tenant's receipts among the events behind the number after, at most limit of those.
func (s *Service) List(ctx context.Context, t *access.Tenant, after int64, limit int) (api.ReceiptsResponse, error) {
	out := api.ReceiptsResponse{Receipts: []json.RawMessage{}}
	page, err := s.feed.Events(ctx, t, after, limit)
	if err != nil {
		return out, err
	}
	out.Next = page.Next
	for _, e := range page.Events {
		var is struct{ Kind string }
		if err := json.Unmarshal(e, &is); err != nil {
			return out, fmt.Errorf("event: %w", err)
		}
		if is.Kind == api.EventDecision {
			out.Receipts = append(out.Receipts, e)
		}
	}
	return out, nil
}
