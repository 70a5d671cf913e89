package advisory

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// ways are how a name and a password are shown.
var ways = map[string]func(t *testing.T, c ask.Caller, name, password string) wire.Reply{
	"in the header": func(t *testing.T, c ask.Caller, name, password string) wire.Reply {
		return c.With(ask.Basic(name, password)).Get(t, "/v2/")
	},
	"to the token service": func(t *testing.T, c ask.Caller, name, password string) wire.Reply {
		return c.With(ask.Basic(name, password)).Get(t, "/auth/token?service=entrepot")
	},
	"to the token service, as a form": func(t *testing.T, c ask.Caller, name, password string) wire.Reply {
		return c.Form(t, "grant_type", "password", "username", name, "password", password)
	},
	"to the accounts": func(t *testing.T, c ask.Caller, name, password string) wire.Reply {
		return c.With(ask.Basic(name, password)).Get(t, ask.Accounts+"whoami")
	},
}

// Guessing: failed logins are counted under each name and from each address, whichever way they come, and beyond a bound they are not looked at: 429 with
// Retry-After, also for what would be right.
func TestGuessing_IsSlowedDown(t *testing.T) {
	g := guard(t)
	n := 0
	from := func() ask.Caller { n++; c := g.nobody; c.From = "127.6.0." + itoa(n); return c }
	slowed := func(got wire.Reply) bool {
		wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
		if got.Status == 429 {
			got.Refused(t, "TOOMANYREQUESTS", 429)
			if err != nil || wait < 1 || wait > 120 {
				t.Errorf("%s: Retry-After: %q", got.Asked, got.Header.Get("Retry-After"))
			}
		} else if err == nil {
			t.Errorf("%s: %d with Retry-After: %d", got.Asked, got.Status, wait)
		}
		return got.Status == 429
	}
	for way, try := range ways {
		for _, name := range []string{"eve", "nobody-" + itoa(n)} { // that there is such a name makes no difference
			if name == "eve" {
				g.Stop() // and forgets
				g.Restart()
			}
			tries := 0
			for ; tries < 50; tries++ {
				if slowed(try(t, from(), name, "guess-"+itoa(tries))) {
					break
				}
			}
			if tries < 5 || tries > 20 {
				t.Errorf("%s, %s: %d guesses before one is not looked at, want about ten", name, way, tries)
			}
			if !slowed(try(t, from(), strings.ToUpper(name), "guess")) || name == "eve" && !slowed(try(t, from(), name, password)) {
				t.Errorf("%s, %s: more are looked at", name, way)
			}
			if slowed(try(t, from(), "bob", password)) {
				t.Errorf("%s, %s: somebody else is not listened to", name, way)
			}
		}
	}
	g.Stop()
	g.Restart()
	one := from()
	tries := 0
	for ; tries < 300; tries++ {
		if slowed(slices.Collect(maps.Values(ways))[tries%len(ways)](t, one, "somebody-"+itoa(tries), "guess")) {
			break
		}
	}
	if tries < 20 || tries > 120 {
		t.Errorf("%d guesses from one address before one is not looked at, want about sixty", tries)
	}
	if !slowed(ways["in the header"](t, one, "alice", password)) {
		t.Error("an address that guesses is listened to")
	}
	if slowed(ways["in the header"](t, from(), "alice", password)) {
		t.Error("another address is not listened to")
	}
	// Whoever says to come from elsewhere comes from where the connection does.
	if got := one.Do(t, "GET", "/v2/", nil, "Authorization", ask.Basic("somebody-else", "guess"), "X-Forwarded-For", "192.0.2.1", "X-Real-Ip", "192.0.2.1", "Forwarded", "for=192.0.2.1"); got.Status != 429 {
		t.Errorf("with another address in a header: %d", got.Status)
	}
	// It ends.
	deadline := time.Now().Add(20 * time.Second)
	for slowed(ways["in the header"](t, one, "alice", password)) {
		if time.Now().After(deadline) {
			t.Fatal("an address that has guessed is not listened to any more")
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Finding out names: that there is no such user, that the password is wrong, that the user is disabled and that a robot has other secrets are answered alike.
func TestNames_AreNotFoundOut(t *testing.T) {
	g := guard(t)
	g.root.Call(t, "POST", "users", map[string]any{"name": "carol", "password": password}).Want(t, 201)
	g.root.Call(t, "POST", "users", map[string]any{"name": "gone", "password": password}).Want(t, 201)
	g.root.Call(t, "PATCH", "users/gone", map[string]any{"disabled": true}).Want(t, 200)
	g.root.Call(t, "POST", "robots", map[string]any{"name": "bot", "on": "a"}).Want(t, 201)
	_, secret := g.root.Made(t, "robots/bot/secrets", map[string]any{})
	for way, try := range ways {
		answers := map[string]string{}
		for what, shown := range map[string][2]string{
			"no such user": {"nobody", "wrong"}, "a user of the file": {"alice", "wrong"}, "a user of the registry": {"carol", "wrong"},
			"a disabled user": {"gone", "wrong"}, "a disabled user's own": {"gone", password},
			"a robot": {"robot$bot", "wrong"}, "no such robot": {"robot$nobot", "wrong"}, "somebody else's secret": {"carol", secret},
			"a secret for no such user": {"nobody", secret}, "no such secret": {"bot", secret[:len(secret)-4] + "AAAA"},
		} {
			got := try(t, g.nobody, shown[0], shown[1])
			h := got.Header.Clone()
			h.Del("Date")
			h.Del("X-Request-Id")
			answers[what] = fmt.Sprint(got.Status, h, strings.ReplaceAll(string(got.Body), got.Header.Get("X-Request-Id")+"-", ""))
			if got.Status != 401 {
				t.Errorf("%s, %s: %d, want 401", what, way, got.Status)
			}
		}
		for what, answer := range answers {
			if answer != answers["no such user"] {
				t.Errorf("%s: %s is answered\n%s\nand no such user\n%s", way, what, answer, answers["no such user"])
			}
		}
	}
}

// Injection into what a client is told about where to log in: whatever host a request names, the challenge is one header that means one thing, with no
// address in it that is not a host's, and nobody is sent away from the registry.
func TestHosts_AreNoHeaders(t *testing.T) {
	g := guard(t)
	r := wire.At(g.URL)
	for _, host := range []string{
		`evil"`, `evil",service="x`, `evil", Basic realm="x`, "evil x", "evil,x", "evil;x", `evil\`, "evil/x", "evil?x", "evil#x", "user@evil", "evil%22",
		"evil%0d%0aX-Evil: yes", "<script>", "évil", "evil\x7f", "evil\tx",
		strings.Repeat("a", 300), "evil'", "evil(x)", "", "evil\rx", "evil\nX-Evil: yes", "evil\x00",
	} {
		for _, target := range []string{"/v2/", "/v2/a/app/tags/list", "/auth/login", "/api/v1/auth/whoami"} {
			got, err := r.Raw("GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n")
			if err != nil {
				continue // that was no request
			}
			if got.Status != 400 && got.Status != 401 && got.Status != 404 || got.Header.Get("X-Evil") != "" {
				t.Errorf("host %q: %s is %d, %v", host, target, got.Status, got.Header)
			}
			if got.Status != 401 {
				continue
			}
			all := got.Header.Values("WWW-Authenticate")
			if len(all) != 1 || all[0] != `Basic realm="entrepot"` && !plain(all[0]) {
				t.Errorf("host %q: the challenge is %q", host, all)
			}
			if strings.Contains(fmt.Sprint(got.Header), `evil"`) || got.Header.Get("Location") != "" {
				t.Errorf("host %q: %v", host, got.Header)
			}
		}
	}
	for _, name := range []string{`a%22,error=%22x`, "a%0d%0aX-Evil:%20yes", "a%20b", "a%5c", "%22", "a:b", "a%2cb"} {
		got := g.nobody.Get(t, "/v2/"+name+"/tags/list")
		if all := got.Header.Values("WWW-Authenticate"); got.Status != 401 || len(all) != 1 || !plain(all[0]) || got.Header.Get("X-Evil") != "" {
			t.Errorf("%s: %d, the challenge is %q", got.Asked, got.Status, all)
		}
	}
	// Where the configuration says how clients reach the registry, no request says otherwise.
	u := guard(t, "url: https://registry.example.com\n")
	for _, headers := range [][]string{
		nil, {"X-Forwarded-Host", "evil.example.com"}, {"X-Forwarded-Proto", "http"}, {"Forwarded", "host=evil.example.com"},
		{"X-Original-Url", "https://evil.example.com"},
	} {
		got := u.nobody.Do(t, "GET", "/v2/", nil, headers...).Want(t, 401)
		if c := got.Header.Get("WWW-Authenticate"); c != `Bearer realm="https://registry.example.com/auth/token",service="registry.example.com"` {
			t.Errorf("with %q the challenge is %q", headers, c)
		}
	}
	if got, err := wire.At(u.URL).Raw("GET /v2/ HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n"); err != nil || strings.Contains(fmt.Sprint(got.Header), "evil") {
		t.Errorf("%v, %v", got.Header, err)
	}
}

// plain tells whether a challenge is Bearer with a realm that is an address on a host, a service, and no more than a scope and an error (RFC 6750, section 3).
func plain(challenge string) bool {
	rest, ok := strings.CutPrefix(challenge, `Bearer realm="http`)
	realm, rest, found := strings.Cut(rest, `"`)
	u, err := url.Parse("http" + realm)
	if !ok || !found || err != nil || u.Path != "/auth/token" || u.User != nil || u.RawQuery != "" || strings.ContainsAny(u.Host, "\\\"<>() ,;") {
		return false
	}
	for _, part := range strings.Split(strings.TrimPrefix(rest, ","), `",`) {
		key, value, _ := strings.Cut(part, `="`)
		if !slices.Contains([]string{"service", "scope", "error"}, key) || strings.Contains(strings.TrimSuffix(value, `"`), `"`) {
			return false
		}
	}
	return true
}

// Open redirects: logging in leads to the provider that is configured and back into the registry, wherever a request says that it should lead.
func TestLogin_LeadsNowhereElse(t *testing.T) {
	g, provider := guardPeople(t)
	issuer := provider.URL
	for _, to := range []string{
		"//evil.example.com", "///evil.example.com", "https://evil.example.com", "http:evil.example.com", `/\evil.example.com`, `\\evil.example.com`,
		"/\t/evil.example.com", "/\n/evil.example.com", "javascript:alert(1)", "data:text/html,x", "evil.example.com",
		" //evil.example.com", "/x\r\nX-Evil: yes", "/\x00", "@evil.example.com", ".", "?x", "/" + strings.Repeat("a", 4000),
	} {
		got := g.nobody.Get(t, "/auth/login?return="+url.QueryEscape(to))
		if got.Status != 400 || got.Header.Get("Location") != "" || got.Header.Get("X-Evil") != "" {
			t.Errorf("return=%q: %d to %q", to, got.Status, got.Header.Get("Location"))
		}
	}
	for _, query := range []string{
		"provider=evil", "provider=//evil.example.com", "provider=corp&provider=evil", "issuer=https://evil.example.com",
		"redirect_uri=https://evil.example.com", "return=/x&return=//evil.example.com",
	} {
		got := g.nobody.Get(t, "/auth/login?"+query)
		if got.Status == http.StatusFound && !strings.HasPrefix(got.Header.Get("Location"), issuer+"/authorize?") || strings.Contains(fmt.Sprint(got.Header), "evil") || got.Status >= 500 {
			t.Errorf("%s: %d, %v", query, got.Status, got.Header)
		}
	}
	begun := g.nobody.Get(t, "/auth/login?return=/v2/").Want(t, 302)
	to, err := url.Parse(begun.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), issuer+"/authorize?") || to.Query().Get("redirect_uri") != g.URL+"/auth/callback" {
		t.Errorf("leads to %s, %v", to, err)
	}
	// What is in the cookie is the browser's to keep, and nobody else's to write: one that was written leads nowhere else, either.
	for _, back := range []string{"//evil.example.com", "https://evil.example.com", "/\\evil.example.com"} {
		forged := ask.B64(wire.JSON(map[string]any{"p": "", "s": map[string]string{"State": "s", "Nonce": "n", "Verifier": "v"}, "r": back, "e": time.Now().Add(time.Minute)}))
		got := g.nobody.Do(t, "GET", "/auth/callback?code=x&state=s", nil, "Cookie", "entrepot_login="+forged)
		if got.Status < 400 || got.Status >= 500 || got.Header.Get("Location") != "" || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("a cookie that leads to %s: %d, %v", back, got.Status, got.Header)
		}
	}
	for _, query := range []string{
		"", "?code=x", "?state=x", "?code=x&state=x&iss=https://evil.example.com", "?error=<script>alert(1)</script>&error_description=x",
		"?error=x%0d%0aX-Evil:yes",
	} {
		cookie, _, _ := strings.Cut(begun.Header.Get("Set-Cookie"), ";")
		got := g.nobody.Do(t, "GET", "/auth/callback"+query, nil, "Cookie", cookie)
		if got.Status < 400 || got.Status >= 500 || got.Header.Get("X-Evil") != "" || strings.Contains(got.Header.Get("Content-Type"), "html") || len(got.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d, %v", got.Asked, got.Status, got.Header)
		}
	}
}

