package access

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/llama-mapper/llama-mapper/config"
)

// Secrets are what derives from the master key, by HKDF-SHA256 (RFC 5869) with a purpose for each.
type Secrets struct {
	pepper  *sync.Pool         // of HMACs, for the hashes of API keys
	wrap    cipher.AEAD        // of tenants' data keys
	Signing ed25519.PrivateKey // of the audit
	Cache   []byte             // of the names of what replicas share in Redis
	passes  *sync.Pool         // of HMACs, for passes
}

// NewSecrets derives them from the master key of the settings. Development makes one in the state directory
// where none is set.
func NewSecrets(c config.Config) (*Secrets, error) {
	encoded := string(c.Access.MasterKey)
	if encoded == "" {
		if !c.Development() {
			return nil, errors.New("access.master_key is not set; openssl rand -base64 32 makes one, the same for all replicas and services, in LLAMA_MAPPER_ACCESS__MASTER_KEY or a file that LLAMA_MAPPER_ACCESS__MASTER_KEY_FILE names")
		}
		var err error
		if encoded, err = developmentKey(filepath.Join(c.StateDir, "master.key")); err != nil {
			return nil, fmt.Errorf("the master key of development: %w", err)
		}
	}
	master, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(master) != 32 {
		return nil, errors.New("access.master_key is not 32 bytes in base64")
	}
	return derive(master)
}

func derive(master []byte) (*Secrets, error) {
	sub := func(purpose string) []byte {
		key, err := hkdf.Key(sha256.New, master, nil, "llama-mapper "+purpose, 32)
		if err != nil {
			panic(err) // only of a length out of range
		}
		return key
	}
	wrap, err := newAEAD(sub("data keys"))
	if err != nil {
		return nil, err
	}
	return &Secrets{pepper: macsOf(sub("api keys")), wrap: wrap, Signing: ed25519.NewKeyFromSeed(sub("audit")), Cache: sub("cache"), passes: macsOf(sub("passes"))}, nil
}

// developmentKey reads the key, or makes it; of several processes that start at once all get the same.
func developmentKey(path string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	fresh, err := os.CreateTemp(filepath.Dir(path), "master")
	if err != nil {
		return "", err
	}
	defer os.Remove(fresh.Name())
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails
	_, err = fresh.WriteString(base64.StdEncoding.EncodeToString(key))
	if err := errors.Join(err, fresh.Close()); err != nil {
		return "", err
	}
	if err := os.Link(fresh.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	raw, err := os.ReadFile(path)
	return strings.TrimSpace(string(raw)), err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// NewDataKey makes a tenant's data key, wrapped.
func (s *Secrets) NewDataKey(tenant string) []byte {
	key := make([]byte, 32)
	rand.Read(key) //nolint:errcheck // it never fails
	return s.wrap.Seal(nil, nil, key, []byte(tenant))
}

// Vault seals what is kept about one tenant. Without the tenant's data key nobody opens it again. The zero Vault,
// of a tenant that was deleted, seals nothing.
type Vault struct {
	seal     cipher.AEAD
	macs     *sync.Pool // for digests; nil of a deleted tenant
	webhooks []byte
}

// Vault unwraps a tenant's data key; nil is that of a deleted tenant.
func (s *Secrets) Vault(tenant string, wrapped []byte) (Vault, error) {
	if wrapped == nil {
		return Vault{}, nil
	}
	key, err := s.wrap.Open(nil, nil, wrapped, []byte(tenant))
	if err != nil {
		return Vault{}, errors.New("a data key does not open; access.master_key is another one than it was made with")
	}
	sub := func(purpose string) []byte {
		out, err := hkdf.Key(sha256.New, key, nil, purpose, 32)
		if err != nil {
			panic(err) // only of a length out of range
		}
		return out
	}
	seal, err := newAEAD(sub("seal"))
	return Vault{seal: seal, macs: macsOf(sub("digest")), webhooks: sub("webhooks")}, err
}

// macsOf keeps HMACs that have a key: setting one up costs more than a label.
func macsOf(key []byte) *sync.Pool {
	return &sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}
}

func macOf(macs *sync.Pool, text string) []byte {
	h, _ := macs.Get().(hash.Hash)
	defer macs.Put(h)
	h.Reset()
	h.Write([]byte(text))
	return h.Sum(nil)
}

var keyless = macsOf(nil)

// ErrShredded is the error of opening what a deleted tenant's key had sealed.
var ErrShredded = errors.New("the tenant was deleted, and its data key with it")

// Seal encrypts with AES-256-GCM and a random nonce.
func (v Vault) Seal(plain []byte) ([]byte, error) { return v.AppendSeal(nil, plain) }

// AppendSeal is Seal behind what is in a buffer.
func (v Vault) AppendSeal(to, plain []byte) ([]byte, error) {
	if v.seal == nil {
		return nil, ErrShredded
	}
	return v.seal.Seal(to, nil, plain, nil), nil
}

// Open decrypts what Seal returned.
func (v Vault) Open(sealed []byte) ([]byte, error) {
	if v.seal == nil {
		return nil, ErrShredded
	}
	return v.seal.Open(nil, nil, sealed, nil)
}

// Webhooks is what the tenant's webhooks are signed with. The tenant may see it.
func (v Vault) Webhooks() ([]byte, error) {
	if v.webhooks == nil {
		return nil, ErrShredded
	}
	return v.webhooks, nil
}

// Digest stands for a text where the text itself may not be kept: an HMAC-SHA256 under a key of the tenant, so
// that equal texts can be told without anyone guessing them.
func (v Vault) Digest(text string) string {
	macs := v.macs
	if macs == nil {
		macs = keyless
	}
	return "hmac:" + base64.RawURLEncoding.EncodeToString(macOf(macs, text)[:16])
}
