package apt

import (
	"fmt"
	"net/http"

	"github.com/entrepot/entrepot/door"
)

// getKey serves the keyring that hosts trust.
func (v *view) getKey(w http.ResponseWriter, r *http.Request, _ door.Call) error {
	ring, err := v.keys.Public(r.Context())
	if err != nil {
		return fmt.Errorf("read the keys of suites: %w", err)
	}
	return sendText(w, r, "application/pgp-keys", askAgain, ring)
}

// rotate lets a new key sign suites, beside the old one for a while, and publishes them all again; with ?revoke=true the old ones are gone at once, and hosts
// refuse the suites until they have fetched the keyring anew.
func (v *view) rotate(w http.ResponseWriter, r *http.Request, c door.Call) error {
	revoke := c.Query.Get("revoke")
	if revoke != "" && revoke != "true" && revoke != "false" {
		return &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"hint": "revoke is true or false"}}
	}
	ctx := c.By(r)
	if err := v.keys.Rotate(ctx, revoke == "true"); err != nil {
		return &door.Refusal{Answer: door.Answer{Status: http.StatusConflict, Code: "CONFLICT", Message: "the keys were not rotated"}, Detail: map[string]string{"hint": err.Error()}, Cause: err}
	}
	if err := v.catalog.Republish(ctx); err != nil {
		return fmt.Errorf("a new key signs suites, but not all of them were published again; that is tried once a minute: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
