package rights

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// bad is something to show that is no good.
type bad struct {
	what  string
	shown func(n int) ask.Caller // of the n-th request
}

// TestBad_credentials: each row, of what is there, is answered by 401 to whoever shows nothing or something that is no good, and nothing changes.
func TestBad_credentials(t *testing.T) {
	var fetched atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		_, _ = w.Write(ask.NewKey().Set())
	}))
	defer elsewhere.Close()
	w := &world{team: team{fromFile, "root", true}, who: root, layer: wire.Random(200)}
	w.furnish(t)
	root.Call(t, "POST", "robots", map[string]any{"name": w.robot("own"), "on": "own-" + w.name()}).Want(t, 201)
	root.Call(t, "POST", "robots", map[string]any{"name": w.robot("for"), "on": "for-" + w.name()}).Want(t, 201)

	// The pattern of all forgeries is good, and so is what else they are made of.
	root.With(ask.Bearer(signed(good(t)))).Get(t, ask.Accounts+"users").Want(t, 200)
	anonymous.With(ask.Bearer(jobToken("x", "job-admin"))).Get(t, ask.Accounts+"whoami").Want(t, 200)

	all := shownBadly(t)
	for what, token := range forged(t, elsewhere.URL) {
		all = append(all, bad{what, func(int) ask.Caller { return ask.Caller{At: shared.URL, Show: []string{ask.Bearer(token)}} }})
	}
	slices.SortFunc(all, func(a, b bad) int { return strings.Compare(a.what, b.what) })
	ids := map[string]string{}
	for n, r := range rows {
		where := ""
		if r.in != nil {
			where = "own"
		}
		c := &cell{world: w, row: r, place: w.place(where), way: "password"}
		prepared := r.make(t, c)
		w.unchanged(t, r.String(), r.about(), func() {
			for _, b := range all {
				got := b.shown(n).Do(t, prepared.method, prepared.target, prepared.body, prepared.headers...)
				what := fmt.Sprintf("%s with %s", r, b.what)
				if r.do == "knock" {
					c.knocks(t, what, got, b.what == "nothing")
					continue
				}
				unauthorized(t, what, got, b.what != "nothing")
				giveAway(t, asked{c, prepared, got})
				ids[got.Header.Get("X-Request-Id")] = what
			}
		})
	}
	for _, e := range journal(t, root) {
		if what, ok := ids[e.Request]; ok {
			t.Errorf("%s: it was refused, and the journal says %+v", what, e)
		}
	}
	if n := fetched.Load(); n > 0 {
		t.Errorf("keys were fetched %d times from where a token said", n)
	}
}

// unauthorized wants a 401 that tells how to log in.
func unauthorized(t *testing.T, what string, got wire.Reply, shown bool) {
	t.Helper()
	if got.Status != http.StatusUnauthorized {
		t.Errorf("%s: %s is %d, want 401\n%s", what, got.Asked, got.Status, got.Excerpt())
		return
	}
	method, path, _ := strings.Cut(got.Asked, " ")
	if code := codeOf(got); method != "HEAD" && code != "UNAUTHORIZED" {
		t.Errorf("%s: the code is %q, want UNAUTHORIZED", what, code)
	}
	challenge := got.Header.Get("WWW-Authenticate")
	if !strings.HasPrefix(path, "/v2/") {
		if challenge != `Basic realm="entrepot"` {
			t.Errorf("%s: the challenge is %q", what, challenge)
		}
		return
	}
	if !strings.HasPrefix(challenge, `Bearer realm="`+shared.URL+`/auth/token",service="entrepot"`) {
		t.Errorf("%s: the challenge is %q", what, challenge)
	}
	if strings.Contains(challenge, `error="invalid_token"`) != shown {
		t.Errorf("%s: the challenge is %q, which says something else of what was shown", what, challenge)
	}
}

// knocks wants of a route that is for everybody what it answers to everybody, and of the token service that it looks at what is shown.
func (c *cell) knocks(t *testing.T, what string, got wire.Reply, nothing bool) {
	t.Helper()
	want := c.row.there
	if c.row.route == "auth-token" && c.row.method != "POST" && !nothing {
		want = 401
	}
	if got.Status != want {
		t.Errorf("%s: %s is %d, want %d\n%s", what, got.Asked, got.Status, want, got.Excerpt())
	}
	if strings.Contains(string(got.Body), `"token"`) && want != 200 {
		t.Errorf("%s: there is a token in the answer", what)
	}
}

