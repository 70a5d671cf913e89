package callers

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Who shows the upstream's password logs in, and pulls what the upstream shows her; nobody else gets that, whatever is kept and whoever they are here.
func TestEachPullsWhatTheUpstreamShowsThem(t *testing.T) {
	h := start(t, "1h")
	h.alice.Get(t, "/auth/token?service=entrepot&account=alice").Want(t, 200)
	h.alice.With(ask.Basic("alice@"+upstream, nobodies)).Get(t, "/auth/token?service=entrepot").Want(t, 401)
	h.alice.With(ask.Basic("alice", ofAlice)).Get(t, "/auth/token?service=entrepot").Want(t, 401)
	h.alice.With(ask.Basic("root@"+upstream, ours)).Get(t, "/auth/token?service=entrepot").Want(t, 401)
	h.alice.With(ask.Basic("alice@docker.io", ofAlice)).Get(t, "/auth/token?service=entrepot").Want(t, 401)
	h.nobody.Form(t, "grant_type", "password", "username", "alice@"+upstream, "password", ofAlice).Want(t, 200)
	h.nobody.Form(t, "grant_type", "password", "username", "alice@"+upstream, "password", nobodies).Want(t, 401)

	before := h.answers(t, secret)
	h.pulls(t, h.alice, secret)
	h.pulls(t, h.alice, shared)
	h.pulls(t, h.bob, shared)
	h.pulls(t, h.nobody, public)
	h.alice.Get(t, manifest(secret, "1.0")).Want(t, 200) // Basic without a token
	for what, q := range h.questions(secret) {
		h.alice.Docker(t, q[0], q[1], nil).Want(t, 200)
		for _, c := range []struct {
			who  ask.Caller
			want []int
		}{
			{h.bob, []int{403, 404}}, {h.root, []int{403, 404}}, {h.dev, []int{403, 404}}, {h.nobody, []int{401}}, {h.abroad, []int{403, 404}},
			{h.alice.With(ask.Basic("alice@"+upstream, nobodies)), []int{401, 429}},
			{h.alice.With(ask.Bearer(mint(t, h.bob, secret))), []int{401, 403, 404}},
			{h.alice.With(ask.Bearer(mint(t, h.nobody, secret))), []int{401}},
		} {
			if got := c.who.Docker(t, q[0], q[1], nil); !slices.Contains(c.want, got.Status) {
				t.Errorf("%s, of %s: %d, want %v: %s", what, c.who.Name, got.Status, c.want, got.Excerpt())
			}
		}
	}
	after := h.answers(t, secret)
	for what, said := range before {
		if after[what] != said {
			t.Errorf("%s was answered %q, and is answered %q now that it is kept", what, said, after[what])
		}
	}
	// She pushes nothing, here or there, and nothing lasts.
	h.alice.Do(t, "POST", wire.UploadsPath(upstream+"/"+secret), []byte{}).Want(t, 401, 403, 404)
	h.alice.Do(t, "POST", wire.UploadsPath("team/app"), []byte{}).Want(t, 401, 403, 404)
	h.alice.Do(t, "PUT", manifest(secret, "2.0"), ask.List()).Want(t, 401, 403, 404)
	h.alice.Do(t, "DELETE", manifest(secret, "1.0"), nil).Want(t, 401, 403, 404)
	h.alice.Call(t, "POST", "tokens", map[string]any{}).Want(t, 400, 403, 404)
	h.root.Push(t, "team/app", []byte("x"))
	h.alice.Get(t, wire.ManifestPath("team/app", "1.0")).Want(t, 401, 403, 404)
}

// answers is what bob, root and nobody are told when they ask for what is not theirs.
func (h *house) answers(t *testing.T, repo string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for what, q := range h.questions(repo) {
		for _, c := range []ask.Caller{h.bob, h.root, h.nobody} {
			got := c.Do(t, q[0], q[1], nil)
			all[what+" for "+c.Name] = http.StatusText(got.Status) + " " + string(got.Body)
		}
	}
	return all
}

