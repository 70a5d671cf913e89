package advisory

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth/oidc/oidctest"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// canaries are secrets that must be nowhere but where they are meant to be, by what they are.
type canaries map[string]string

// add adds a secret in all the ways in which clients write it.
func (c canaries) add(what, name, secret string) {
	c[what] = secret
	c[what+", for Basic"] = base64.StdEncoding.EncodeToString([]byte(name + ":" + secret))
	c[what+", in base64"] = base64.StdEncoding.EncodeToString([]byte(secret))
	if escaped := url.QueryEscape(secret); escaped != secret {
		c[what+", escaped"] = escaped
	}
}

// in fails the test for each of them that a text holds.
func (c canaries) in(t *testing.T, where, text string) {
	t.Helper()
	for what, secret := range c {
		first, last := strings.Index(text, secret), strings.LastIndex(text, secret)
		for _, at := range slices.Compact([]int{first, last}) {
			if at >= 0 {
				t.Errorf("%s holds %s: …%s…", where, what, text[max(0, at-120):min(len(text), at+len(secret)+20)])
			}
		}
	}
}

// CVE-2025-48374 (zot) and GHSA-prh4-vhfh-24mj (Harbor): secrets of people, and of the registry itself, were written into logs and the journal. None of those
// that logins of any kind are made with is in a line of the log at its most talkative, in the journal, a metric, an error or an answer but its own, nor as it
// is in any file: not when it is good, not when it is wrong, and not when it is put where it does not belong.
func TestSecretsOfLogins_CVE_2025_48374(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) { secretsOfLogins(t, format) })
	}
}

