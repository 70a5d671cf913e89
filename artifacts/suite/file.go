package suite

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

func newFile(content []byte) File {
	return File{SHA256: sum(content), Size: int64(len(content)), Content: content}
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}

// known tells whether the file's content is there and is what its hash says. A medium may have lost some of it.
func (f File) known() bool {
	return f.Content != nil && int64(len(f.Content)) == f.Size && sum(f.Content) == f.SHA256
}

// usable tells whether the file can go on as it is: its content is right, or lies elsewhere under its hash.
func (f File) usable() bool { return isHash(f.SHA256) && (f.Content == nil || f.known()) }

func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
