package intake

import (
	"errors"

	"github.com/entrepot/entrepot/artifacts/document"
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

// clip is what somebody sent, as it is told back.
func clip(s string) string { return document.OneLine(s, 200) }