func mint(t *testing.T, c ask.Caller, repo string) string {
	t.Helper()
	token, err := c.Mint("repository:" + upstream + "/" + repo + ":pull")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// What is kept leaks by no other door: not into another repository, nor into a list.
func TestWhatIsKeptLeaksByNoOtherDoor(t *testing.T) {
	h := start(t, "1h")
	h.pulls(t, h.alice, secret)
	h.pulls(t, h.nobody, public)
	here, i := upstream+"/"+secret, h.images[secret]
	for _, c := range []ask.Caller{h.root, h.dev} {
		for _, from := range []string{here, "components/" + here, ""} {
			target := wire.With(wire.UploadsPath("team/app"), "mount", i.layer.String())
			if from != "" {
				target = wire.With(wire.UploadsPath("team/app"), "mount", i.layer.String(), "from", from)
			}
			c.Do(t, "POST", target, []byte{}).Want(t, 202)
		}
		c.Do(t, "HEAD", wire.BlobPath("team/app", i.layer), nil).Want(t, 404)
		got := c.Do(t, "PUT", wire.ManifestPath("team/app", "1.0"), h.alice.Get(t, manifest(secret, "1.0")).Want(t, 200).Body, "Content-Type", "application/vnd.oci.image.manifest.v1+json")
		got.Want(t, 404)
		for _, target := range []string{
			"/tree/components/" + here + "/", "/tree/components/" + here, "/tree/components/" + here + "/versions/1.0/", "/api/v1/components/" + here,
			"/api/v1/components/" + here + "/versions", "/api/v1/components/" + here + "/versions/1.0", "/tree/" + here, "/pool/" + here,
		} {
			if got := c.Get(t, target); got.Status == 200 && (bytes.Contains(got.Body, []byte(i.manifest)) || bytes.Contains(got.Body, []byte("1.0"))) {
				t.Errorf("%s of %s is answered %d: %s", target, c.Name, got.Status, got.Excerpt())
			}
		}
	}
	for _, c := range []struct {
		who  ask.Caller
		want []string
	}{
		{h.alice, []string{here}}, {h.bob, nil}, {h.root, []string{upstream + "/" + public}}, {h.dev, []string{upstream + "/" + public}}, {h.abroad, []string{upstream + "/" + public}},
	} {
		var got []string
		for _, repo := range c.who.Catalog(t, "", "") {
			if strings.HasPrefix(repo, upstream) {
				got = append(got, repo)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("the catalog shows %s %q, want %q", c.who.Name, got, c.want)
		}
	}
	// Who is admitted there and may push here takes a blob along: it is nobody's secret to her. Our own people may do so with what everybody is given.
	h.dev.Do(t, "POST", wire.With(wire.UploadsPath("team/app"), "mount", h.images[public].layer.String(), "from", upstream+"/"+public), []byte{}).Want(t, 201)
}

// While the upstream is away, those go on who were admitted, and nobody else.
func TestWhileTheUpstreamIsAway(t *testing.T) {
	h := start(t, "1ms") // so that each time it would be asked
	h.pulls(t, h.alice, secret)
	h.pulls(t, h.nobody, public)
	h.hub.Stop()
	h.pulls(t, h.alice, secret)
	h.pulls(t, h.nobody, public)
	h.alice.With(ask.Basic("alice@"+upstream, nobodies)).Get(t, "/auth/token?service=entrepot").Want(t, 503)
	h.bob.Get(t, "/auth/token?service=entrepot").Want(t, 503)
	for what, q := range h.questions(secret) {
		for _, c := range []ask.Caller{h.root, h.nobody, h.bob, h.alice.With(ask.Basic("alice@"+upstream, nobodies))} {
			// That nobody in particular and our own people were refused is remembered for a moment.
			if got := c.Do(t, q[0], q[1], nil); got.Status != 503 && !(len(c.Show) == 0 && got.Status == 401 || c.Name == "root" && got.Status == 403) {
				t.Errorf("%s, of %s: %d, want 503: %s", what, c.Name, got.Status, got.Excerpt())
			}
		}
	}
	h.hub.Restart()
	for deadline := time.Now().Add(60 * time.Second); h.bob.Get(t, "/auth/token?service=entrepot").Status != 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("bob cannot log in a minute after the upstream is back")
		}
	}
}