// Headers that are too long, or there twice, are refused with bounded work, and never taken for one of them.
func TestAuthorization_TooLongOrTwice(t *testing.T) {
	g := guard(t)
	g.root.Get(t, "/v2/").Want(t, 200)
	for _, size := range []int{1 << 10, 17 << 10, 40 << 10, 49 << 10, 60 << 10, 100 << 10, 900 << 10} {
		for _, shown := range []string{
			"Bearer " + strings.Repeat("e", size), ask.Basic("root", strings.Repeat("e", size/2)), ask.Basic(strings.Repeat("e", size/2), password),
			"Bearer eyJ" + strings.Repeat("e", size) + ".e.e", strings.Repeat("e", size), "Bearer " + strings.Repeat(".", size),
		} {
			got, err := g.nobody.With(shown).Send("GET", "/v2/", nil)
			if err != nil {
				continue // the server hung up while more was on its way
			}
			if got.Status != 401 && got.Status != 431 && got.Status != 429 || len(got.Body) > 4<<10 {
				t.Errorf("%d bytes: %d and %d bytes", len(shown), got.Status, len(got.Body))
			}
		}
	}
	good, bad := ask.Basic("root", password), ask.Basic("root", "wrong")
	token, err := g.root.Mint("repository:a/app:pull")
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range [][]string{{good, bad}, {bad, good}, {good, good}, {good, ask.Bearer(token)}, {good, ""}, {"", good}, {good, good, good}} {
		for _, target := range []string{"/v2/", "/auth/token?service=entrepot", ask.Accounts + "whoami"} {
			got := g.nobody.With(shown...).Get(t, target)
			if got.Status != 400 {
				t.Errorf("%d Authorization headers: %s is %d, want 400", len(shown), target, got.Status)
			}
		}
	}
	for _, shown := range []string{good + ", " + bad, good + "," + good, "Basic  " + good, "Negotiate x, " + good, good + " x"} {
		if got := g.nobody.With(shown).Get(t, "/v2/"); got.Status != 401 {
			t.Errorf("%q: %d, want 401", shown, got.Status)
		}
	}
	for _, body := range []int{70 << 10, 10 << 20} {
		got, err := g.nobody.Send("POST", "/auth/token", []byte("grant_type=password&username=root&password="+strings.Repeat("e", body)), "Content-Type", "application/x-www-form-urlencoded")
		if err == nil && got.Status != 400 && got.Status != 413 {
			t.Errorf("a form of %d bytes: %d", body, got.Status)
		}
		if got, err := g.root.Send("POST", ask.Accounts+"users", []byte(`{"name":"`+strings.Repeat("e", body)+`"}`), "Content-Type", "application/json"); err == nil && got.Status != 413 {
			t.Errorf("JSON of %d bytes: %d", body, got.Status)
		}
	}
	g.root.Get(t, "/v2/").Want(t, 200)
}
