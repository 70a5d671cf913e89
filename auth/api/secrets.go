package api

import (
	"net/http"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/door"
)

// listTokens lists the caller's own tokens, logins and sessions.
func (a *api) listTokens(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := uncut(c, "list tokens"); err != nil {
		return err
	}
	return a.secretsOf(w, r, c.Who.String())
}

// addToken makes the caller a token of its own, to be used where no password shall be.
func (a *api) addToken(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := uncut(c, "make tokens"); err != nil {
		return err
	}
	if !c.Who.Until.IsZero() {
		return &door.Refusal{Answer: door.Denied, Detail: map[string]string{"hint": "a token that ends soon makes none that lasts; log in with the password"}}
	}
	return a.newSecret(w, r, c, c.Who.String(), account.PurposeToken)
}

func (a *api) revokeToken(w http.ResponseWriter, r *http.Request, c door.Call) error {
	id, _ := named(c)
	return a.revoke(w, r, c, c.Who.String(), id)
}

func (a *api) secretsOf(w http.ResponseWriter, r *http.Request, owner string) error {
	all, err := a.Accounts.Secrets(r.Context(), owner)
	if err != nil && account.Code(err) != account.Unknown {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"secrets": orNone(all)})
}

// secretTTL is how long a secret lasts that was not given a time.
const secretTTL = 90 * 24 * time.Hour

func (a *api) newSecret(w http.ResponseWriter, r *http.Request, c door.Call, owner, purpose string) error {
	var asked struct {
		Note    string     `json:"note"`
		Expires time.Time  `json:"expires"` // RFC 3339
		Never   bool       `json:"never"`   // it never expires
		Scope   auth.Scope `json:"scope"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if err := checkScope(asked.Scope); err != nil {
		return err
	}
	switch now := a.Now(); {
	case asked.Never && !asked.Expires.IsZero():
		return invalid("a secret either expires or it never does")
	case asked.Never:
	case asked.Expires.IsZero():
		asked.Expires = now.Add(secretTTL)
	case !asked.Expires.After(now):
		return invalid("expires is in the past")
	}
	s, plain, err := a.Accounts.AddSecret(c.By(r), account.Secret{Of: owner, Purpose: purpose, Note: asked.Note, Scope: asked.Scope, Expires: asked.Expires})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, struct {
		account.Secret
		Value string `json:"value"` // shown this once
	}{s, plain})
}

// shows tells whether the caller shows the secret itself, and not a token that was given for it.
func shows(c door.Call, id string) bool { return c.Who.Via == "secret:"+id && c.Who.Until.IsZero() }

func (a *api) revoke(w http.ResponseWriter, r *http.Request, c door.Call, owner, id string) error {
	s, err := a.Accounts.Secret(r.Context(), id)
	if err == nil && s.Of != owner || account.Code(err) == account.Unknown {
		return unknown("secret", id)
	}
	if err != nil {
		return err
	}
	if s.Of == c.Who.String() && !shows(c, id) {
		if err := uncut(c, "revoke others"); err != nil {
			return err
		}
	}
	if err := a.Accounts.RevokeSecret(c.By(r), id); err != nil {
		return err
	}
	return none(w)
}
