package api

import (
	"encoding/json"
	"time"
)

// Limits of receipts.
const (
	MaxReceipts = 200    // of a page of the feed
	MaxReplay   = 10_000 // receipts that one request judges again
	MaxMoved    = 100    // ids of those whose action another policy changes, in one answer
)

// EventDecision is the kind of the event that a decision makes: it is a Receipt.
const EventDecision = "decision"

// ReceiptPayload is the type of what an Envelope carries.
const ReceiptPayload = "application/vnd.llama-mapper.receipt+json"

// Receipt says what one decision was, from what, and under which policy. It has nothing of the content: a native label
// in the evidence that is not known is a digest, hmac:..., as in an Event.
type Receipt struct {
	ID          string          `json:"id"`   // a UUID of version 7
	Kind        string          `json:"kind"` // EventDecision
	Time        time.Time       `json:"time"` // UTC, to the microsecond
	RequestID   string          `json:"request_id"`
	Item        int             `json:"item"` // of a batch, from 0
	TenantID    string          `json:"tenant_id"`
	KeyID       string          `json:"key_id"`
	Environment string          `json:"environment,omitempty"`
	Content     ReceiptContent  `json:"content"`
	Policy      ReceiptPolicy   `json:"policy"`
	Evidence    json.RawMessage `json:"evidence"` // what detectors said, and what it means
	Judgment    json.RawMessage `json:"judgment"` // what the policy made of it
	Versions    ReceiptVersions `json:"versions"`
	Redacted    int             `json:"redacted"` // places that were taken out of the content
	LatencyMS   float64         `json:"latency_ms"`
	FailOpen    []string        `json:"fail_open"` // detectors without an answer that the policy lets pass
	Shadow      *ReceiptShadow  `json:"shadow,omitempty"`
}

// ReceiptShadow is what the shadow policy would have decided from the same evidence.
type ReceiptShadow struct {
	Policy  string  `json:"policy"`
	Version int     `json:"version"`
	Hash    string  `json:"hash"`
	Action  Action  `json:"action"`
	Outcome Outcome `json:"outcome"`
}

// ReceiptContent stands for the content.
type ReceiptContent struct {
	Type       ContentType `json:"type"`
	Characters int         `json:"characters"`
	Digest     string      `json:"digest"` // an HMAC under a key of the tenant: equal contents can be told, and by the tenant only
}

// ReceiptPolicy is the policy that judged.
type ReceiptPolicy struct {
	Name      string `json:"name"`
	Version   int    `json:"version"`
	Hash      string `json:"hash"`
	FloorHash string `json:"floor_hash"` // of the tenant's floor, which holds beside it
}

// ReceiptVersions are those of everything that had a part in a decision.
type ReceiptVersions struct {
	Orchestration string            `json:"orchestration"`
	Taxonomy      string            `json:"taxonomy"`
	Model         string            `json:"model"`
	Detectors     map[string]string `json:"detectors"`
}

// Envelope carries a receipt with its signature, as DSSE says: what is signed is the payload's type and its bytes as
// they are, so nobody needs a canonical form of JSON.
type Envelope struct {
	PayloadType string              `json:"payloadType"` // ReceiptPayload
	Payload     []byte              `json:"payload"`     // a Receipt, in base64
	Signatures  []EnvelopeSignature `json:"signatures"`  // one
}

// EnvelopeSignature is one signature, of Ed25519.
type EnvelopeSignature struct {
	KeyID string `json:"keyid"` // SHA-256 of the public key
	Sig   []byte `json:"sig"`
}

// ReceiptsResponse is a page of receipts, each with its event's number as seq, oldest first.
type ReceiptsResponse struct {
	Receipts []json.RawMessage `json:"receipts"`
	Next     string            `json:"next"` // after=NEXT goes on; the end is where it stays the same
}

// ReceiptKey is what receipts are verified with.
type ReceiptKey struct {
	KeyID     string `json:"keyid"`
	Algorithm string `json:"algorithm"`
	PublicKey []byte `json:"public_key"`
}

