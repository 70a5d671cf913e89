package apt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

func TestSuites_are_read_by_who_may_pull_them(t *testing.T) {
	paths := func(suite string) []string {
		return []string{"/apt/dists/" + suite + "/InRelease", "/apt/snapshots/99990101T000000Z/dists/" + suite + "/InRelease", "/apt/pin/" + suite, "/apt/snapshots/?suite=" + suite}
	}
	for name, c := range map[string]struct {
		policy        auth.Policy
		as            string
		prod, staging int
	}{
		"nobody in particular":                        {closed, "", 401, 401},
		"nobody in particular, where all is open":     {open(auth.Everywhere), "", 200, 200},
		"nobody in particular, where one suite is":    {open("apt/cloud-prod"), "", 200, 401},
		"nobody in particular, where a component is":  {open(service), "", 401, 401},
		"nobody in particular, where all may do all":  {auth.Open, "", 200, 200},
		"a wrong password":                            {closed, "wrong", 401, 401},
		"a wrong password where all is open":          {open(auth.Everywhere), "wrong", 401, 401},
		"a host":                                      {closed, "host", 200, 404},
		"somebody who may pull a component of it":     {closed, "dev", 404, 404},
		"somebody who may pull everything":            {closed, "all", 200, 200},
		"somebody who may nothing":                    {closed, "nobody", 404, 404},
		"a secret that is cut down to something else": {closed, "scoped", 401, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, with(c.policy))
			h.stock()
			for suite, want := range map[string]int{"cloud-prod": c.prod, "cloud-staging": c.staging} {
				for _, path := range paths(suite) {
					got := h.get(path, "as", c.as).want(want)
					if want == 401 {
						got.want(401, "401 ").has("WWW-Authenticate", `Basic realm="entrepot"`)
						if len(got.body) < 20 {
							t.Errorf("%s: the body says just %q", path, got.body)
						}
					}
					if want != 200 && (strings.Contains(got.body, "20") && strings.Contains(got.body, "T") && strings.Contains(got.body, "Z\n")) {
						t.Errorf("%s tells dates: %q", path, got.body)
					}
				}
			}
		})
	}
}

// What may not be read is as if it were not there, and what is there is told to nobody else.
func TestSuites_are_unknown_to_others(t *testing.T) {
	h := build(t, with(closed))
	h.stock()
	for _, who := range []string{"nobody", "dev", ""} {
		status := 404
		if who == "" {
			status = 401
		}
		for _, path := range []string{"/apt/dists/%s/InRelease", "/apt/dists/%s/nothing", "/apt/pin/%s", "/apt/snapshots/20000101T000000Z/dists/%s/Release", "/apt/snapshots/?suite=%s"} {
			there := h.get(fmt.Sprintf(path, "cloud-prod"), "as", who).want(status).body
			gone := h.get(fmt.Sprintf(path, "cloud-none"), "as", who).want(status).body
			if strings.ReplaceAll(there, "cloud-prod", "cloud-none") != gone {
				t.Errorf("%q is told %q, and of what is not there %q", who, there, gone)
			}
		}
		for _, path := range []string{"/apt/", "/apt/dists/"} {
			if who == "" {
				h.get(path).want(401)
			} else if got := h.get(path, "as", who).want(200).body; strings.Contains(got, "cloud") {
				t.Errorf("%s tells %s of %q", path, who, got)
			}
		}
	}
}

func TestSuites_are_listed_for_whom_they_are(t *testing.T) {
	h := build(t, with(closed))
	h.stock()
	for who, want := range map[string]string{"host": "cloud-prod\n", "all": "cloud-prod\ncloud-staging\n", "nobody": "", "dev": ""} {
		for _, path := range []string{"/apt/dists/", "/apt/dists"} {
			if got := h.get(path, "as", who).want(200).has("Content-Type", plain, "Cache-Control", private).body; got != want {
				t.Errorf("%s is told %q, want %q", who, got, want)
			}
		}
		for _, path := range []string{"/apt/", "/apt"} {
			got := h.get(path, "as", who).want(200, h.server.URL+"/apt/setup.sh?suite=SUITE", h.server.URL+"/apt/key.asc").body
			if !strings.HasSuffix(got, "The suites that you may read:\n\n"+want) && !(want == "" && strings.HasSuffix(got, "There is no suite that you may read.\n")) {
				t.Errorf("%s is told %q", who, got)
			}
		}
	}
	some := build(t, with(open("apt/cloud-staging")))
	some.stock()
	if got := some.get("/apt/dists/").want(200).body; got != "cloud-staging\n" {
		t.Errorf("everybody is told %q", got)
	}
}

