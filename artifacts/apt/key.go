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
