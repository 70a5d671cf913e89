package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/token"
	"github.com/entrepot/entrepot/door"
)

// minted is the answer to a request for a token. Docker's clients read token or access_token, whichever they find (RFC 6749, section 5.1).
type minted struct {
	Token        string `json:"token"`
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	IssuedAt     string `json:"issued_at"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IssuedType   string `json:"issued_token_type,omitempty"` // RFC 8693
}

// getToken serves Docker's token protocol: a token for whoever logs in with Basic, or for nobody in particular, cut down to the scopes asked for.
func (a *api) getToken(w http.ResponseWriter, r *http.Request, c door.Call) (err error) {
	asked, err := parseScopes(c.Query["scope"])
	if err != nil {
		return err
	}
	if shown := r.Header["Authorization"]; len(shown) > 1 {
		return invalid("send one Authorization header, not several")
	} else if len(shown) == 1 {
		if c.Who, err = a.Logins.Identify(r.Context(), auth.Credentials{Authorization: shown[0], Remote: c.Remote(r)}); err != nil {
			return err
		}
	}
	return a.mint(w, r, c, grant{asked: asked, offline: c.Query.Get("offline_token") == "true", client: c.Query.Get("client_id")})
}

// grant is what a token is minted for.
type grant struct {
	asked   auth.Scope
	offline bool   // with a refresh token
	client  string // who asks, by its own word
	refresh string // the refresh token that was shown; it stays good
	issued  string // RFC 8693's name of what is answered
}

func (a *api) mint(w http.ResponseWriter, r *http.Request, c door.Call, g grant) error {
	scope := cut(g.asked, c.Who.Scope, func(do auth.Action, on string) bool { return c.May(r.Context(), do, on) })
	m, err := a.Tokens.Mint(c.Who, scope)
	if errors.Is(err, token.ErrScope) {
		return invalid("the scopes are too long for one token; ask for fewer at once")
	}
	if err != nil {
		return err
	}
	out := minted{
		Token: m.Token, AccessToken: m.Token, TokenType: "Bearer", ExpiresIn: int(m.Expires.Sub(m.Issued) / time.Second),
		IssuedAt: m.Issued.UTC().Format(time.RFC3339), Scope: text(scope), RefreshToken: g.refresh, IssuedType: g.issued,
	}
	if g.offline && out.RefreshToken == "" {
		if out.RefreshToken, err = a.refreshToken(r, c, g.client); err != nil {
			return err
		}
	}
	return reply(w, http.StatusOK, out)
}

// refreshToken makes a secret for a client that wants to forget the password. Only the registry's own accounts get one: whether somebody else's login
// still stands is known to the provider alone, so a client asks with the credentials themselves again.
func (a *api) refreshToken(r *http.Request, c door.Call, client string) (string, error) {
	// A token that ends soon buys none that lasts.
	if kind, _, _ := strings.Cut(c.Who.Via, ":"); kind != "user" && kind != "secret" || !c.Who.Until.IsZero() {
		return "", nil
	}
	_, plain, err := a.Accounts.AddSecret(c.By(r), account.Secret{
		Of: c.Who.String(), Purpose: account.PurposeLogin, Note: note("login of " + client), Scope: c.Who.Scope, Expires: a.Now().Add(a.LoginTTL), Via: c.Who.Via,
	})
	return plain, err
}

// note makes a line of what a client says of itself.
func note(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return strings.TrimSpace(s[:min(len(s), 100)])
}

// The grants and types of OAuth 2.0 (RFC 6749; RFC 8693, section 3) that are known here.
const (
	grantPassword = "password"
	grantRefresh  = "refresh_token"
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT    = "urn:ietf:params:oauth:token-type:jwt"
	typeID     = "urn:ietf:params:oauth:token-type:id_token"
)

// postToken serves OAuth 2.0: a password, a refresh token, or an issuer's token for one of ours.
func (a *api) postToken(w http.ResponseWriter, r *http.Request, c door.Call) error {
	form, err := readForm(w, r, c)
	if err != nil {
		return err
	}
	asked, err := parseScopes(form["scope"])
	if err != nil {
		return oauthError(w, http.StatusBadRequest, "invalid_scope", "write scopes like repository:cloud/dmp/ms-ingestion:pull,push")
	}
	g := grant{asked: asked, offline: form.Get("access_type") == "offline", client: form.Get("client_id")}
	ctx, remote := r.Context(), c.Remote(r)
	switch form.Get("grant_type") {
	case grantPassword:
		if form.Get("password") == "" {
			return oauthError(w, http.StatusBadRequest, "invalid_request", "password is missing")
		}
		c.Who, err = a.Logins.Password(ctx, form.Get("username"), form.Get("password"), remote)
	case grantRefresh:
		g.refresh = form.Get("refresh_token")
		if !account.IsSecret(g.refresh) {
			return oauthError(w, http.StatusBadRequest, "invalid_grant", "the refresh token is none of this registry's; log in again")
		}
		c.Who, err = a.Logins.Token(ctx, g.refresh)
	case grantExchange:
		switch form.Get("subject_token_type") {
		case typeAccess, typeJWT, typeID:
		default:
			return oauthError(w, http.StatusBadRequest, "invalid_request", "subject_token_type is none of "+strings.Join([]string{typeJWT, typeID, typeAccess}, ", "))
		}
		if form.Get("subject_token") == "" || form.Get("actor_token") != "" {
			return oauthError(w, http.StatusBadRequest, "invalid_request", "send one subject_token and no actor_token")
		}
		g.issued = typeAccess
		c.Who, err = a.Logins.Token(ctx, form.Get("subject_token"))
	default:
		return oauthError(w, http.StatusBadRequest, "unsupported_grant_type", fmt.Sprintf("grant_type is none of %s, %s, %s", grantPassword, grantRefresh, grantExchange))
	}
	if errors.Is(err, auth.ErrWrong) {
		// docker tries the next way to log in when this one is answered 401; 400 is what RFC 6749, section 5.2, has for it.
		a.Log.Info("token refused", "grant", note(form.Get("grant_type")), "from", remote, "err", err)
		return oauthError(w, http.StatusUnauthorized, "invalid_grant", "these credentials are wrong, have ended or were withdrawn; log in again")
	}
	if err != nil {
		return err
	}
	return a.mint(w, r, c, g)
}

// readForm reads a form from the body alone: what stands in the address ends up in logs.
func readForm(w http.ResponseWriter, r *http.Request, c door.Call) (url.Values, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalid("send application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(c.Body(w, r), maxBody+1))
	if err != nil || len(body) > maxBody {
		return nil, invalid("the form broke off, or is longer than %d bytes", maxBody)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalid("the form is malformed")
	}
	for key, values := range form {
		if len(values) > 1 && key != "scope" {
			return nil, invalid("%s is given twice", key)
		}
	}
	return form, nil
}

// oauthError answers as RFC 6749, section 5.2, wants it, with the errors of the registry's own API beside it for docker's clients.
func oauthError(w http.ResponseWriter, status int, code, hint string) error {
	out := "UNAUTHORIZED"
	if status == http.StatusBadRequest {
		out = "INVALID"
	}
	return reply(w, status, map[string]any{
		"error": code, "error_description": hint,
		"errors": []map[string]any{{"code": out, "message": hint}},
	})
}