func secretsOfLogins(t *testing.T, format string) {
	g, issuer := guardPeople(t, "log: {level: debug, format: "+format+"}\n")
	all := canaries{}
	all.add("the client's secret", issuer.ClientID, issuer.ClientSecret)
	all.add("a password of the file", "alice", password)
	g.root.Put(t, "a/app", "latest", ask.List())

	// Somebody of each kind logs in, in each way.
	carolPassword, newPassword := "canary-password-of-carol-5f1c", "canary-password-new-77aa"
	all.add("a password", "carol", carolPassword)
	all.add("a new password", "carol", newPassword)
	g.root.Call(t, "POST", "users", map[string]any{"name": "carol", "password": carolPassword}).Want(t, 201)
	carol := ask.Caller{At: g.URL, Name: "user:carol", Show: []string{ask.Basic("carol", carolPassword)}}
	carol.Call(t, "POST", "password", map[string]any{"old": carolPassword, "new": newPassword}).Want(t, 204)
	carol = carol.With(ask.Basic("carol", newPassword))
	_, personal := carol.Made(t, "tokens", map[string]any{"note": "a note"})
	all.add("a personal token", "carol", personal)
	g.root.Call(t, "POST", "robots", map[string]any{"name": "bot", "on": "a"}).Want(t, 201)
	botID, bot := g.root.Made(t, "robots/bot/secrets", map[string]any{})
	all.add("a robot's secret", "robot$bot", bot)
	jwt := mint(t, carol)
	all.add("a token", "token", jwt)
	var minted struct {
		Refresh string `json:"refresh_token"`
	}
	carol.Get(t, "/auth/token?offline_token=true&client_id=docker").Want(t, 200).JSON(t, &minted)
	all.add("a refresh token", "<token>", minted.Refresh)
	job := issuer.Sign(map[string]any{"sub": "job", "aud": "entrepot-jobs"})
	all.add("a job's token", "gitlab-ci-token", job)
	jobJWT := mint(t, g.nobody.With(ask.Basic("gitlab-ci-token", job)))
	all.add("a token for a job", "token", jobJWT)
	session, code := visit(t, g, issuer)
	all.add("a session", "", session)
	all["the provider's code"] = code
	wrong := "canary-wrong-password-0b3d"
	all.add("a wrong password", "carol", wrong)

	secrets := map[string]string{
		"carol": newPassword, "robot$bot": bot, "token": jwt, "<token>": minted.Refresh, "gitlab-ci-token": job, "oauth2accesstoken": personal,
		"nobody": wrong, "": session,
	}
	seen := &strings.Builder{} // what clients were told
	n := 0
	tell := func(c ask.Caller, method, target string, body []byte, headers ...string) {
		t.Helper()
		n++
		c.From = "127.4." + itoa(n/50) + ".1"
		got := c.Do(t, method, target, body, headers...)
		for _, values := range got.Header {
			seen.WriteString(strings.Join(values, "\n") + "\n")
		}
		if !strings.HasPrefix(target, "/auth/token") || got.Status >= 400 {
			seen.Write(got.Body)
		}
	}
	for name, secret := range secrets {
		// As it should be, and in all the ways in which people get it wrong.
		for _, shown := range []string{
			ask.Basic(name, secret), ask.Bearer(secret), ask.Basic("carol", secret), ask.Basic(secret, "x"), ask.Basic(secret, secret),
			ask.Basic("robot$bot", secret), ask.Basic(name, secret+"x"),
			"Basic " + secret, "Token " + secret, secret, "Bearer  " + secret + " ", "Basic " + base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if isPassword(name) && (strings.HasPrefix(shown, ask.Basic(secret, "")[:20])) {
				continue // a password for a name looks like any name
			}
			c := g.nobody.With(shown)
			for _, r := range [][2]string{
				{"GET", "/v2/"}, {"GET", "/auth/token?service=entrepot"}, {"PUT", wire.ManifestPath("a/app", "fresh")},
				{"DELETE", wire.ManifestPath("b/app", "x")}, {"POST", ask.Accounts + "tokens"}, {"GET", "/nonsense"},
			} {
				tell(c, r[0], r[1], nil)
			}
		}
		nobody := g.nobody
		for _, pairs := range [][]string{
			{"grant_type", "password", "username", "carol", "password", secret}, {"grant_type", "refresh_token", "refresh_token", secret},
			{"grant_type", "password", "username", name, "password", secret + "x"},
			{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", secret, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt"},
			{"grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token", secret, "subject_token_type", "x"},
			{"grant_type", "x", "password", secret, "client_secret", secret},
			{"grant_type", "password", "username", "carol", "password", secret, "scope", "x"}, {"password", secret, "password", secret},
		} {
			form := url.Values{}
			for i := 0; i < len(pairs); i += 2 {
				form.Add(pairs[i], pairs[i+1])
			}
			tell(nobody, "POST", "/auth/token", []byte(form.Encode()), "Content-Type", "application/x-www-form-urlencoded")
		}
		q := url.QueryEscape(secret)
		for _, target := range []string{
			"/v2/?access_token=" + q, "/auth/token?account=carol&password=" + q, "/auth/callback?code=" + q + "&state=" + q,
			"/auth/login?provider=corp&token=" + q, ask.Accounts + "whoami?token=" + q,
		} {
			tell(nobody, "GET", target, nil)
			tell(g.root, "GET", target, nil)
		}
		for _, header := range []string{"Cookie", "X-Api-Key", "Private-Token", "Job-Token", "Proxy-Authorization", "X-Registry-Auth"} {
			value := secret
			if header == "Cookie" {
				value = "entrepot_session=" + secret + "; entrepot_login=" + secret
			}
			tell(nobody, "POST", ask.Accounts+"password", []byte(`{}`), header, value, "Content-Type", "application/json")
			tell(nobody, "GET", "/auth/callback?code=x&state=y", nil, header, value)
		}
		for _, body := range []any{
			map[string]any{"name": "x", "password": secret, "admin": true}, map[string]any{"name": "carol", "password": secret},
			map[string]any{"old": secret, "new": "short"}, map[string]any{"old": secret, "new": secret}, map[string]any{"password": []string{secret}},
		} {
			for _, target := range []string{"users", "password", "tokens", "robots"} {
				tell(carol, "POST", ask.Accounts+target, wire.JSON(body), "Content-Type", "application/json")
				if target == "users" {
					tell(g.root, "POST", ask.Accounts+target, wire.JSON(body), "Content-Type", "application/json")
				}
			}
		}
	}
	// A whole secret where its id belongs: it is the owner who sees it again, but neither the log nor anybody else.
	for _, secret := range []string{personal, bot, minted.Refresh, session} {
		for _, target := range []string{"tokens/" + secret, "robots/bot/secrets/" + secret, "robots/" + secret, "grants/" + secret} {
			g.root.Do(t, "DELETE", ask.Accounts+target, nil).Want(t, 404)
		}
	}
	g.root.Do(t, "DELETE", ask.Accounts+"robots/bot/secrets/"+botID, nil).Want(t, 204)
	carol = carol.With(ask.Bearer(personal)) // under her name so many have failed that nobody is listened to
	carol.Do(t, "POST", "/auth/logout", nil).Want(t, 204)
	audit := g.root.Get(t, "/api/v1/audit").Want(t, 200)
	lists := ""
	for _, list := range []string{"users", "robots", "grants", "tokens", "robots/bot/secrets", "keys"} {
		lists += string(g.root.Get(t, ask.Accounts+list).Body)
	}
	lists += string(carol.Get(t, ask.Accounts+"tokens").Want(t, 200).Body)
	metrics := g.nobody.Get(t, "/metrics").Want(t, 200)
	g.Stop()
	log := g.Log()
	g.Restart()
	keys := g.key(t)
	all["the signing key"] = base64.StdEncoding.EncodeToString(keys.Private.Seed())
	all["the signing key, in base64url"] = ask.B64(keys.Private.Seed())
	g.Stop()

	if strings.Count(log, "\n") < 100 {
		t.Errorf("the log at debug level is silent, so that this test sees nothing:\n%s", log)
	}
	all.in(t, "the log", log)
	all.in(t, "the journal", string(audit.Body))
	all.in(t, "the metrics", string(metrics.Body))
	all.in(t, "a list", lists)
	all.in(t, "an answer", seen.String())
	// In the files there is the key that signs, which is known there alone, and of all others nothing that could be shown to anybody.
	delete(all, "the signing key")
	found := 0
	for _, path := range contents(t, filepath.Join(g.Dir, "data")) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(content, []byte("user:carol"))
		for what, secret := range all {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds %s", filepath.Base(path), what)
			}
		}
	}
	if found == 0 {
		t.Error("the files say nothing of anybody, so that this test sees nothing")
	}
}

