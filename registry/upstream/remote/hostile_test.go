package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// TestCredentials_stay_with_whom_they_are_for: whatever an upstream says about where to log in.
func TestCredentials_stay_with_whom_they_are_for(t *testing.T) {
	for what, source := range map[string]Source{"password": Static("alice", "s3cret"), "identity": identity("s3cret"), "token": Token("s3cret")} {
		t.Run(what, func(t *testing.T) {
			up, thief := upstreamtest.New(t), upstreamtest.New(t)
			up.PushImage(repo, "1", 1)
			thief.RequireBearer(upstreamtest.Bearer{}) // it gives a token to everybody
			host := strings.TrimPrefix(thief.URL, "http://")
			own := strings.TrimPrefix(up.URL, "http://")
			for _, realm := range []string{
				thief.URL + "/token",
				"http://" + own + "@" + host + "/token",
				"http://alice:x@" + host + "/token",
				"//" + host + "/token",
				"http://" + host + "/token?x=" + own,
				"HTTP://" + host + "/token#" + own,
				"http:" + host + "/token",
				"/token", "", "file:///etc/passwd", "http://", "::", "http://[::1",
			} {
				up.Fault(upstreamtest.Always(upstreamtest.Unauthorized(fmt.Sprintf(`Bearer realm=%q,service="upstream.example.com"`, realm)), "manifests"))
				_, _, err := open(t, up, as(source)).Manifest(t.Context(), repo, "1")
				if err == nil {
					t.Errorf("%s: no error", realm)
				}
				wantNoSecret(t, "the error", err.Error(), "s3cret")
			}
			if what != "token" && len(thief.Requests()) == 0 {
				t.Error("the thief was never asked: the test tests nothing")
			}
			wantNobodyTold(t, thief)
			for _, told := range up.Authorizations() { // only a token of the registry's own is for it
				if what != "token" && !strings.HasPrefix(told, "Bearer token-") {
					t.Errorf("the upstream was told %q without a way to take it", told)
				}
			}
		})
	}
}

func TestCredentials_go_to_realms_that_are_listed(t *testing.T) {
	for what, source := range map[string]Source{"password": Static("alice", "s3cret"), "identity": identity("s3cret")} {
		up := upstreamtest.New(t)
		up.PushImage(repo, "1", 1)
		up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret", Identity: "s3cret", Elsewhere: true})
		_, err := open(t, up, as(source)).Head(t.Context(), repo, "1")
		wantKind(t, err, ErrDenied)
		wantText(t, err, up.RealmHost(), "list that host in realms")
		wantNobodyButToken(t, up)
		up.Forget()
		if _, err := open(t, up, as(source), realms(up.RealmHost())).Head(t.Context(), repo, "1"); err != nil {
			t.Errorf("%s: listed, and still: %v", what, err)
		}
	}
	// Public content is there for the one who withholds its name, too.
	up := upstreamtest.New(t)
	up.PushImage(repo, "1", 1)
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret", Anonymous: []string{repo}, Elsewhere: true})
	if _, err := open(t, up, as(Static("alice", "s3cret"))).Head(t.Context(), repo, "1"); err != nil {
		t.Error(err)
	}
}

func wantNobodyButToken(t *testing.T, up *upstreamtest.Upstream) {
	t.Helper()
	for _, told := range up.Authorizations() {
		if !strings.HasPrefix(told, "Bearer token-") {
			t.Errorf("told: %q", told)
		}
	}
	wantNoSecret(t, "requests", fmt.Sprint(up.Requests()), "s3cret")
}

