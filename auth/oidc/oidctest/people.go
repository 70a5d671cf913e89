package oidctest

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// login is one that waits for its code to be shown.
type login struct {
	redirect, nonce, challenge string
	person                     map[string]any
	until                      time.Time
}

// Person says who sits at the browser from now on. The claims are sub ("id-" and the name), preferred_username, email (the name @example.com),
// email_verified and, if there are groups, groups.
func (i *Issuer) Person(name string, groups ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.person = map[string]any{"sub": "id-" + name, "preferred_username": name, "email": name + "@example.com", "email_verified": true}
	if groups != nil {
		i.person["groups"] = groups
	}
}

// Claims says what is different in ID tokens from now on, in place of what it was told before; nil leaves a claim out.
func (i *Issuer) Claims(changes map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.more = maps.Clone(changes)
}

// Visit goes to the authorization endpoint like a browser whose owner agrees at once, and returns the parameters that it is sent back with.
func (i *Issuer) Visit(authorizeURL string) url.Values {
	i.t.Helper()
	client := *i.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Get(authorizeURL)
	if err != nil {
		i.t.Fatal(err)
	}
	defer res.Body.Close()
	back, err := res.Location()
	if err != nil || res.StatusCode != http.StatusFound {
		i.t.Fatalf("the authorization endpoint sends the browser nowhere: %s", res.Status)
	}
	return back.Query()
}

// authorize is the authorization endpoint (OpenID Connect Core 1.0, section 3.1.2).
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, rule := range []struct {
		kept bool
		what string
	}{
		{q.Get("response_type") == "code", "response_type is not code"},
		{q.Get("client_id") == i.ClientID, "client_id is unknown"},
		{err == nil && back.IsAbs() && back.Host != "", "redirect_uri is no address"},
		{slices.Contains(strings.Fields(q.Get("scope")), "openid"), "scope has no openid"},
		{len(q.Get("state")) >= 16, "state is missing or can be guessed"},
		{len(q.Get("nonce")) >= 16, "nonce is missing or can be guessed"},
		{q.Get("code_challenge_method") == "S256" && len(q.Get("code_challenge")) == 43, "there is no PKCE with S256"},
	} {
		if !rule.kept {
			http.Error(w, rule.what, http.StatusBadRequest)
			return
		}
	}
	code := rand.Text()
	i.logins[code] = login{q.Get("redirect_uri"), q.Get("nonce"), q.Get("code_challenge"), i.person, i.now().Add(time.Minute)}
	answer := back.Query()
	answer.Set("code", code)
	answer.Set("state", q.Get("state"))
	answer.Set("iss", i.URL)
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// token is the token endpoint (section 3.1.3).
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	refuse := func(status int, why string) { writeJSON(w, status, map[string]string{"error": why}) }
	if r.ParseForm() != nil || r.PostForm.Get("grant_type") != "authorization_code" {
		refuse(http.StatusBadRequest, "invalid_request")
		return
	}
	if !i.knows(r) {
		refuse(http.StatusUnauthorized, "invalid_client")
		return
	}
	i.mu.Lock()
	code := r.PostForm.Get("code")
	l, ok := i.logins[code]
	delete(i.logins, code)
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	good := ok && i.now().Before(l.until) && b64(sum[:]) == l.challenge && r.PostForm.Get("redirect_uri") == l.redirect
	more := i.more
	i.mu.Unlock()
	if !good {
		refuse(http.StatusBadRequest, "invalid_grant")
		return
	}
	token := rand.Text()
	says := over(map[string]any{"aud": i.ClientID, "nonce": l.nonce, "at_hash": atHash(token, i.algorithms[0])}, l.person, more)
	id, err := i.sign(nil, says)
	if err != nil {
		http.Error(w, fmt.Sprint(err), http.StatusInternalServerError)
		return
	}
	i.mu.Lock()
	i.access[token] = access{says["sub"], i.now().Add(5 * time.Minute)}
	i.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 300, "id_token": id})
}

// knows tells whether the client has shown the secret, in the header or in the form (RFC 6749, section 2.3.1).
func (i *Issuer) knows(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	public := i.ClientSecret == ""
	return id == i.ClientID && secret == i.ClientSecret && !(public && basic)
}

func atHash(access, alg string) string {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512, "DSA": crypto.SHA512}[alg[2:]]
	h := hash.New()
	h.Write([]byte(access))
	return b64(h.Sum(nil)[:hash.Size()/2])
}
