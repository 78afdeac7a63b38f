package access

import (
	"crypto/rand"
	"strings"

	"github.com/llama-mapper/llama-mapper/api"
)

// Scope is something that a key may do.
type Scope = string

// The scopes of routes.
const (
	Map         Scope = "map"
	Orchestrate Scope = "orchestrate"
	Analyze     Scope = "analyze"
	Read        Scope = "read"
	Review      Scope = "review"
	Admin       Scope = "admin"
)

// Roles are sets of scopes. A key has a role, and may have fewer scopes than that.
var Roles = map[string][]Scope{
	"viewer":   {Read},
	"operator": {Map, Orchestrate, Analyze, Read, Review},
	"admin":    {Map, Orchestrate, Analyze, Read, Review, Admin},
}

// Key is an API key as it is kept: all but its secret.
type Key = api.Key

// A key reads lm_ID_SECRET: 80 and 160 random bits in base 32.
const (
	prefix       = "lm_"
	idLength     = 16
	secretLength = 32
)

func newKey() (id, secret string) {
	text := strings.ToLower(rand.Text() + rand.Text()) // 26 characters of base 32 each, 130 bits
	return text[:idLength], text[len(text)-secretLength:]
}

// split takes a key apart; ok says whether it has the form of one.
func split(key string) (id, secret string, ok bool) {
	rest, found := strings.CutPrefix(key, prefix)
	if !found || len(rest) != idLength+1+secretLength || rest[idLength] != '_' {
		return "", "", false
	}
	return rest[:idLength], rest[idLength+1:], true
}

// hash is what is kept of a secret: HMAC-SHA256 under the pepper. The secret has 160 random bits, so a slow hash
// would protect nothing more.
func (s *Secrets) hash(id, secret string) []byte {
	return macOf(s.pepper, id+"_"+secret)
}
