package rights

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	artifactsapi "github.com/entrepot/entrepot/artifacts/api"
	"github.com/entrepot/entrepot/artifacts/apt"
	"github.com/entrepot/entrepot/artifacts/tree"
	"github.com/entrepot/entrepot/auth"
	authapi "github.com/entrepot/entrepot/auth/api"
	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry/api"
	"github.com/entrepot/entrepot/registry/manage"
)

// routes are all that the program serves beside /healthz and its like.
func routes() []door.Route {
	return slices.Concat(api.Routes(api.Config{Moves: artifacts.Tags{}}), authapi.Routes(authapi.Config{}),
		artifactsapi.Routes(artifactsapi.Config{}), tree.New(tree.Config{}).Routes(), apt.Routes(apt.Config{}), manage.Routes(manage.Config{}))
}

// methodsOf returns what a route answers, and the action that each method needs: HEAD like GET where the route says nothing else of it.
func methodsOf(r door.Route) map[string]auth.Action {
	all := map[string]auth.Action{}
	for method, access := range r.Methods {
		all[method] = access.Action
	}
	if get, ok := all["GET"]; ok && all["HEAD"] == "" && !r.NoHead {
		all["HEAD"] = get
	}
	return all
}

// rows are all samples, those for HEAD among them.
var rows = func() (all []row) {
	heads := map[string]bool{}
	for _, r := range routes() {
		heads[r.Name] = methodsOf(r)["HEAD"] != ""
	}
	for i, r := range slices.Concat(registryRows, accountRows, manageRows, componentRows) {
		r.component = i >= len(registryRows)+len(accountRows)+len(manageRows)
		all = append(all, r)
		if r.method == "GET" && heads[r.route] {
			get := r
			r.method = "HEAD"
			r.make = func(t *testing.T, c *cell) request {
				prepared := get.make(t, c)
				prepared.method = "HEAD"
				return prepared
			}
			all = append(all, r)
		}
	}
	return all
}()

func (r row) String() string { return strings.TrimSpace(r.method + " " + r.route + " " + r.variant) }

// TestRoutes_have_samples: each method of each route is sampled, and nothing else is; and each needs the action that is written down for it.
func TestRoutes_have_samples(t *testing.T) {
	sampled := map[string]bool{}
	for _, r := range rows {
		sampled[r.route+" "+r.method] = true
	}
	served := map[string]bool{}
	for _, r := range routes() {
		for method, action := range methodsOf(r) {
			served[r.Name+" "+method] = true
			if !sampled[r.Name+" "+method] {
				t.Errorf("route %s has no sample for %s: write down what it is asked for and what comes of it", r.Name, method)
			}
			for _, row := range rows {
				if row.route == r.Name && row.method == method && row.do != string(action) {
					t.Errorf("%s needs the action %s, want %s", row, action, row.do)
				}
			}
		}
	}
	for _, r := range rows {
		if !served[r.route+" "+r.method] {
			t.Errorf("there is a sample for %s, and no such route or method", r)
		}
	}
	if len(served) < 140 {
		t.Errorf("only %d methods of routes", len(served))
	}
}

// expected is what the table says of a cell: of what the route needs, and of what the endpoint asks for besides.
func (c *cell) expected() want {
	for _, do := range append([]string{c.row.do}, c.row.also...) {
		if refused := c.refused(do); refused.status != 0 {
			return refused
		}
	}
	switch {
	case c.row.answer != nil:
		return c.row.answer(c)
	case c.row.in != nil && !c.place.there:
		return want{c.row.new, ""}
	}
	return want{c.row.there, ""}
}

// refused is what whoever may not do something is answered; the zero want is for who may.
func (c *cell) refused(do string) want {
	table := table[c.role]
	may, sees := c.place.inside && table[do], c.place.inside && table["pull"]
	switch do {
	case "knock", "enter", "list", "asks-itself":
		may = true
	case "audit-own", "appoint": // which hold somewhere at least
		may = table[do]
	}
	switch {
	case !may && c.place.repo != "" && !c.accounts() && !sees:
		return want{404, "NAME_UNKNOWN"}
	case !may:
		return want{403, "DENIED"}
	case !c.covered(do):
		return want{401, "UNAUTHORIZED"}
	}
	return want{}
}

// accounts tells whether the row is about accounts; the paths of their routes name no repository.
func (c *cell) accounts() bool { return strings.HasPrefix(c.row.route, "auth-") }

