package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/disk"
)

// layer is what the tests damage: too long to lie in the index.
var (
	layer       = bytes.Repeat([]byte("layer"), 20_000)
	layerDigest = digest.FromBytes(layer)
)

// ailing is a store on disk with an image in two repositories, pushed an hour ago.
type ailing struct {
	t    *testing.T
	dir  string
	vars []string // ENTREPOT_… that its configuration is read from
}

func newAiling(t *testing.T, vars ...string) *ailing {
	t.Helper()
	a := &ailing{t: t, dir: t.TempDir()}
	a.vars = append([]string{"ENTREPOT_DATA=" + a.dir}, vars...)
	a.on(func(_ *store, r *registry.Registry) {
		manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
			`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + string(layerDigest) + `","size":100000},"layers":[]}`
		for _, repo := range []string{"team/app", "team/other"} {
			if err := r.PutBlob(t.Context(), repo, layerDigest, int64(len(layer)), bytes.NewReader(layer)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.PutManifest(t.Context(), registry.Put{Repo: repo, Ref: "1.0", Body: []byte(manifest)}); err != nil {
				t.Fatal(err)
			}
		}
	})
	return a
}

func (a *ailing) config() Config {
	a.t.Helper()
	c, err := loadConfig("", a.vars)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// on opens the store, as it was an hour ago.
func (a *ailing) on(do func(s *store, r *registry.Registry)) {
	a.t.Helper()
	c := a.config()
	s, err := openStore(a.t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		a.t.Fatal(err)
	}
	defer s.close()
	stands := s.registryConfig(c, slog.New(slog.DiscardHandler))
	stands.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	r, err := registry.Open(a.t.Context(), stands)
	if err != nil {
		a.t.Fatal(err)
	}
	do(s, r)
}

func blobFile(dir string, d digest.Digest) string {
	return filepath.Join(dir, "blobs", "sha256", d.Encoded()[:2], d.Encoded())
}

// damages are done to the layer's file.
var damages = map[string]func(path string) error{
	"other bytes": func(path string) error {
		other := bytes.Clone(layer)
		other[77] ^= 1
		return os.WriteFile(path, other, 0o600)
	},
	"shorter": func(path string) error { return os.Truncate(path, 1000) },
	"missing": os.Remove,
}

func (a *ailing) damage(how string) {
	a.t.Helper()
	if err := damages[how](blobFile(a.dir, layerDigest)); err != nil {
		a.t.Fatal(err)
	}
}

// verb runs the program with the store's configuration, and wants an exit status.
func (a *ailing) verb(code int, args ...string) (out, errs string) {
	a.t.Helper()
	var stdout, stderr bytes.Buffer
	if got := run(a.t.Context(), args, nil, &stdout, &stderr, a.vars); got != code {
		a.t.Errorf("%q: exit status %d, want %d: %s%s", args, got, code, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}

// wantWhole wants both repositories to have the layer.
func (a *ailing) wantWhole() {
	a.t.Helper()
	a.on(func(_ *store, r *registry.Registry) {
		for _, repo := range []string{"team/app", "team/other"} {
			_, rc, err := r.OpenBlob(a.t.Context(), repo, layerDigest)
			if err != nil {
				a.t.Errorf("%s: %v, want it whole again", repo, err)
				continue
			}
			got, err := io.ReadAll(rc)
			rc.Close()
			if err != nil || !bytes.Equal(got, layer) {
				a.t.Errorf("%s: %d bytes, %v, want those that were pushed", repo, len(got), err)
			}
		}
	})
	a.verb(0, "verify")
}

// peerFolder is the folder of another registry's content, with the layer.
func peerFolder(t *testing.T, body []byte) string {
	t.Helper()
	dir := t.TempDir()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Append(t.Context(), "one", 0, bytes.NewReader(body))
	if err := errors.Join(err, s.Commit(t.Context(), "one", layerDigest)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// folderTree tells what is in a folder: names, modes, when they changed, and bytes.
func folderTree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(path, " ", info.Mode(), " ", info.ModTime())
		if info.Mode().IsRegular() {
			body, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += " " + string(digest.FromBytes(body))
		}
		all = append(all, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// peerRegistry is another registry, whose password is asked for, and that has the layer in the second repository only. It returns how it is named as a peer.
func peerRegistry(t *testing.T) (up *upstreamtest.Upstream, vars []string) {
	t.Helper()
	up = upstreamtest.NewTLS(t)
	up.PutBlob("team/other", layer)
	up.RequireBearer(upstreamtest.Bearer{User: "robot", Password: "peers-password"})
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("peers-password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return up, []string{"ENTREPOT_SCRUB_PEER_REGISTRY_URL=" + up.URL, "ENTREPOT_SCRUB_PEER_REGISTRY_CA=" + up.CAFile,
		"ENTREPOT_SCRUB_PEER_REGISTRY_USERNAME=robot", "ENTREPOT_SCRUB_PEER_REGISTRY_PASSWORDFILE=" + file}
}

// TestPeers_heal what is damaged on disk, and are not written.
func TestPeers_heal(t *testing.T) {
	for how := range damages {
		t.Run(how+", a folder", func(t *testing.T) {
			dir := peerFolder(t, layer)
			before := folderTree(t, dir)
			a := newAiling(t, "ENTREPOT_SCRUB_PEER_DISK="+dir)
			a.damage(how)
			out, _ := a.verb(1, "verify", "--repair")
			if strings.Contains(out, "healed by") {
				t.Errorf("%s: want nothing to be fetched without being told to", out)
			}
			out, _ = a.verb(0, "verify", "--repair", "--peer")
			if !strings.Contains(out, "blob "+string(layerDigest)+": healed by peer folder "+dir) || !strings.Contains(out, "hits team/app:1.0@sha256:") {
				t.Errorf("%s", out)
			}
			a.wantWhole()
			if after := folderTree(t, dir); !slices.Equal(before, after) {
				t.Errorf("the peer's folder was\n%s\nand is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
			}
		})
		t.Run(how+", a registry", func(t *testing.T) {
			up, vars := peerRegistry(t)
			a := newAiling(t, vars...)
			a.damage(how)
			out, errs := a.verb(0, "verify", "--repair", "--peer")
			if !strings.Contains(out, "healed by peer registry 127.0.0.1:") {
				t.Errorf("%s", out)
			}
			if strings.Contains(out+errs, "peers-password") {
				t.Errorf("the password is shown: %s%s", out, errs)
			}
			a.wantWhole()
			for _, r := range up.Requests() {
				if r.Method != http.MethodGet && r.Method != http.MethodHead {
					t.Errorf("%s %s: want it to be read only", r.Method, r.Path)
				}
			}
		})
	}
}

// TestPeers_and_the_server: its scrubs ask them, the folder that is away is no fault, and its name is not made.
func TestPeers_and_the_server(t *testing.T) {
	dir := peerFolder(t, layer)
	away := dir + ".away"
	a := newAiling(t, "ENTREPOT_LISTEN=127.0.0.1:0", "ENTREPOT_SCRUB_PEER_DISK="+dir)
	a.damage("other bytes")
	scrub := func() registry.ScrubResult {
		t.Helper()
		s, err := newServer(t.Context(), a.config(), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		defer s.listener.Close()
		defer s.store.close()
		life, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.scrubber.Run(life); close(ended) }()
		defer func() { stop(); <-ended }()
		done, err := s.scrubber.Start(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	if done := scrub(); done.Damaged != 1 || done.Healed != 0 {
		t.Errorf("%+v, want the damage to stay", done)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want nothing to be made in the place of a folder that is away", err)
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	if done := scrub(); done.Healed != 1 {
		t.Errorf("%+v, want it to be healed when the folder is back", done)
	}
	a.wantWhole()
}

// loginPage answers 200 with a page for people.
func loginPage(_ *upstreamtest.Upstream, w http.ResponseWriter, _ *http.Request, _ upstreamtest.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html><title>Log in</title></html>")
}

// TestPeers_that_fail heal nothing, keep nobody waiting, leave nothing behind, and are told of without the password.
func TestPeers_that_fail(t *testing.T) {
	for name, c := range map[string]struct {
		fault upstreamtest.Fault
		says  string
	}{
		"other bytes":          {upstreamtest.WrongDigest(), "what came is sha256:"},
		"a page":               {loginPage, "what came is not of the 100000 bytes that it has, but of 34"},
		"500":                  {upstreamtest.Status(500), "it answered 500"},
		"429":                  {upstreamtest.TooMany(time.Hour), "it answered 429"},
		"no answer":            {upstreamtest.HangBeforeHeaders(), "it did not answer within"},
		"a body that stalls":   {upstreamtest.HangInBody(5000), "the body stands still"},
		"a body that is cut":   {upstreamtest.TruncateAt(5000), "it broke off after 5000 bytes"},
		"a body without end":   {upstreamtest.Endless(), "but of 100001 or more"},
		"refused":              {upstreamtest.Always401(), "it answered 401"},
		"a redirect in a ring": {upstreamtest.RedirectTo("/v2/team/other/blobs/" + string(layerDigest)), "it redirects more than"},
	} {
		t.Run(name, func(t *testing.T) {
			up, vars := peerRegistry(t)
			a := newAiling(t, vars...)
			a.damage("other bytes")
			up.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
				if q.Kind == "blobs" && q.Repo == "team/other" && q.Authorization != "" {
					return c.fault
				}
				return nil
			})
			var log bytes.Buffer
			registryConfig := a.config().Scrub.Peer.Registry
			r, err := remote.New(remote.Config{
				Name: "peer.example.com", URLs: []string{up.URL}, CA: up.CAFile, Credentials: remote.PasswordFile(registryConfig.Username, registryConfig.PasswordFile),
				Timeouts: remote.Timeouts{Header: time.Second, Stall: time.Second}, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(r.Close)
			a.scrub(&log, registryPeer(r), 0)
			if !strings.Contains(log.String(), c.says) {
				t.Errorf("the log does not say %q: %s", c.says, log.String())
			}
			for _, secret := range []string{"peers-password", base64.StdEncoding.EncodeToString([]byte("robot:peers-password")), "<html>"} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log shows %q: %s", secret, log.String())
				}
			}
			up.Fault(nil)
			log.Reset()
			healthy, err := openPeers(t.Context(), a.config().Scrub.Peer, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			a.scrub(&log, healthy[0], 1)
			a.wantWhole()
		})
	}
}

// scrub scrubs with a peer now, and wants so much to be healed and no upload to be left.
func (a *ailing) scrub(log io.Writer, peer registry.Peer, healed int64) {
	a.t.Helper()
	c := a.config()
	to := slog.New(slog.NewTextHandler(log, nil))
	s, err := openStore(a.t.Context(), c, to)
	if err != nil {
		a.t.Fatal(err)
	}
	defer s.close()
	r, err := registry.Open(a.t.Context(), s.registryConfig(c, to))
	if err != nil {
		a.t.Fatal(err)
	}
	done, err := r.Scrub(a.t.Context(), registry.ScrubOptions{Peers: []registry.Peer{peer}})
	if err != nil || done.Healed != healed {
		a.t.Errorf("%+v, %v; want %d to be healed", done, err, healed)
	}
	for p, err := range s.blobs.Uploads(a.t.Context()) {
		a.t.Errorf("an upload is left: %+v, %v", p, err)
	}
}

// TestPeers_keep_secrets: whoever a peer sends us to is told no password and no token, neither as a redirect's target nor as a token service that is not listed.
func TestPeers_keep_secrets(t *testing.T) {
	for name, lead := range map[string]func(up, elsewhere *upstreamtest.Upstream){
		"a redirect": func(up, elsewhere *upstreamtest.Upstream) {
			up.Fault(upstreamtest.Always(upstreamtest.RedirectTo(elsewhere.URL+"/"), "blobs"))
		},
		"a token service": func(up, elsewhere *upstreamtest.Upstream) {
			up.RequireBearer(upstreamtest.Bearer{User: "robot", Password: "peers-password", Realm: elsewhere.URL + "/token"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere := upstreamtest.NewTLS(t)
			elsewhere.RequireBasic("robot", "peers-password")
			up, vars := peerRegistry(t)
			lead(up, elsewhere)
			a := newAiling(t, vars...)
			a.damage("missing")
			var log bytes.Buffer
			peers, err := openPeers(t.Context(), a.config().Scrub.Peer, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if err != nil {
				t.Fatal(err)
			}
			a.scrub(&log, peers[0], 0)
			if asked := len(up.Requests()); asked == 0 {
				t.Error("the peer was not asked, so that this tells nothing")
			}
			if sent := len(elsewhere.Requests()); sent == 0 && name == "a redirect" {
				t.Error("the redirect was not followed, so that this tells nothing")
			}
			if told := elsewhere.Authorizations(); len(told) > 0 {
				t.Errorf("somebody else was told %q", told)
			}
			if strings.Contains(log.String(), "peers-password") || strings.Contains(log.String(), "Bearer ") {
				t.Errorf("the log shows a secret: %s", log.String())
			}
		})
	}
}

// TestPeers_in_a_folder that have other bytes, or something else in its place, heal nothing.
func TestPeers_in_a_folder(t *testing.T) {
	other := bytes.Clone(layer)
	other[0] ^= 1
	for name, dir := range map[string]string{
		"other bytes": peerFolder(t, other), "fewer bytes": peerFolder(t, layer[:100]), "more bytes": peerFolder(t, append(bytes.Clone(layer), 'x')),
		"nothing": t.TempDir(), "no folder": filepath.Join(t.TempDir(), "absent"),
	} {
		t.Run(name, func(t *testing.T) {
			a := newAiling(t, "ENTREPOT_SCRUB_PEER_DISK="+dir)
			a.damage("shorter")
			out, _ := a.verb(1, "verify", "--repair", "--peer")
			if !strings.Contains(out, "blob "+string(layerDigest)+": damaged") || !strings.Contains(out, "what is left of it is kept: "+filepath.Join(a.dir, "quarantine")) {
				t.Errorf("%s", out)
			}
			if left, err := os.ReadFile(filepath.Join(a.dir, "quarantine", "sha256-"+layerDigest.Encoded())); err != nil || !bytes.Equal(left, layer[:1000]) {
				t.Errorf("%d bytes, %v; want what was left to be kept", len(left), err)
			}
			a.vars = append(a.vars, "ENTREPOT_SCRUB_PEER_DISK="+peerFolder(t, layer))
			a.verb(0, "verify", "--repair", "--peer")
			a.wantWhole()
		})
	}
}

// TestVerify_wants_to_know_the_peer before it opens anything.
func TestVerify_wants_to_know_the_peer(t *testing.T) {
	a := newAiling(t)
	if _, errs := a.verb(2, "verify", "--peer"); !strings.Contains(errs, "--peer is for --repair") {
		t.Errorf("%s", errs)
	}
	if _, errs := a.verb(1, "verify", "--repair", "--peer"); !strings.Contains(errs, "no peer is known; name one with scrub.peer") {
		t.Errorf("%s", errs)
	}
}

// hanging is a medium that never answers, whatever becomes of who asks; or only when it is read.
type hanging struct {
	blob.Reader
	until chan struct{}
	opens bool
}

func (h hanging) Open(context.Context, digest.Digest, int64) (io.ReadCloser, error) {
	if !h.opens {
		<-h.until
	}
	return io.NopCloser(h), nil
}

func (h hanging) Read([]byte) (int, error) { <-h.until; return 0, io.EOF }

// TestPatient gives up a medium that hangs, asks no second thing of it meanwhile, and reads on when it answers again.
func TestPatient(t *testing.T) {
	for _, opens := range []bool{false, true} {
		until := make(chan struct{})
		p := patient{hanging{until: until, opens: opens}, make(chan struct{}, 1)}
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			rc, err := p.Open(ctx, layerDigest, 0)
			if err == nil {
				_, err = io.ReadAll(rc)
				rc.Close()
			}
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want it to be given up", err)
			}
		}
		close(until)
		rc, err := p.Open(t.Context(), layerDigest, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(rc); err != nil || len(got) != 0 {
			t.Errorf("%q, %v", got, err)
		}
		rc.Close()
	}
	dir := peerFolder(t, layer)
	p := patient{disk.Peek(dir), make(chan struct{}, 1)}
	for range 3 { // also if who reads goes in the middle
		rc, err := p.Open(t.Context(), layerDigest, 5)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(rc, got); err != nil || !bytes.Equal(got, layer[5:10]) {
			t.Errorf("%q, %v", got, err)
		}
		rc.Close()
	}
	if _, err := p.Open(t.Context(), digest.FromString("nothing"), 0); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("%v, want %v", err, blob.ErrNotFound)
	}
}
