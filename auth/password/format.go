package password

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What a hash may cost. The dearest takes some seconds; one is checked for each login.
const (
	maxBcryptCost   = 14
	maxArgonMemory  = 256 << 10 // KiB
	maxArgonPasses  = 10
	maxArgonLanes   = 16
	maxArgonWork    = 1 << 20 // KiB times passes
	minArgonSalt    = 8       // bytes, RFC 9106 section 3.1
	minArgonKey     = 16
	maxArgonLength  = 64 // of salt and key
	argonVersion    = 19
	bcryptHashChars = 60
)

// The kinds of hash that Matches takes.
const (
	kindArgon2id = "argon2id"
	kindBcrypt   = "bcrypt"
)

// Check tells why Matches cannot take a hash: it is of another kind, damaged, or would cost too much to check. The error names the kind and
// never repeats the hash.
func Check(hash string) error {
	switch kind := kindOf(hash); kind {
	case kindBcrypt:
		return checkBcrypt(hash)
	case kindArgon2id:
		_, err := parseArgon(hash)
		return err
	default:
		return fmt.Errorf("%s is not accepted as a hash of passwords: use bcrypt or argon2id (htpasswd -B writes bcrypt)", kind)
	}
}

// kindOf names the kind of a hash by how it begins.
func kindOf(hash string) string {
	for _, k := range []struct{ prefix, kind string }{
		{"$argon2id$", kindArgon2id},
		{"$argon2i$", "argon2i"},
		{"$argon2d$", "argon2d"},
		{"$2a$", kindBcrypt},
		{"$2b$", kindBcrypt},
		{"$2y$", kindBcrypt},
		{"$2x$", "bcrypt as a faulty program made it ($2x$)"},
		{"$2$", "bcrypt before its first correction ($2$)"},
		{"$apr1$", "MD5 (apr1)"},
		{"$1$", "MD5 (crypt)"},
		{"$5$", "SHA-256 (crypt)"},
		{"$6$", "SHA-512 (crypt)"},
		{"$7$", "scrypt"},
		{"$scrypt$", "scrypt"},
		{"$y$", "yescrypt"},
		{"$pbkdf2", "PBKDF2"},
		{"{SHA}", "SHA-1"},
		{"{SSHA}", "SHA-1 with salt"},
	} {
		if strings.HasPrefix(hash, k.prefix) {
			return k.kind
		}
	}
	switch {
	case hash == "":
		return "nothing"
	case len(hash) == 13 && only(hash, isBcryptChar):
		return "DES (crypt)"
	}
	return "plain text, or an unknown kind of hash,"
}

// checkBcrypt takes "$2b$", two digits of cost, "$", and 53 characters of salt and key.
func checkBcrypt(hash string) error {
	if len(hash) != bcryptHashChars || !isDigit(hash[4]) || !isDigit(hash[5]) || hash[6] != '$' || !only(hash[7:], isBcryptChar) {
		return errors.New("the bcrypt hash is damaged")
	}
	cost := int(hash[4]-'0')*10 + int(hash[5]-'0')
	if cost < 4 {
		return fmt.Errorf("the bcrypt hash is damaged: its cost is %d, and 4 is the least", cost)
	}
	if cost > maxBcryptCost {
		return fmt.Errorf("the bcrypt hash has cost %d, which takes too long for each login: use at most %d", cost, maxBcryptCost)
	}
	return nil
}

// argon is an argon2id hash.
type argon struct {
	memory    uint32 // KiB
	passes    uint32
	lanes     uint8
	salt, key []byte
}

func (a argon) String() string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argonVersion, a.memory, a.passes, a.lanes, b64(a.salt), b64(a.key))
}

func parseArgon(hash string) (argon, error) {
	damaged := errors.New("the argon2id hash is damaged, or not in the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[2] != "v="+strconv.Itoa(argonVersion) {
		return argon{}, damaged
	}
	m, t, p, ok := argonParameters(parts[3])
	if !ok {
		return argon{}, damaged
	}
	if m > maxArgonMemory || t > maxArgonPasses || p > maxArgonLanes || m*t > maxArgonWork {
		return argon{}, fmt.Errorf("the argon2id hash costs too much for each login (m=%d,t=%d,p=%d): use at most m=%d, t=%d, p=%d and m·t=%d",
			m, t, p, maxArgonMemory, maxArgonPasses, maxArgonLanes, maxArgonWork)
	}
	if t < 1 || p < 1 || m < 8*p {
		return argon{}, damaged
	}
	a := argon{memory: uint32(m), passes: uint32(t), lanes: uint8(p)}
	if a.salt, ok = argonBytes(parts[4], minArgonSalt); !ok {
		return argon{}, damaged
	}
	if a.key, ok = argonBytes(parts[5], minArgonKey); !ok {
		return argon{}, damaged
	}
	return a, nil
}

// argonParameters reads "m=19456,t=2,p=1"; the PHC form allows no other order.
func argonParameters(s string) (m, t, p int, ok bool) {
	words := strings.Split(s, ",")
	if len(words) != 3 {
		return 0, 0, 0, false
	}
	for i, into := range []*int{&m, &t, &p} {
		number, found := strings.CutPrefix(words[i], "mtp"[i:i+1]+"=")
		n, err := strconv.ParseUint(number, 10, 31)
		if !found || err != nil || strconv.FormatUint(n, 10) != number {
			return 0, 0, 0, false
		}
		*into = int(n)
	}
	return m, t, p, true
}

func argonBytes(s string, least int) ([]byte, bool) {
	if len(s) > base64.RawStdEncoding.EncodedLen(maxArgonLength) || strings.ContainsAny(s, "\r\n") { // which the decoder skips
		return nil, false
	}
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) >= least
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isBcryptChar(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '.' || c == '/'
}

func only(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