// covered tells whether what is shown is good for an action, for who may do it.
func (c *cell) covered(do string) bool {
	switch {
	case c.way == "password", do == "knock", do == "enter", do == "asks-itself":
		return true
	case c.way == "empty token":
		return false
	}
	switch do {
	case "list":
		return true
	case "pull", "push", "attach", "delete-own", "delete", "promote", "promote-last":
		return c.place.name != "new" // for which no token was asked
	}
	return false // no token is ever good for it
}

// TestMatrix asks each row for each team, in each place, in each way.
func TestMatrix(t *testing.T) {
	for _, w := range teams {
		t.Run(w.name(), func(t *testing.T) {
			t.Parallel()
			o := found(t, w)
			var refused []asked
			reading, writing := o.cells()
			for _, cells := range reading {
				refused = append(refused, o.only(t, cells)...)
			}
			for _, cells := range writing {
				refused = append(refused, o.change(t, cells)...)
			}
			o.alike(t, refused)
			o.unnoticed(t, refused)
		})
	}
}

// cells are all that a team is asked: what only reads, by what it is about, and each row of what would change something.
func (w *world) cells() (reading map[subject][]*cell, writing [][]*cell) {
	reading = map[subject][]*cell{}
	for _, r := range rows {
		in := r.in
		if in == nil {
			in = []string{""}
		}
		var cells []*cell
		for _, where := range in {
			if where == "absent" && w.wide {
				continue // its own, too, and so there is nothing that is hidden
			}
			place := w.place(where)
			for _, s := range []struct {
				way   string
				shown ask.Caller
			}{{"password", w.who}, {"token", w.full}, {"empty token", w.empty}} {
				cells = append(cells, &cell{world: w, row: r, place: place, way: s.way, shown: s.shown})
			}
		}
		switch {
		case r.method != "GET" && r.method != "HEAD":
			writing = append(writing, cells)
		default:
			reading[r.about()] = append(reading[r.about()], cells...)
		}
	}
	return reading, writing
}

// only asks for what changes nothing, whether it is refused or not.
func (w *world) only(t *testing.T, cells []*cell) (all []asked) {
	t.Helper()
	var prepared []request
	for _, c := range cells {
		prepared = append(prepared, c.row.make(t, c))
	}
	w.unchanged(t, "what only reads", cells[0].row.about(), func() {
		for i, c := range cells {
			all = append(all, c.ask(t, prepared[i]))
		}
	})
	return all
}

// change asks for changes: first those that are to be made, each of something of its own, then those that are to be refused.
func (w *world) change(t *testing.T, cells []*cell) (refused []asked) {
	t.Helper()
	var bad []*cell
	for _, c := range cells {
		if c.expected().status >= 400 {
			bad = append(bad, c)
		} else {
			c.ask(t, c.row.make(t, c))
		}
	}
	if len(bad) == 0 {
		return nil
	}
	prepared := map[string]request{}
	for _, c := range bad {
		if _, ok := prepared[c.place.name]; !ok {
			prepared[c.place.name] = c.row.make(t, c)
		}
	}
	w.unchanged(t, bad[0].row.String(), bad[0].row.about(), func() {
		for _, c := range bad {
			refused = append(refused, c.ask(t, prepared[c.place.name]))
		}
	})
	return refused
}

// asked is a request and its answer.
type asked struct {
	*cell
	request
	wire.Reply
}

func (c *cell) String() string {
	return fmt.Sprintf("%s: %s in %q with a %s", c.name(), c.row, c.place.name, c.way)
}

// ask asks, and judges the answer.
func (c *cell) ask(t *testing.T, r request) asked {
	t.Helper()
	a := asked{c, r, c.shown.Do(t, r.method, r.target, r.body, r.headers...)}
	if c.row.do == "knock" && c.way != "password" {
		return a // what tokens are good for where one logs in has tests of its own
	}
	a.judge(t, c.expected())
	return a
}

// alike fails the test unless what is hidden from the team is answered like what is not there.
func (w *world) alike(t *testing.T, all []asked) {
	t.Helper()
	foreign := map[string]string{}
	compared := 0
	for _, a := range all {
		key := a.row.String() + a.way
		switch {
		case a.place.inside || a.Status < 400 || a.way == "password" && a.Status != 404:
		case a.place.name == "foreign":
			foreign[key] = a.normal()
		case a.place.name == "absent":
			if compared++; a.normal() != foreign[key] {
				t.Errorf("%s: what is absent is answered\n%s\nand what is there\n%s", a, a.normal(), foreign[key])
			}
		}
	}
	if compared < 200 && !w.wide {
		t.Errorf("only %d answers about what is hidden", compared)
	}
}

