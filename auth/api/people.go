package api

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/auth/oidc"
	"github.com/entrepot/entrepot/door"
)

// begun is a login under way, as the browser's cookie keeps it. It is no secret from the person; that no other page can plant one is the cookie's doing.
type begun struct {
	Provider string       `json:"p"`
	Started  oidc.Started `json:"s"`
	Return   string       `json:"r"`
	Expires  time.Time    `json:"e"`
}

const (
	loginCookie = "entrepot_login"
	loginTime   = 10 * time.Minute
)

// beginLogin sends a browser to its provider (OpenID Connect Core 1.0, section 3.1, with PKCE).
func (a *api) beginLogin(w http.ResponseWriter, r *http.Request, c door.Call) error {
	p, err := a.provider(c.Query.Get("provider"))
	if err != nil {
		return err
	}
	back := c.Query.Get("return")
	if back == "" {
		back = "/api/v1/auth/whoami"
	}
	if !local(back) {
		return invalid("return is a path of this registry, like /api/v1/auth/whoami")
	}
	callback := a.callback(r)
	if callback == "" {
		return invalid("the request names no host that a browser could come back to; set url in the configuration")
	}
	started, err := p.Begin(r.Context(), callback)
	if err != nil {
		return silent(c.Query.Get("provider"), err)
	}
	name := c.Query.Get("provider")
	value, err := json.Marshal(begun{name, started, back, a.Now().Add(loginTime)})
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(r, loginCookie, base64.RawURLEncoding.EncodeToString(value), loginTime))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", started.URL)
	w.WriteHeader(http.StatusFound)
	return nil
}

// finishLogin takes the browser back, and gives it a session.
func (a *api) finishLogin(w http.ResponseWriter, r *http.Request, c door.Call) error {
	cookie, err := r.Cookie(door.CookieName(a.URL, r, loginCookie))
	if err != nil {
		return invalid("no login was begun in this browser; begin at /auth/login")
	}
	var b begun
	value, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err == nil {
		err = json.Unmarshal(value, &b)
	}
	if err != nil || !local(b.Return) || !a.Now().Before(b.Expires) {
		return invalid("the login took too long, or was begun elsewhere; begin again at /auth/login")
	}
	p, err := a.provider(b.Provider)
	if err != nil {
		return err
	}
	if code := c.Query.Get("error"); code != "" {
		return invalid("the provider refused the login: %s", note(code))
	}
	person, err := p.Finish(r.Context(), b.Started, a.callback(r), c.Query.Get("state"), c.Query.Get("code"), c.Query.Get("iss"))
	if err != nil {
		return silent(b.Provider, err)
	}
	i := strings.LastIndexByte(person.Name, '@')
	name, provider := person.Name[:max(0, i)], person.Name[i+1:]
	c.Who = auth.Identity{Kind: auth.User, Name: person.Name}
	ctx := c.By(r)
	user, err := a.Accounts.SignedIn(ctx, provider, name, person.Groups)
	if err != nil {
		return err
	}
	_, plain, err := a.Accounts.AddSecret(ctx, account.Secret{
		Of: auth.User + ":" + user.Name, Purpose: account.PurposeSession, Note: note("browser " + r.UserAgent()), Expires: a.Now().Add(a.LoginTTL),
	})
	if err != nil {
		return err
	}
	http.SetCookie(w, a.cookie(r, loginCookie, "", -time.Second))
	http.SetCookie(w, a.cookie(r, door.SessionCookie, plain, a.LoginTTL))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", b.Return)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// logout ends the session, or the login of a client. A login ends itself even when it is cut down; what was given for it and cut down ends nothing.
func (a *api) logout(w http.ResponseWriter, r *http.Request, c door.Call) error {
	id := strings.TrimPrefix(c.Who.Via, "secret:")
	s, err := a.Accounts.Secret(r.Context(), id)
	if err != nil && account.Code(err) != account.Unknown {
		return err
	}
	isLogin := s.Purpose == account.PurposeSession || s.Purpose == account.PurposeLogin
	if !isLogin || !shows(c, id) {
		if err := uncut(c, "log out"); err != nil {
			return err
		}
	}
	if isLogin {
		if err := a.Accounts.RevokeSecret(c.By(r), id); err != nil && account.Code(err) != account.Unknown {
			return err
		}
	}
	http.SetCookie(w, a.cookie(r, door.SessionCookie, "", -time.Second))
	return none(w)
}

// silent is what a browser is told when it is the provider, or what was agreed with it, that fails.
func silent(provider string, err error) error {
	if errors.Is(err, auth.ErrWrong) {
		return err
	}
	return &door.Refusal{Answer: door.Answer{Status: http.StatusServiceUnavailable, Code: "UNAVAILABLE", Message: "the login cannot be finished just now"},
		Detail: map[string]string{"hint": "the login provider " + note(provider) + " does not answer, or does not accept this registry; tell the registry's operator"}, Cause: err}
}

func (a *api) provider(name string) (*oidc.Provider, error) {
	if p := a.People(name); p != nil {
		return p, nil
	}
	if name == "" {
		return nil, unknown("provider for people (name one with ?provider=)", "")
	}
	return nil, unknown("provider for people named", name)
}

// callback is where the provider sends the browser back to.
func (a *api) callback(r *http.Request) string {
	base := door.Base(a.URL, r)
	if base == "" {
		return ""
	}
	return base + "/auth/callback"
}

// local tells whether a browser that is sent there stays here.
func local(path string) bool {
	if len(path) > 1000 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return false
	}
	return !strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' })
}

func (a *api) cookie(r *http.Request, name, value string, lasts time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: door.CookieName(a.URL, r, name), Value: value, Path: "/", MaxAge: int(lasts / time.Second),
		HttpOnly: true, Secure: strings.HasPrefix(door.Base(a.URL, r), "https://"), SameSite: http.SameSiteLaxMode,
	}
}
