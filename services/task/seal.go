package task

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"

	"github.com/llama-mapper/llama-mapper/services/access"
)

// put seals a text of a job with the tenant's data key, bound to its place, so that it opens nowhere else.
func put(v access.Vault, kind, job string, text []byte) ([]byte, error) {
	return v.Seal(append([]byte(kind+" "+job+"\n"), text...))
}

// take opens what put has sealed for the same place.
func take(v access.Vault, kind, job string, sealed []byte) ([]byte, error) {
	plain, err := v.Open(sealed)
	if err != nil {
		return nil, err
	}
	text, ok := bytes.CutPrefix(plain, []byte(kind+" "+job+"\n"))
	if !ok {
		return nil, errors.New("what a job has sealed is not where it was put")
	}
	return text, nil
}

// sealRequest seals a request with a key of its own, which it returns sealed.
func sealRequest(v access.Vault, job string, request []byte) (sealed, key []byte, err error) {
	own := make([]byte, 32)
	rand.Read(own) //nolint:errcheck // it never fails
	aead, err := newAEAD(own)
	if err != nil {
		return nil, nil, err
	}
	key, err = put(v, "key", job, own)
	return aead.Seal(nil, nil, request, []byte(job)), key, err
}

func openRequest(v access.Vault, job string, sealed, key []byte) ([]byte, error) {
	own, err := take(v, "key", job, key)
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(own)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed, []byte(job))
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
