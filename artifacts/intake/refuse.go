package intake

import (
	"errors"
	"fmt"

	"github.com/entrepot/entrepot/registry"
)

// errMoved says that a tag names something else than a moment before.
var errMoved = errors.New("the tag was moved by somebody else")

// refused is a refusal with what it is about, which may be anything and is therefore quoted and cut, and what to do.
func refused(code, repo, what, value, hint string) error {
	return &registry.Error{Code: code, Detail: map[string]string{"name": clip(repo), what: clip(value), "hint": hint}}
}

func invalid(repo, what, value, hint string) error {
	return refused(registry.ManifestInvalid, repo, what, value, hint)
}

// clip shortens what somebody sent, and escapes what cannot be printed.
func clip(s string) string {
	const most = 200
	if len(s) > most {
		s = s[:most] + "…"
	}
	quoted := fmt.Sprintf("%q", s)
	return quoted[1 : len(quoted)-1]
}