func TestTrust(t *testing.T) {
	hosts, err := newTrust("docker.io", []*url.URL{{Scheme: "https", Host: "Registry.example.com"}, {Scheme: "http", Host: "mirror.example.com"}},
		[]string{"auth.example.com", "auth.example.com:8443"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]bool{
		"https://registry.example.com/x": true, "https://registry.example.com:443": true, "https://REGISTRY.example.com": true,
		"https://auth.example.com": true, "https://auth.example.com:8443/t?x": true, "https://auth.docker.io/token": true,
		"http://registry.example.com": false, "http://registry.example.com:443": false, "https://registry.example.com:444": false,
		"http://mirror.example.com": false, "https://mirror.example.com": false, "https://mirror.example.com:80": true,
		"https://registry.example.com.": false, "https://registry.example.com.evil.example.com": false, "https://evil.example.com": false,
		"https://evil-auth.docker.io/": false, "http://auth.docker.io": false, "http://127.0.0.1": false,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hosts.may(u); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
	other, _ := newTrust("ghcr.io", nil, nil)
	if other[hubRealm] {
		t.Error("Docker Hub's realm may know everybody's credentials")
	}
	for _, bad := range []string{"https://auth.example.com", "auth.example.com/token", "a@b", "", "a b", ":443", "a?b"} {
		if _, err := newTrust("x", nil, []string{bad}); err == nil {
			t.Errorf("realm %q is taken", bad)
		}
	}
}

func TestRedirects_leak_nothing(t *testing.T) {
	for what, require := range map[string]func(*upstreamtest.Upstream){
		"basic": func(up *upstreamtest.Upstream) { up.RequireBasic("alice", "s3cret") },
		"token": bearer(upstreamtest.Bearer{User: "alice", Password: "s3cret"}),
	} {
		up, thief := upstreamtest.New(t), upstreamtest.New(t)
		image := up.PushImage(repo, "1", 10)
		require(up)
		thief.Fault(upstreamtest.Always(upstreamtest.Unauthorized(`Basic realm="please"`)))
		up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
			if q.Authorization != "" && q.Kind != "token" {
				return upstreamtest.RedirectTo(thief.URL + "/")
			}
			return nil
		})
		r := open(t, up, as(Static("alice", "s3cret")))
		for _, ask := range []func() error{
			func() error { _, err := r.Head(t.Context(), repo, "1"); return err },
			func() error { _, _, err := r.Manifest(t.Context(), repo, "1"); return err },
			func() error { _, _, err := pull(t, r, image, 0, 5); return err },
			func() error { _, _, err := r.Tags(t.Context(), repo, "", 0); return err },
			func() error { _, err := r.Referrers(t.Context(), repo, image.Descriptor.Digest); return err },
			func() error { return r.Ping(t.Context()) },
		} {
			thief.Forget()
			err := ask()
			wantKind(t, err, ErrDenied)
			if len(thief.Requests()) != 1 {
				t.Errorf("%s: the thief was asked %d times, want once", what, len(thief.Requests()))
			}
			wantNobodyTold(t, thief)
		}
	}
}

// TestRedirects_back_home_are_anonymous: what was dropped once stays dropped, or a detour could make it be sent to a path of the thief's choice.
func TestRedirects_back_home_are_anonymous(t *testing.T) {
	up, thief := upstreamtest.New(t), upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10)
	up.RequireBasic("alice", "s3cret")
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Authorization != "" {
			return upstreamtest.RedirectTo(thief.URL + "/")
		}
		return nil
	})
	thief.Fault(upstreamtest.Always(upstreamtest.RedirectTo(up.URL + "/")))
	_, _, err := pull(t, open(t, up, as(Static("alice", "s3cret"))), image, 0, 0)
	// The upstream asks for a login again, at the end of the way. That is followed once, and no further.
	wantKind(t, err, ErrDenied)
	wantNobodyTold(t, thief)
	if n := len(up.Requests()); n > 4 {
		t.Errorf("%d requests", n)
	}
}

func TestRedirects_from_https_to_http_are_refused(t *testing.T) {
	up, plain := upstreamtest.NewTLS(t), upstreamtest.New(t)
	image := up.PushImage(repo, "1", 10)
	plain.PutBlob(repo, up.Blob(repo, image.Layers[0].Digest))
	up.Fault(upstreamtest.Always(upstreamtest.RedirectTo(plain.URL + "/")))
	_, _, err := pull(t, open(t, up), image, 0, 0)
	wantKind(t, err, ErrBad)
	wantText(t, err, "from https to http")
	up.Fault(nil)
	up.RequireBearer(upstreamtest.Bearer{Realm: plain.URL + "/token"})
	_, _, err = pull(t, open(t, up), image, 0, 0)
	wantText(t, err, "without https")
	if n := len(plain.Requests()); n > 0 {
		t.Errorf("it was followed %d times", n)
	}
}