// A password that is changed at the upstream, or a right that is taken there, ends here with the admission.
func TestWhatTheUpstreamTakesBack(t *testing.T) {
	h := start(t, "1ms")
	h.pulls(t, h.alice, secret)
	token := h.alice.With(ask.Bearer(mint(t, h.alice, secret)))
	h.boss.Call(t, "PATCH", "users/alice", map[string]any{"password": "another password of hers"}).Want(t, 200)
	for _, c := range []ask.Caller{token, h.alice} {
		deadline := time.Now().Add(30 * time.Second)
		for got := c.Get(t, wire.BlobPath(upstream+"/"+secret, h.images[secret].layer)); got.Status == 200; got = c.Get(t, wire.BlobPath(upstream+"/"+secret, h.images[secret].layer)) {
			if time.Now().After(deadline) {
				t.Fatal("the former password is still good")
			}
			time.Sleep(50 * time.Millisecond)
		}
		c.Get(t, manifest(secret, "1.0")).Want(t, 401, 403, 404)
	}
	h.alice.Get(t, "/auth/token?service=entrepot").Want(t, 401)
	h.pulls(t, h.alice.With(ask.Basic("alice@"+upstream, "another password of hers")), secret)
}

// Nobody guesses passwords at the upstream through us, and our own people do not suffer for it.
func TestGuessesAtTheUpstreamAreLimited(t *testing.T) {
	h := start(t, "1h")
	limited := 0
	for n := range 30 {
		got := h.bob.With(ask.Basic("bob@"+upstream, nobodies+strings.Repeat("x", n))).Get(t, "/auth/token?service=entrepot").Want(t, 401, 429)
		if got.Status == 429 {
			limited++
		}
	}
	if limited < 15 {
		t.Errorf("%d of 30 guesses were not looked at, want most of them", limited)
	}
	h.dev.Get(t, "/auth/token?service=entrepot").Want(t, 200)
	h.pulls(t, h.alice, secret)
}

// The journal says who it was, and what was shown is nowhere: in no log, journal, metric, answer or file.
func TestWhatIsShownIsToldToNobody(t *testing.T) {
	h := start(t, "1ms")
	h.pulls(t, h.alice, secret)
	h.alice.With(ask.Basic("alice@"+upstream, nobodies)).Get(t, "/auth/token").Want(t, 401)
	token := mint(t, h.alice, secret)
	answers := &strings.Builder{}
	for _, c := range []ask.Caller{h.alice, h.bob, h.alice.With(ask.Bearer(token)), h.alice.With(ask.Basic("alice@"+upstream, nobodies)),
		h.alice.With(ask.Basic("alice@"+upstream, token))} {
		for _, q := range h.questions(secret) {
			got := c.Do(t, q[0], q[1], nil)
			answers.WriteString(got.Excerpt())
			for _, values := range got.Header {
				answers.WriteString(strings.Join(values, "\n"))
			}
		}
		answers.Write(c.Get(t, ask.Accounts+"whoami").Body)
		answers.Write(c.Get(t, "/v2/_catalog").Body)
	}
	audit := string(h.root.Get(t, "/api/v1/audit").Want(t, 200).Body)
	if !strings.Contains(audit, `"caller:`+upstream+`/alice"`) || strings.Count(audit, "manifest.fetch") == 0 {
		t.Errorf("the journal does not say that it was alice: %s", audit)
	}
	metrics := string(h.nobody.Get(t, "/metrics").Want(t, 200).Body)
	h.hub.Stop()
	h.alice.Get(t, manifest(secret, "1.0"))
	h.Stop()
	where := map[string]string{"the log": h.Log(), "the upstream's log": h.hub.Log(), "the journal": audit, "the metrics": metrics, "an answer": answers.String()}
	err := filepath.WalkDir(filepath.Join(h.Dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		body, err := os.ReadFile(path)
		where["the file "+filepath.Base(path)] = string(body)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{ofAlice, ofBob, nobodies} {
		for _, form := range []string{shown, base64.StdEncoding.EncodeToString([]byte(shown)), base64.RawURLEncoding.EncodeToString([]byte(shown))} {
			for place, text := range where {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s holds %s: …%s…", place, form, text[max(0, at-100):min(len(text), at+60)])
				}
			}
		}
	}
	if strings.Contains(h.Log(), token) {
		t.Error("the log holds the token")
	}
	if !strings.Contains(h.Log(), "login failed") {
		t.Error("the log is silent, so that this test sees nothing")
	}
}
