package secrets

import (
	"slices"
	"strings"
	"unicode"

	"github.com/llama-mapper/llama-mapper/services/detect/secrets/gitleaks"
)

// kind is what a name says of its value.
type kind int

const (
	notSecret kind = iota
	isPassword
	isToken
	isKey
)

const (
	maxName  = 48
	maxValue = 256
)

// assigned tries a value behind = or :, if what stands before is the name of a secret. op is the operator, after what
// is behind it.
func (s *scan) assigned(op, after int) {
	name := s.name(op)
	if len(name) < 3 {
		return
	}
	what := named(name)
	if what == notSecret {
		return
	}
	start := after
	for start < len(s.content) && start-after < 6 && strings.IndexByte(" \t\"'`=>:\\", s.content[start]) >= 0 {
		start++
	}
	quoted := start > after && strings.IndexByte("\"'`", s.content[start-1]) >= 0
	s.value(what, start, quoted, 0)
}

// name is the identifier that ends before op, with blanks and quotes between.
func (s *scan) name(op int) string {
	end := op
	for end > 0 && op-end < 4 && strings.IndexByte(" \t\"'`:)]\\*", s.content[end-1]) >= 0 {
		end--
	}
	start := end
	for start > 0 && end-start < maxName && (alnum(s.content[start-1]) || strings.IndexByte("_-.", s.content[start-1]) >= 0 || s.content[start-1] >= 0x80) {
		start--
	}
	return s.content[start:end]
}

// Words that names of secrets have, or end with, and names that only sound like one.
var (
	passwordWords = strings.Fields("password passwd passphrase passwort contraseña kennwort pwd passcode senha hasło wachtwoord lösenord şifre пароль")
	tokenWords    = strings.Fields("token bearer sessionid jwt cookie")
	keyWords      = strings.Fields("key secret credential credentials creds auth")
	notSecrets    = strings.Fields("tokenizer tokens keyboard monkey keyword publickey pubkey passwordlength passwordhash passwordfield tokentype tokenurl tokenendpoint secretname keyid keyname tokenname primarykey " +
		"foreignkey passwordreset passwordfile passfile keyfile keypath tokencount tokenlimit sortkey cachekey hotkey")
)

// named says what an identifier calls its value.
func named(name string) kind {
	lower := name
	if strings.IndexFunc(name, unicode.IsUpper) >= 0 {
		lower = strings.ToLower(name)
	}
	flat := lower
	if strings.ContainsAny(lower, "_-.") {
		var b [2 * maxName]byte
		n := 0
		for i := 0; i < len(lower) && n < len(b); i++ {
			if c := lower[i]; c != '_' && c != '-' && c != '.' {
				b[n] = c
				n++
			}
		}
		flat = string(b[:n])
	}
	what := notSecret
	switch {
	case slices.ContainsFunc(passwordWords, func(w string) bool { return strings.Contains(flat, w) }),
		flat == "pass", flat == "pw", flat == "pin", strings.HasSuffix(lower, "_pass"), strings.HasSuffix(flat, "passe"):
		what = isPassword
	case slices.ContainsFunc(tokenWords, func(w string) bool { return strings.HasSuffix(flat, w) }):
		what = isToken
	case slices.ContainsFunc(keyWords, func(w string) bool { return strings.HasSuffix(flat, w) }):
		what = isKey
	}
	if what != notSecret && slices.ContainsFunc(notSecrets, func(w string) bool { return strings.HasSuffix(flat, w) || strings.HasPrefix(flat, w) }) {
		return notSecret
	}
	return what
}

// value judges what is assigned. less lowers the score.
func (s *scan) value(what kind, start int, quoted bool, less float64) {
	end := start
	for end < len(s.content) && end-start < maxValue {
		c := s.content[end]
		if c <= ' ' || c == 0x7f || strings.IndexByte("\"'`", c) >= 0 || !quoted && strings.IndexByte(",;)}]|<>&", c) >= 0 {
			break
		}
		end++
	}
	if !quoted {
		for end > start && strings.IndexByte(".!?:", s.content[end-1]) >= 0 {
			end--
		}
	}
	for end < len(s.content) && s.content[end]&0xc0 == 0x80 { // never inside a character
		end++
	}
	v := s.content[start:end]
	if v == "" || placeholder(v) || common(v) || strings.Contains(v, "://") || strings.HasSuffix(v, "(") || strings.Contains(v, "()") || !quoted && strings.Contains(v, "(") {
		return
	}
	switch what {
	case isPassword:
		if score := guess(v, quoted); score > 0 {
			s.add(password, score-less, start, end, "assigned to a password: a value, not a word")
		}
	case isToken, isKey:
		label := map[kind]string{isToken: token, isKey: apiKey}[what]
		h := gitleaks.Entropy(v)
		switch {
		case len(v) < 12 || !printable(v) || !mixed(v) || strings.IndexByte(v, '/') == 0:
		case h >= 3.5 && len(v) >= 16, h >= 3.1 && len(v) >= 32:
			s.add(label, 0.75-less, start, end, "assigned to a secret: length, entropy")
		case h >= 3 && quoted:
			s.add(label, 0.6-less, start, end, "assigned to a secret: quoted, entropy")
		}
	}
}

// mixed says whether a text has letters and digits, as words have not.
func mixed(v string) bool {
	return strings.ContainsAny(v, "0123456789") && strings.ContainsAny(strings.ToLower(v), "abcdefghijklmnopqrstuvwxyz")
}

// guess scores what is assigned to a password: kinds of characters make it one, a word in small letters may be prose.
func guess(v string, quoted bool) float64 {
	if len(v) < 4 {
		return 0
	}
	kinds := 0
	for _, set := range []string{"0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "!@#$%^&*?~+"} {
		if strings.ContainsAny(v, set) {
			kinds++
		}
	}
	capital := v[0] >= 'A' && v[0] <= 'Z' && strings.ToLower(v[1:]) == v[1:] && !strings.ContainsAny(v, "0123456789!@#$%^&*?~+")
	switch {
	case kinds >= 3 && len(v) >= 6:
		return 0.9
	case kinds >= 2 && !capital:
		return 0.75
	case quoted && len(v) >= 5:
		return 0.55
	}
	return 0
}

// verbs stand between the name of a secret and the secret in a sentence; verbSet is what follows on their first space, for
// there are many spaces.
var (
	verbs   = []string{" is ", " ist ", " lautet ", " est ", " es ", " to "}
	verbSet = func() (set [256]bool) {
		for _, v := range verbs {
			set[v[1]] = true
		}
		return set
	}()
)

// said tries a secret that a sentence tells: the password is hunter2.
func (s *scan) said(i int) {
	rest := s.content[i:]
	if len(rest) < 2 || !verbSet[rest[1]] {
		return
	}
	for _, verb := range verbs {
		if !strings.HasPrefix(rest, verb) {
			continue
		}
		if what := named(s.name(i)); what != notSecret {
			start := i + len(verb)
			quoted := start < len(s.content) && strings.IndexByte("\"'`", s.content[start]) >= 0
			if quoted {
				start++
			}
			s.value(what, start, quoted, 0.05)
		}
		return
	}
}
