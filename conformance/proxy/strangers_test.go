package proxy

import (
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// password is one that nobody may see but the upstream.
const password = "s3cret-of-robot"

// TestStrangers_are_told_no_password, whatever the upstream or they themselves ask for.
func TestStrangers_are_told_no_password(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		stranger func(stranger *upstreamtest.Upstream) // what is wrong with it
		upstream func(stranger *upstreamtest.Upstream) upstreamtest.Fault
	}{
		{"by a redirect to who wants a password", func(s *upstreamtest.Upstream) { s.RequireBasic("robot", password) },
			func(s *upstreamtest.Upstream) upstreamtest.Fault { return upstreamtest.RedirectTo(s.URL + "/") }},
		{"by a redirect to who wants a token", func(s *upstreamtest.Upstream) {
			s.RequireBearer(upstreamtest.Bearer{User: "robot", Password: password})
		},
			func(s *upstreamtest.Upstream) upstreamtest.Fault { return upstreamtest.RedirectTo(s.URL + "/") }},
		{"by a token service elsewhere", func(s *upstreamtest.Upstream) {
			s.RequireBearer(upstreamtest.Bearer{User: "robot", Password: password})
		},
			func(s *upstreamtest.Upstream) upstreamtest.Fault {
				return upstreamtest.Unauthorized(`Bearer realm="` + s.URL + `/token",service="upstream.example.com"`)
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := build(t, as("robot", password))
			image := h.up.PushImage(there, "1", 10, 50_000)
			if r := h.get(h.url, app+"/manifests/1"); r.status != 200 {
				t.Fatalf("%v: %.300q", r.answer, r.body)
			}
			stranger := upstreamtest.New(t)
			h.up.CopyTo(stranger, there)
			c.stranger(stranger)
			fault := c.upstream(stranger)
			h.fault(func(q upstreamtest.Request) upstreamtest.Fault {
				if q.Authorization == "" {
					return nil
				}
				return fault
			})
			for range 2 {
				for _, path := range []string{"manifests/1", "manifests/2", "blobs/" + string(image.Layers[1].Digest), "tags/list", "referrers/" + string(image.Descriptor.Digest)} {
					if r := h.get(h.url, app+"/"+path); r.status >= 500 {
						t.Errorf("%s: %v: %.300q", path, r.answer, r.body)
					}
				}
				h.clock.later(time.Hour)
			}
			if len(stranger.Requests()) == 0 {
				t.Error("nobody came to the stranger: this proves nothing")
			}
			if told := stranger.Authorizations(); len(told) > 0 {
				t.Errorf("the stranger was told %q", told)
			}
			if h.log.has(password) {
				t.Error("the password is in the log")
			}
			h.sound()
		})
	}
}