// asked is a policy that notes what it was asked.
type asked struct {
	mu     sync.Mutex
	answer error
	was    []string
}

// says sets the answer, and forgets what was asked.
func (p *asked) says(answer error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.was, p.answer = nil, answer
}

func (p *asked) Allow(_ context.Context, _ auth.Identity, do auth.Action, on string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.was = append(p.was, string(do)+" "+on)
	if do == auth.Knock {
		return nil
	}
	return p.answer
}

// TestRoutes_ask_first walks the whole table: what the policy does not allow is neither told nor done, and a policy that fails allows nothing.
func TestRoutes_ask_first(t *testing.T) {
	p := &asked{}
	h := build(t, with(p))
	h.stock()
	date := h.snapshot("cloud-prod").Date.Format(dateForm)
	table := map[string]struct {
		method, path string
		asks         []string // until it is refused
	}{
		"apt-pool":      {"GET", pool + "hello_1.0~rc1+b2_amd64.deb", []string{"pull " + service, "pull apt/cloud-prod", "pull apt/cloud-staging"}},
		"apt-dists":     {"GET", "/apt/dists/cloud-prod/InRelease", []string{"pull apt/cloud-prod"}},
		"apt-snapshot":  {"GET", "/apt/snapshots/" + date + "/dists/cloud-prod/InRelease", []string{"pull apt/cloud-prod"}},
		"apt-snapshots": {"GET", "/apt/snapshots/?suite=cloud-prod", []string{"pull apt/cloud-prod"}},
		"apt-pin":       {"GET", "/apt/pin/cloud-prod", []string{"pull apt/cloud-prod"}},
		"apt":           {"GET", "/apt/", []string{"list "}},
		"apt-suites":    {"GET", "/apt/dists/", []string{"list "}},
		"apt-upload":    {"PUT", "/apt/upload/" + service + "/x.deb", []string{"push " + service}},
		"apt-rotate":    {"POST", "/apt/keys/rotate", []string{"manage "}},
		// Everybody may.
		"apt-key":              {"GET", "/apt/key.asc", nil},
		"apt-setup":            {"GET", "/apt/setup.sh?suite=cloud-prod", nil},
		"apt-unknown":          {"GET", "/apt/nothing", nil},
		"apt-upload-elsewhere": {"PUT", "/apt/upload/", nil},
	}
	for _, r := range Routes(Config{Catalog: h.catalog, Registry: h.reg, Keys: h.keys, Shelf: h.shelf}) {
		c, ok := table[r.Name]
		if !ok {
			t.Errorf("route %s is not in this table", r.Name)
			continue
		}
		if r.Errors != door.Plain {
			t.Errorf("route %s tells errors in another form", r.Name)
		}
		if c.asks == nil {
			continue
		}
		for status, answer := range map[int]error{
			401: &auth.Refusal{Login: true, Reason: "log in first"}, 403: &auth.Refusal{Do: auth.Pull, On: "x", Reason: "no grant gives it"}, 404: &auth.Refusal{Hidden: true},
			500: errors.New("the policy's own cause"),
		} {
			p.says(answer)
			got := h.do(c.method, c.path, string(hello("x", "1.0.0", "amd64"))).want(status)
			want := c.asks
			if status == 500 { // a fault ends the questions
				want = want[:1]
			}
			if fmt.Sprint(p.was) != fmt.Sprint(want) {
				t.Errorf("%s asks for %q, want %q", c.path, p.was, want)
			}
			if strings.Contains(got.body, "own cause") || strings.Contains(got.body, "dmp") {
				t.Errorf("%s tells %q", c.path, got.body)
			}
			h.do("HEAD", c.path, "")
		}
	}
	if _, err := h.catalog.Pooled(h.ctx, service, "x_1.0.0_amd64.deb"); !errors.Is(err, artifacts.ErrUnknown) {
		t.Errorf("what was refused is stored: %v", err)
	}
}