// isPassword tells whether whoever logs in with the name shows a password, which nobody can tell from a name.
func isPassword(name string) bool { return name == "carol" || name == "nobody" }

func mint(t *testing.T, c ask.Caller) string {
	t.Helper()
	token, err := c.Mint("repository:a/app:pull,push", "registry:catalog:*")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// visit logs a person in with a browser, and returns the session and the code that it came by.
func visit(t *testing.T, g *guarded, issuer *oidctest.Issuer) (session, code string) {
	t.Helper()
	issuer.Person("dave", "group-of-dave")
	begun := g.nobody.Get(t, "/auth/login").Want(t, 302)
	answer := issuer.Visit(begun.Header.Get("Location"))
	cookie, _, _ := strings.Cut(begun.Header.Get("Set-Cookie"), ";")
	back := g.nobody.Do(t, "GET", "/auth/callback?"+answer.Encode(), nil, "Cookie", cookie).Want(t, 303)
	for _, c := range back.Header.Values("Set-Cookie") {
		if value, ok := strings.CutPrefix(c, "entrepot_session="); ok {
			session, _, _ = strings.Cut(value, ";")
		}
	}
	if session == "" {
		t.Fatalf("no session in %q", back.Header)
	}
	g.nobody.Do(t, "GET", ask.Accounts+"whoami", nil, "Cookie", "entrepot_session="+session).Want(t, 200)
	return session, answer.Get("code")
}

// contents lists the files under a folder.
func contents(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
