package upstreamtest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Bearer says how the upstream's token service is.
type Bearer struct {
	User, Password string        // whom it knows; empty: everybody gets a token
	Identity       string        // a refresh token that it takes by POST
	Anonymous      []string      // repositories for which everybody gets a token, even so
	Elsewhere      bool          // it is on another host (another port of this machine) than the registry
	Realm          string        // what the challenge says instead of where it is
	Life           time.Duration // of tokens, on the upstream's own clock; 0: it says nothing, and they last
}

type login struct {
	basic  [2]string
	bearer *Bearer
}

// issued is a token.
type issued struct {
	repo string
	ends time.Time
}

// RequireBasic lets in who knows the password.
func (u *Upstream) RequireBasic(user, password string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.login = login{basic: [2]string{user, password}}
}

// RequireBearer lets in who has a token of its token service. Call it again for another service; the tokens stay good.
func (u *Upstream) RequireBearer(b Bearer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.login = login{bearer: &b}
}

// RevokeTokens makes all tokens so far worthless.
func (u *Upstream) RevokeTokens() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.issued)
}

// Tokens tells how many tokens were given out.
func (u *Upstream) Tokens() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.tokens
}

// RealmHost is the host:port of the token service elsewhere.
func (u *Upstream) RealmHost() string { return u.realm.Listener.Addr().String() }

// realmURL is where the challenge says that tokens are.
func (u *Upstream) realmURL(b *Bearer) string {
	place := u.server.URL
	if b.Elsewhere {
		place = u.realm.URL
	}
	return cmp.Or(b.Realm, place+"/token")
}

// admits tells whether a request may pass, and answers if not.
func (u *Upstream) admits(w http.ResponseWriter, r *http.Request, q Request) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	challenge := ""
	switch b := u.login.bearer; {
	case b != nil:
		token, ok := u.issued[strings.TrimPrefix(q.Authorization, "Bearer ")]
		if ok && (token.ends.IsZero() || time.Now().Before(token.ends)) && (q.Repo == "" || token.repo == q.Repo) {
			return true
		}
		challenge = fmt.Sprintf(`Bearer realm=%q,service="upstream.example.com"`, u.realmURL(b))
		if q.Repo != "" {
			challenge += fmt.Sprintf(`,scope="repository:%s:pull"`, q.Repo)
		}
	case u.login.basic[0] != "":
		user, password, _ := r.BasicAuth()
		if u.login.basic == [2]string{user, password} {
			return true
		}
		challenge = `Basic realm="upstream"`
	default:
		return true
	}
	w.Header().Set("WWW-Authenticate", challenge)
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	return false
}

// serveToken is the token service: GET with Basic, and POST with a refresh token.
func (u *Upstream) serveToken(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.login.bearer
	if b == nil || r.FormValue("service") != "upstream.example.com" {
		refuse(w, http.StatusBadRequest, "UNSUPPORTED", "no such service")
		return
	}
	repo, pull := strings.CutSuffix(strings.TrimPrefix(r.FormValue("scope"), "repository:"), ":pull")
	user, password, asked := r.BasicAuth()
	known := asked && user == b.User && password == b.Password
	if r.Method == http.MethodPost {
		asked = true
		known = b.Identity != "" && r.FormValue("refresh_token") == b.Identity
		known = known && r.FormValue("grant_type") == "refresh_token" && r.FormValue("client_id") != ""
	}
	if asked && !known {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	u.tokens++
	token := fmt.Sprintf("token-%d-for-%s", u.tokens, strings.ReplaceAll(repo, "/", "."))
	answer := map[string]any{"token": token}
	if r.Method == http.MethodPost {
		answer = map[string]any{"access_token": token}
	}
	good := issued{}
	if pull && (known || b.User+b.Identity == "" || slices.Contains(b.Anonymous, repo)) {
		good.repo = repo
	}
	if b.Life > 0 {
		good.ends = time.Now().Add(b.Life)
		answer["expires_in"] = int(b.Life.Seconds())
	}
	if good.repo != "" || known || b.User+b.Identity == "" {
		u.issued[token] = good // others get one that is good for nothing
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(answer))
}