// unnoticed fails the test if the journal says that a refused request did something.
func (w *world) unnoticed(t *testing.T, refused []asked) {
	t.Helper()
	ids := map[string]asked{}
	for _, a := range refused {
		if id := a.Header.Get("X-Request-Id"); id != "" {
			ids[id] = a
		} else if a.Status >= 400 {
			t.Errorf("%s: a refusal without X-Request-Id", a)
		}
	}
	for _, e := range journal(t, root) {
		if a, ok := ids[e.Request]; ok && a.Status >= 400 {
			t.Errorf("%s: it was refused with %d, and the journal says %+v", a, a.Status, e)
		}
	}
}

// judge compares an answer with what is expected.
func (a asked) judge(t *testing.T, expected want) {
	t.Helper()
	what, got, c := a.cell, a.Reply, a.cell
	if got.Status != expected.status {
		t.Errorf("%s: %s is %d, want %d %s\n%s", what, got.Asked, got.Status, expected.status, expected.code, got.Excerpt())
		return
	}
	if expected.code != "" && c.row.method != "HEAD" {
		if code := codeOf(got); code != expected.code {
			t.Errorf("%s: the code is %s, want %s", what, code, expected.code)
		}
	}
	challenge := got.Header.Get("WWW-Authenticate")
	switch {
	case (challenge != "") != (expected.status == 401):
		t.Errorf("%s: %d with the challenge %q", what, got.Status, challenge)
	case challenge == "", !strings.HasPrefix(got.Asked, c.row.method+" /v2/"):
	case !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `,error="insufficient_scope"`):
		t.Errorf("%s: the challenge is %s, want one that tells of too little scope", what, challenge)
	}
	if expected.status == 401 || expected.status == 403 || expected.code == "NAME_UNKNOWN" {
		giveAway(t, a)
	}
}

// giveAway looks for what a refusal must not tell.
func giveAway(t *testing.T, a asked) {
	t.Helper()
	what, got, c := a.cell, a.Reply, a.cell
	for _, key := range []string{"Docker-Content-Digest", "Etag", "Location", "Range", "Docker-Upload-Uuid", "Link", "Oci-Subject", "Content-Range"} {
		if v := got.Header.Get(key); v != "" {
			t.Errorf("%s: the refusal tells %s: %s", what, key, v)
		}
	}
	if strings.Contains(string(got.Body), c.kept.Encoded()) && !strings.Contains(got.Asked, c.kept.Encoded()) || strings.Contains(string(got.Body), string(c.layer)) {
		t.Errorf("%s: the refusal tells of content: %s", what, got.Excerpt())
	}
}

// said are the codes of errors that are told as a line of text.
var said = map[string]string{
	"authentication required": "UNAUTHORIZED", "these credentials are wrong, have ended or were withdrawn": "UNAUTHORIZED",
	"requested access to the resource is denied": "DENIED", "repository name not known to this registry": "NAME_UNKNOWN", "there is nothing of this name": "UNKNOWN",
}

func codeOf(got wire.Reply) string {
	if strings.HasPrefix(got.Header.Get("Content-Type"), "text/plain") {
		_, text, _ := strings.Cut(strings.TrimSpace(string(got.Body)), " ")
		text, _, _ = strings.Cut(text, ":")
		return said[text]
	}
	var envelope struct{ Errors []struct{ Code string } }
	if json.Unmarshal(got.Body, &envelope) != nil || len(envelope.Errors) == 0 {
		return ""
	}
	return envelope.Errors[0].Code
}

// normal is all of an answer but its time and its request's id, whatever was asked about.
func (a asked) normal() string {
	var all []string
	got, c := a.Reply, a.cell
	id := got.Header.Get("X-Request-Id")
	for name, values := range got.Header {
		switch {
		case name == "Date" || name == "X-Request-Id":
			continue
		case name == "Content-Length" && got.Header.Get("Content-Type") == "application/problem+json": // which may tell the id, too
			if n, err := strconv.Atoi(values[0]); err == nil {
				values = []string{strconv.Itoa(n - len(id)*bytes.Count(got.Body, []byte(id)))}
			}
		}
		all = append(all, name+": "+strings.Join(values, ", "))
	}
	sort.Strings(all)
	text := fmt.Sprintf("%d\n%s\n\n%s", got.Status, strings.Join(all, "\n"), got.Body)
	path, _, _ := strings.Cut(a.target, "?")
	last := a.target[strings.LastIndexByte(a.target, '/')+1:]
	for _, name := range []string{path, c.place.repo, c.place.suite("prod"), c.robot(short[c.place.name]), last} {
		if len(name) > 8 {
			text = strings.ReplaceAll(text, name, "(what was asked about)")
		}
	}
	return strings.ReplaceAll(text, id, "(request)")
}