// shownBadly are credentials that are no good, of people and robots that could do everything once.
func shownBadly(t *testing.T) []bad {
	t.Helper()
	same := func(c ask.Caller) func(int) ask.Caller { return func(int) ask.Caller { return c } }
	all := []bad{{"nothing", same(anonymous)}}
	token := func(what, token string) {
		all = append(all, bad{what, same(ask.Caller{At: shared.URL, Show: []string{ask.Bearer(token)}})})
	}
	// A failed login counts against the address that it came from.
	login := func(what string, shown func(n int) string) {
		from := len(all)
		all = append(all, bad{what, func(n int) ask.Caller {
			return ask.Caller{At: shared.URL, Show: []string{shown(n)}, From: fmt.Sprintf("127.1.%d.%d", from, n/20+1)}
		}})
	}
	for what, header := range map[string]string{
		"a scheme that is none": "Digest x", "no scheme": "x", "Bearer and nothing": "Bearer", "Bearer and a word": "Bearer x",
		"Bearer, not a token": "Bearer a.b.c",
		"Basic and nothing":   "Basic", "Basic, not base64": "Basic !!", "Basic without colon": "Basic cm9vdA==", "Basic without password": "Basic cm9vdDo=",
	} {
		all = append(all, bad{what, same(ask.Caller{At: shared.URL, Show: []string{header}})})
	}
	login("a name that nobody has", func(n int) string { return ask.Basic(fmt.Sprint("nobody-", n), password) })
	login("a wrong password", func(n int) string { return ask.Basic(fmt.Sprintf("person-%03d", pool-1-n%100), "something else") })

	// A user who was disabled, one who was removed, and one who has another password since.
	for _, name := range []string{"disabled", "removed", "renewed"} {
		name := name + "-once"
		root.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201)
		who := user(name)
		grant(t, who, "admin", "**")
		var made struct{ Value string }
		who.Call(t, "POST", "tokens", map[string]any{}).Want(t, 201).JSON(t, &made)
		jwt, err := who.Mint("registry:catalog:*")
		if err != nil {
			t.Fatal(err)
		}
		from, err := who.With(ask.Bearer(made.Value)).Mint("registry:catalog:*")
		if err != nil {
			t.Fatal(err)
		}
		who.Get(t, ask.Accounts+"users").Want(t, 200)
		switch name {
		case "disabled-once":
			root.Call(t, "PATCH", "users/"+name, map[string]any{"disabled": true}).Want(t, 200)
		case "removed-once":
			root.Do(t, "DELETE", ask.Accounts+"users/"+name, nil).Want(t, 204)
			// Another one of the same name is not the same one.
			root.Call(t, "POST", "users", map[string]any{"name": name, "password": "another " + password}).Want(t, 201)
			grant(t, who, "admin", "**")
		case "renewed-once":
			root.Call(t, "PATCH", "users/"+name, map[string]any{"password": "another " + password}).Want(t, 200)
			token("a token from before the password of "+name, jwt)
			continue // personal tokens outlive a password
		}
		token("a token of "+name, jwt)
		token("a token by a secret of "+name, from)
		token("a secret of "+name, made.Value)
		login("a secret of "+name+" as a password", func(int) string { return ask.Basic(name, made.Value) })
	}

	// A secret that was revoked, one that was not copied whole, one that has ended, and all of a robot that was disabled.
	who := robot(t, "robot-once", "robots")
	grant(t, who, "admin", "**")
	_, plain := ask.Unbasic(who.Show[0])
	jwt, err := who.Mint("registry:catalog:*")
	if err != nil {
		t.Fatal(err)
	}
	root.Do(t, "DELETE", ask.Accounts+"robots/robot-once/secrets/"+strings.Split(plain, "_")[1], nil).Want(t, 204)
	token("a revoked secret", plain)
	token("a token by a revoked secret", jwt)
	login("a revoked secret as a password", func(int) string { return ask.Basic("robot-once", plain) })
	live := secret(t, "robot-once")
	who.With(ask.Bearer(live)).Get(t, ask.Accounts+"users").Want(t, 200)
	token("half of a secret", live[:len(live)-10])
	token("a secret with another end", live[:len(live)-10]+"AAAAAAAAAA")
	login("a robot's secret for root", func(int) string { return ask.Basic("root", live) })
	var short struct{ Value string }
	root.Call(t, "POST", "robots/robot-once/secrets", map[string]any{"expires": time.Now().Add(1500 * time.Millisecond)}).Want(t, 201).JSON(t, &short)
	ended := who.With(ask.Bearer(short.Value))
	ended.Get(t, ask.Accounts+"users").Want(t, 200)
	eventually(t, 10*time.Second, "the secret has ended", func() bool { return ended.Get(t, ask.Accounts+"users").Status == 401 })
	token("a secret that has ended", short.Value)

	off := robot(t, "robot-off", "robots")
	grant(t, off, "admin", "**")
	_, plainOff := ask.Unbasic(off.Show[0])
	off.Get(t, ask.Accounts+"users").Want(t, 200)
	root.Call(t, "PATCH", "robots/robot-off", map[string]any{"disabled": true}).Want(t, 200)
	token("a secret of a disabled robot", plainOff)
	return all
}

// TestBad_nobody_learns_what_there_is: to nobody in particular, what is there and what is not are answered alike.
func TestBad_nobody_learns_what_there_is(t *testing.T) {
	w := &world{team: team{fromFile, "hidden", false}, who: root, layer: wire.Random(200)}
	w.furnish(t)
	for _, r := range rows {
		if r.in == nil || r.about() == accounting {
			continue
		}
		answers := map[string]string{}
		for _, where := range []string{"foreign", "absent"} {
			c := &cell{world: w, row: r, place: w.place(where)}
			prepared := r.make(t, c)
			got := anonymous.Do(t, prepared.method, prepared.target, prepared.body, prepared.headers...)
			unauthorized(t, r.String(), got, false)
			answers[where] = asked{c, prepared, got}.normal()
		}
		if answers["foreign"] != answers["absent"] {
			t.Errorf("%s: what is there is answered\n%s\nand what is not\n%s", r, answers["foreign"], answers["absent"])
		}
	}
}
