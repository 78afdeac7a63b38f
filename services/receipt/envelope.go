package receipt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/llama-mapper/llama-mapper/api"
)

// MaxEnvelope is the size of an envelope, at most.
const MaxEnvelope = 2 << 20

// KeyID names a public key.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// encoding is what a signature covers: DSSE's pre-authentication encoding.
func encoding(payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(api.ReceiptPayload), api.ReceiptPayload, len(payload), payload)
}

// Sign puts a receipt's bytes into an envelope.
func Sign(key ed25519.PrivateKey, payload []byte) api.Envelope {
	public := ed25519.PublicKey(key[ed25519.SeedSize:])
	return api.Envelope{PayloadType: api.ReceiptPayload, Payload: payload, Signatures: []api.EnvelopeSignature{{KeyID: KeyID(public), Sig: ed25519.Sign(key, encoding(payload))}}}
}

// Open reads an envelope, and does not look at the signature. White space between JSON's tokens is the only thing that
// may differ from how we write it.
func Open(raw []byte) (e api.Envelope, err error) {
	if len(raw) > MaxEnvelope {
		return e, fmt.Errorf("it is larger than %d bytes", MaxEnvelope)
	}
	var compact bytes.Buffer
	if json.Unmarshal(raw, &e) != nil || json.Compact(&compact, raw) != nil {
		return e, errors.New("it is not an envelope; GET /api/v1/receipts/{id} answers one")
	}
	if ours, err := json.Marshal(e); err != nil || !bytes.Equal(ours, compact.Bytes()) {
		return e, errors.New("it is not written as our envelopes are")
	}
	if e.PayloadType != api.ReceiptPayload || len(e.Signatures) != 1 {
		return e, errors.New("it does not carry a receipt with one signature")
	}
	var r api.Receipt
	if json.Unmarshal(e.Payload, &r) != nil || r.Kind != api.EventDecision {
		return e, errors.New("what it carries is not a receipt")
	}
	return e, nil
}

// Verify opens an envelope that is signed by key. It needs no server.
func Verify(raw []byte, key ed25519.PublicKey) (api.Envelope, error) {
	e, err := Open(raw)
	if err != nil {
		return e, err
	}
	s := e.Signatures[0]
	if s.KeyID != KeyID(key) || !ed25519.Verify(key, encoding(e.Payload), s.Sig) {
		return e, errors.New("the signature is not of this key and receipt")
	}
	return e, nil
}
