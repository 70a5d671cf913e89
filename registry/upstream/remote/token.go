package remote

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxTokenAnswer = 128 << 10
	maxToken       = 32 << 10
	tokenLife      = 60 * time.Second // where the service does not say
	maxTokenLife   = 12 * time.Hour
)

// token fetches one from the service that a challenge names: by GET with Basic, or for an identity token by POST (distribution's token authentication
// specification, and its OAuth 2.0 variant). Services that must not be told who we are, are asked for what everybody gets.
func (c *call) token(way challenge, who Credentials, note string) (login, error) {
	realm, err := c.realmOf(way.params["realm"])
	if err != nil {
		return login{}, err
	}
	if !who.none() && !c.trust.may(realm) {
		note = fmt.Sprintf("the credentials were not used, since it sends them to %s; list that host in realms if it may know them", clean(realm.Host, 100))
		c.log.Warn("credentials are withheld from a token service that is not listed", "realm", clean(realm.Host, 100))
		who = Credentials{}
	}
	timer := c.within(c.config.Timeouts.Header, "it did not answer")
	defer timer.Stop()
	resp, err := c.client.Do(c.tokenRequest(realm, way.params["service"], who))
	if err != nil {
		return login{}, c.stopped(fmt.Errorf("log in at %s: %w", clean(realm.Host, 100), cause(c.ctx, err)))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return login{}, c.noToken(resp, realm, who, note)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	if err != nil {
		return login{}, c.fail(ErrDown, fmt.Errorf("the token service's answer broke off: %w", cause(c.ctx, err)))
	}
	token, life, err := parseToken(text)
	if err != nil {
		return login{}, c.bad("the token service at %s %w", clean(realm.Host, 100), err)
	}
	return login{authorization: "Bearer " + token, until: c.now().Add(life * 3 / 4), note: note}, nil
}

func (c *call) tokenRequest(realm *url.URL, service string, who Credentials) *http.Request {
	form, scope := url.Values{}, ""
	if c.repo != "" {
		scope = "repository:" + c.repo + ":pull"
	}
	set := func(key, value string) {
		if value != "" {
			form.Set(key, value)
		}
	}
	set("service", service)
	set("scope", scope)
	ask := *c
	ask.method, ask.header = http.MethodGet, http.Header{"Accept": {"application/json"}}
	to := *realm
	if who.Identity == "" {
		old := to.Query()
		for key := range form {
			old.Set(key, form.Get(key))
		}
		to.RawQuery = old.Encode()
		authorization := ""
		if who.Username != "" {
			authorization = basic(who)
		}
		return ask.request(c.guard(&to), &to, authorization)
	}
	set("grant_type", "refresh_token")
	set("client_id", "entrepot")
	set("refresh_token", who.Identity)
	ask.method = http.MethodPost
	ask.header.Set("Content-Type", "application/x-www-form-urlencoded")
	req := ask.request(c.guard(&to), &to, "")
	body := form.Encode()
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	req.Body, _ = req.GetBody()
	req.ContentLength = int64(len(body))
	return req
}

// noToken is the error of a token service that refuses. That it does not know something is no word about what was asked of the registry.
func (c *call) noToken(resp *http.Response, realm *url.URL, who Credentials, note string) error {
	kind := kindOf(resp.StatusCode)
	if resp.StatusCode >= 400 && kind != ErrLimited && kind != ErrDown {
		kind = ErrDenied
	}
	e := c.refusal(resp, kind, who.Password, who.Identity, strings.TrimPrefix(basic(who), "Basic "))
	if note == "" {
		note = "this was the token service at " + clean(realm.Host, 100)
	}
	e.Err = errors.New(note)
	return e
}

// parseToken reads the answer of a token service, and for how long the token is good.
func parseToken(text []byte) (string, time.Duration, error) {
	if len(text) > maxTokenAnswer {
		return "", 0, fmt.Errorf("answers with more than %d bytes", maxTokenAnswer)
	}
	var said struct {
		Token     string  `json:"token"`
		Access    string  `json:"access_token"`
		ExpiresIn float64 `json:"expires_in"`
	}
	if json.Unmarshal(text, &said) != nil {
		return "", 0, errors.New("does not answer with the JSON that token services write")
	}
	token := said.Token
	if token == "" {
		token = said.Access
	}
	if !sendable(token) || len(token) > maxToken {
		return "", 0, errors.New("answers without a token that could be used")
	}
	if said.ExpiresIn < 1 {
		return token, tokenLife, nil
	}
	return token, time.Duration(min(said.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second)), nil
}

// sendable tells whether a token is one word of visible characters.
func sendable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
