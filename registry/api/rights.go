package api

import (
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// mayAttach asks for the right to attach, of whoever stores what refers to something.
func mayAttach(r *http.Request, c door.Call) func(*registry.Manifest) error {
	return func(m *registry.Manifest) error {
		if m.Subject == nil {
			return nil
		}
		return c.Ask(r.Context(), auth.Attach, c.On)
	}
}

// mayMove keeps those who may only set new tags from moving others.
func mayMove(r *http.Request, c door.Call) registry.Guard {
	if c.May(r.Context(), auth.Overwrite, c.On) {
		return nil
	}
	return func(tag string, was registry.Stored) error {
		return &registry.Error{Code: registry.Denied, Detail: map[string]any{"action": auth.Overwrite, "name": c.On, "tag": tag, "names": was.Digest,
			"hint": "the tag exists, and moving it takes the right to overwrite; push under a new tag"}}
	}
}

// mayRemove keeps those who may only delete what is their own from deleting anything else.
func (a *API) mayRemove(r *http.Request, c door.Call) registry.Guard {
	if c.May(r.Context(), auth.Delete, c.On) {
		return nil
	}
	return func(tag string, was registry.Stored) error {
		hint := "others than who has pushed it need the right to delete"
		if was.Needed {
			hint = "an index is made of this; removing it takes the right to delete"
		} else if was.By == c.Who.String() {
			if tag == "" || a.scratch(c.On, tag) {
				return nil
			}
			hint = "this is no scratch tag; removing it takes the right to delete"
		}
		return &registry.Error{Code: registry.Denied, Detail: map[string]any{"action": auth.Delete, "name": c.On, "tag": tag, "digest": was.Digest, "hint": hint}}
	}
}

// mayTag asks for the rights that tags take besides the one to push.
func (a *API) mayTag(r *http.Request, c door.Call, tags []string) error {
	if a.needs == nil {
		return nil
	}
	for _, tag := range tags {
		if need := a.needs(c.On, tag); need != "" {
			if err := c.Ask(r.Context(), need, c.On); err != nil {
				return err
			}
		}
	}
	return nil
}