// state is what root sees of a team's world.
type state map[string]string

// subject is the part of a world that a row is about.
type subject string

const (
	contents   subject = "contents"
	accounting subject = "accounts"
	components subject = "components"
)

func (r row) about() subject {
	switch {
	case strings.HasPrefix(r.route, "auth-"):
		return accounting
	case r.component:
		return components
	}
	return contents
}

// look looks at the team's repositories, components or accounts.
func (w *world) look(t *testing.T, about subject) state {
	t.Helper()
	s := state{}
	note := func(path string, header string) {
		got := root.Get(t, path)
		s[path] = fmt.Sprint(got.Status, " ", got.Header.Get(header), " ", string(got.Body))
	}
	switch about {
	case components:
		w.lookAtComponents(t, s, note)
		return s
	case contents:
		for _, path := range []string{"own-", "for-"} {
			s[path] = fmt.Sprint(below(t, path+w.name()+"/"))
		}
		for _, repo := range []string{w.own(), w.foreign()} {
			note("/v2/"+repo+"/tags/list", "")
			note(wire.ManifestPath(repo, "keep"), "Docker-Content-Digest")
			note(wire.ReferrersPath(repo, w.kept), "")
		}
		return s
	}
	for _, list := range []string{"users", "robots", "grants"} {
		var all map[string][]map[string]any
		root.Get(t, ask.Accounts+list).Want(t, 200).JSON(t, &all)
		for _, one := range all[list] {
			delete(one, "lastLogin")
			if text := string(wire.JSON(one)); strings.Contains(text, w.name()+`"`) || strings.Contains(text, w.name()+`/`) || strings.Contains(text, w.name()+`-n`) {
				s[list] += text + "\n"
			}
		}
	}
	for _, whose := range []string{"own", "for"} {
		note(ask.Accounts+"robots/"+w.robot(whose)+"/secrets", "")
	}
	return s
}

// unchanged fails the test if what was done in between has changed anything.
func (w *world) unchanged(t *testing.T, what string, about subject, do func()) {
	t.Helper()
	before := w.look(t, about)
	do()
	after := w.look(t, about)
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if before[k] != after[k] {
			t.Errorf("%s: %s changed: %s was\n%s\nand is\n%s", w.name(), what, k, before[k], after[k])
		}
	}
}

// TestMatrix_other_methods: what a route does not have is answered by none to whoever has not logged in, and by 405 to all others.
func TestMatrix_other_methods(t *testing.T) {
	for _, r := range routes() {
		path := ""
		for _, row := range rows {
			if row.route == r.Name && path == "" {
				c := &cell{world: &world{team: team{fromFile, "methods", false}, who: root, kept: digest.FromString("")}, row: row, place: place{name: "absent", repo: "nobody/there"}}
				path = row.make(t, c).target
			}
		}
		for _, method := range []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "X"} {
			if methodsOf(r)[method] != "" {
				continue
			}
			if got := anonymous.Do(t, method, path, nil); got.Status != http.StatusUnauthorized || got.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s without a login: %d, want 401 with a challenge", method, r.Name, got.Status)
			}
			for _, who := range []ask.Caller{root, user("file-nobody")} {
				if got := who.Do(t, method, path, nil); got.Status != http.StatusMethodNotAllowed || got.Header.Get("Allow") == "" {
					t.Errorf("%s %s by %s: %d, Allow: %q, want 405", method, r.Name, who.Name, got.Status, got.Header.Get("Allow"))
				}
			}
		}
	}
	for _, path := range []string{"/", "/v1/", "/v2/nobody", "/api", "/api/v1/auth/", "/auth", "/auth/", "/auth/token/", "/api/v1/auth/users/", "/v3/x",
		"/api/v1/components/a", "/api/v1/components/a/b", "/api/v1/components/a/b/c/d", "/api/v1/groups/a/b", "/index", "/index/", "/schemas", "/treetop", "/aptly",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			anonymous.Do(t, method, path, nil).Want(t, 401)
			root.Do(t, method, path, nil).Want(t, 404)
		}
	}
}