// ReplayRequest names the policy that judges a receipt's evidence again.
type ReplayRequest struct {
	Policy  string `json:"policy,omitempty"`  // that of the receipt where it does not say
	Version int    `json:"version,omitempty"` // 0 is the one in force
}

// ReplayResponse is what was decided, what the other policy would decide, and where they differ.
type ReplayResponse struct {
	ReceiptID string         `json:"receipt_id"`
	Then      ReplayJudgment `json:"then"`
	Now       ReplayJudgment `json:"now"`
	Changed   []string       `json:"changed"` // the judgment's fields that differ, by name
}

// ReplayJudgment is a judgment and the policy that made it.
type ReplayJudgment struct {
	Policy   ReceiptPolicy   `json:"policy"`
	Judgment json.RawMessage `json:"judgment"`
}

// ReplayRangeRequest names the receipts behind a cursor, at most MaxReplay, and the policy that judges them again.
type ReplayRangeRequest struct {
	Policy  string `json:"policy"`
	Version int    `json:"version,omitempty"` // 0 is the one in force
	After   string `json:"after,omitempty"`
	Limit   int    `json:"limit,omitempty"` // MaxReplay where it does not say
}

// ReplayRangeResponse compares what was decided with what the other policy would decide.
type ReplayRangeResponse struct {
	Policy  ReceiptPolicy  `json:"policy"`
	Judged  int            `json:"judged"`
	Actions []ActionChange `json:"actions"` // mildest first; those that stay the same too
	Blocks  BlockChange    `json:"blocks"`
	Changed []string       `json:"changed"` // ids of receipts whose action changes, the first MaxMoved
	Next    string         `json:"next"`    // after=NEXT goes on; the end is where it stays the same
}

// ActionChange counts receipts by what was decided and what would be.
type ActionChange struct {
	Then  Action `json:"then"`
	Now   Action `json:"now"`
	Count int    `json:"count"`
}

// BlockChange says how the other policy would change how often content is blocked, and whether that is chance.
type BlockChange struct {
	OnlyThen int     `json:"only_then"` // blocked then, and not by the other policy
	OnlyNow  int     `json:"only_now"`
	P        float64 `json:"p"`     // McNemar's test, exact and two-sided
	Delta    float64 `json:"delta"` // of the share of blocks
	Low      float64 `json:"delta_low"`
	High     float64 `json:"delta_high"` // of 95 %, by Newcombe's method 10
}

// ParseReplay reads the request to judge one receipt again; an empty body asks for its own policy in force.
func ParseReplay(body []byte) (req ReplayRequest, err error) {
	if len(body) > 0 {
		err = decode(body, &req)
	}
	if err == nil {
		err = checkReplay(req.Policy, req.Version)
	}
	return req, err
}

// ParseReplayRange reads the request to judge many again, and its cursor.
func ParseReplayRange(body []byte) (req ReplayRangeRequest, after int64, err error) {
	if err = decode(body, &req); err != nil {
		return req, 0, err
	}
	if req.Policy == "" {
		return req, 0, Errorf(InvalidRequest, "policy is missing; name the policy that is to judge")
	}
	if req.Limit == 0 {
		req.Limit = MaxReplay
	}
	if req.Limit < 1 || req.Limit > MaxReplay {
		return req, 0, Errorf(InvalidRequest, "limit must be 1 to %d", MaxReplay)
	}
	if err = checkReplay(req.Policy, req.Version); err != nil {
		return req, 0, err
	}
	after, err = ParseCursor(req.After)
	return req, after, err
}

func checkReplay(policy string, version int) error {
	switch {
	case len(policy) > 64:
		return Errorf(InvalidRequest, "policy is longer than any policy's name")
	case version < 0:
		return Errorf(InvalidRequest, "version must be that of a policy, or 0 for the one in force")
	}
	return nil
}