func TestHTTPS_with_an_authority_of_ones_own(t *testing.T) {
	up := upstreamtest.NewTLS(t)
	image := up.PushImage(repo, "1", 100_000)
	up.RequireBearer(upstreamtest.Bearer{User: "alice", Password: "s3cret", Elsewhere: true})
	r := open(t, up, as(Static("alice", "s3cret")), realms(up.RealmHost()))
	if content, _, err := pull(t, r, image, 0, 0); err != nil || len(content) != 100_000 {
		t.Errorf("%d bytes, %v", len(content), err)
	}
	stranger := open(t, up, func(c *Config) { c.CA = "" })
	_, err := stranger.Head(t.Context(), repo, "1")
	wantKind(t, err, ErrDown)
	wantText(t, err, "certificate")
	plain := upstreamtest.New(t)
	_, err = open(t, plain, urls(strings.Replace(plain.URL, "http:", "https:", 1))).Head(t.Context(), repo, "1")
	wantText(t, err, "it does not speak TLS")
}

func TestHTTP_is_told_nothing(t *testing.T) {
	c := &call{Remote: &Remote{&upstream{}, newLogins(Static("alice", "s3cret"))}, ctx: t.Context(),
		base: &base{url: mustParse(t, "http://registry.example.com")}}
	who, note, err := c.credentials()
	if !who.none() || !strings.Contains(note, "write https") || err != nil {
		t.Errorf("%v, %q, %v", who, note, err)
	}
	c.base.url.Host = "127.0.0.1:5000"
	if who, _, _ := c.credentials(); who.Username != "alice" {
		t.Error("on this machine it may be told")
	}
}

// TestUpstream_cannot_point_at_this_machine: nor at a cloud's metadata. By a name, too.
func TestUpstream_cannot_point_at_this_machine(t *testing.T) {
	up := upstreamtest.New(t)
	host := strings.TrimPrefix(up.URL, "http://")
	_, port, _ := net.SplitHostPort(host)
	dial := dialer(short.Dial)
	for _, to := range []string{host, "localhost:" + port, "169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:" + port, "[::ffff:127.0.0.1]:" + port} {
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), sentTo{}, to), short.Dial)
		conn, err := dial(ctx, "tcp", to)
		if cancel(); err == nil {
			conn.Close()
		}
		if !errors.Is(err, errGuarded) {
			t.Errorf("%s: %v", to, err)
		}
	}
	if conn, err := dial(t.Context(), "tcp", host); err != nil {
		t.Errorf("what the configuration names is no matter: %v", err)
	} else {
		conn.Close()
	}
	r := open(t, up, func(c *Config) { c.URLs = []string{"http://registry.example.com"} })
	c := &call{Remote: r, base: r.bases[0], ctx: t.Context(), question: question{doing: "ask", method: "GET"}}
	resp, err := r.client.Do(c.request(c.guard(mustParse(t, up.URL)), mustParse(t, up.URL), ""))
	if err == nil {
		resp.Body.Close()
	}
	wantKind(t, c.stopped(cause(t.Context(), err)), ErrBad)
	if len(up.Requests()) > 0 {
		t.Error("it was asked")
	}
}

func mustParse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestErrors_show_no_secrets_that_upstream_repeats(t *testing.T) {
	up := upstreamtest.New(t)
	up.RequireBasic("alice", "s3cret")
	pair := base64.StdEncoding.EncodeToString([]byte("alice:s3cret"))
	up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Authorization == "" {
			return nil
		}
		return func(_ *upstreamtest.Upstream, w http.ResponseWriter, _ *http.Request, q upstreamtest.Request, _ http.Handler) {
			w.WriteHeader(403)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"no %s,\n\u001b[31m s3cret %s"}]}`, q.Authorization, strings.Repeat("x", 5000))
		}
	})
	_, _, err := open(t, up, as(Static("alice", "s3cret"))).Manifest(t.Context(), repo, "1")
	e := wantKind(t, err, ErrDenied)
	wantNoSecret(t, "the error", fmt.Sprintf("%+v", e), "s3cret", pair)
	wantText(t, err, "DENIED", "no Basic ***,")
	if len(e.Message) > 310 {
		t.Errorf("%d bytes of message", len(e.Message))
	}
}
