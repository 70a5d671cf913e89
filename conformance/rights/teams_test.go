package rights

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// The ways in which the program knows somebody.
const (
	fromFile  = "file"  // a person in the file of users, granted by the configuration
	fromHere  = "here"  // a person whom the registry keeps, granted by the API
	fromRobot = "robot" // a robot with a secret, granted by the API
	fromJob   = "job"   // a job with a token of its issuer, which the configuration binds
)

// team is somebody with one role, or none, on a path of its own, or everywhere.
type team struct {
	origin, role string
	wide         bool
}

// teams are each role in each way, and each role everywhere.
var teams = func() (all []team) {
	for _, origin := range []string{fromFile, fromHere, fromRobot, fromJob} {
		for _, role := range roles {
			all = append(all, team{origin, role, false})
		}
	}
	for _, role := range roles[:len(roles)-1] {
		all = append(all, team{fromFile, role, true})
	}
	return all
}()

func (w team) name() string {
	name := w.origin + "-" + w.role
	if w.role == "" {
		name += "nobody"
	}
	if w.wide {
		name += "-wide"
	}
	return name
}

// on are the paths of the team's grants: where its repositories are, and the suite of what is deployed of them in prod.
func (w team) on() []string {
	if w.wide {
		return []string{"**"}
	}
	return []string{"own-" + w.name(), "apt/own-" + w.name() + "-prod"}
}

// world is a team with its repositories and another team's, that nobody else touches.
type world struct {
	team
	who         ask.Caller // with a password or a secret
	full, empty ask.Caller // with a token of every scope, and of none
	layer       []byte     // a blob of the own repository and of the foreign one
	kept        digest.Digest
	n           int
	person      bool              // there is a user for the team to meddle with
	moves       map[string]string // a promotion in each place
}

// own is the team's, foreign is there too, absent is not and is as long.
func (w *world) own() string     { return "own-" + w.name() + "/here" }
func (w *world) foreign() string { return "for-" + w.name() + "/here" }
func (w *world) absent() string  { return "for-" + w.name() + "/gone" }

// robot is the name of a robot whose home is the team's ("own"), another's ("for"), or that is not there ("abs").
func (w *world) robot(whose string) string { return whose + "-bot-" + w.name() }

func (w *world) next() string { w.n++; return fmt.Sprintf("n%04d", w.n) }

// found makes a team's world.
func found(t *testing.T, w team) *world {
	t.Helper()
	o := &world{team: w, layer: wire.Random(200)}
	o.who = o.join(t)
	o.furnish(t)
	for _, whose := range []string{"own", "for"} {
		root.Call(t, "POST", "robots", map[string]any{"name": o.robot(whose), "on": whose + "-" + o.name()}).Want(t, 201)
	}
	o.full = o.who.Token(t, o.scopes()...)
	o.empty = o.who.Token(t)
	return o
}

// join makes the account that the team logs in with, and its grant, as far as they are not in the configuration.
func (w *world) join(t *testing.T) ask.Caller {
	t.Helper()
	name, who := w.name(), ask.Caller{}
	switch w.origin {
	case fromFile:
		return user(name)
	case fromJob:
		team := name
		if w.role == "" {
			team = "nobody"
		}
		return somebody("ci:"+name+"@jobs", ask.Basic("gitlab-ci-token", jobToken(name, team)))
	case fromHere:
		root.Call(t, "POST", "users", map[string]any{"name": name, "password": password}).Want(t, 201)
		who = user(name)
	case fromRobot:
		who = robot(t, name, "robots-of-"+name)
	}
	if w.role != "" {
		for _, on := range w.on() {
			grant(t, who, w.role, on)
		}
	}
	return who
}

// robot makes a robot with a secret.
func robot(t testing.TB, name, home string) ask.Caller {
	t.Helper()
	root.Call(t, "POST", "robots", map[string]any{"name": name, "on": home}).Want(t, 201)
	return somebody("robot:"+name, ask.Basic("robot$"+name, secret(t, name)))
}

// secret makes another secret for a robot.
func secret(t testing.TB, robot string) string {
	t.Helper()
	var made struct{ Value string }
	root.Call(t, "POST", "robots/"+robot+"/secrets", map[string]any{}).Want(t, 201).JSON(t, &made)
	return made.Value
}

// grant gives somebody a role, and returns the grant's id.
func grant(t testing.TB, who ask.Caller, role, on string) (id string) {
	t.Helper()
	var made struct{ ID string }
	root.Call(t, "POST", "grants", map[string]any{"who": who.Name, "role": role, "on": on}).Want(t, 201).JSON(t, &made)
	return made.ID
}

// What the issuer of jobs is called, and its tokens are for.
const (
	jobIssuer   = "https://jobs.example.com"
	jobAudience = "https://registry.example.com"
)

// jobClaims are what the issuer says of a job of a team.
func jobClaims(name, team string) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": jobIssuer, "aud": jobAudience, "sub": name, "team": team, "iat": now, "nbf": now, "exp": now + 600}
}

// jobToken is what the issuer gives to a job of a team.
func jobToken(name, team string, changes ...func(claims map[string]any)) string {
	claims := jobClaims(name, team)
	for _, change := range changes {
		change(claims)
	}
	return jobKey.Sign(jobKey.Header(), string(wire.JSON(claims)))
}

// event is a line of the journal.
type event struct {
	ID, Action, Actor, Request, Repo, Tag, Digest, From, Object, Note string
}

// journal returns all of the journal, as somebody sees it.
func journal(t testing.TB, who ask.Caller) (all []event) {
	t.Helper()
	seen := map[string]bool{}
	for after := uint64(0); ; {
		page, last := events(t, who, after)
		for _, e := range page {
			if !seen[e.ID] {
				seen[e.ID] = true
				all = append(all, e)
			}
		}
		if len(page) < 1000 {
			return all
		}
		after = last
	}
}

// events returns a page of the journal after a number, as somebody sees it, and the last number in it.
func events(t testing.TB, who ask.Caller, after uint64) (all []event, last uint64) {
	t.Helper()
	last = after
	for line := range strings.Lines(string(who.Get(t, fmt.Sprintf("/api/v1/audit?after=%d", after)).Want(t, 200).Body)) {
		var l struct {
			Seq   uint64
			Event event
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("a line of the journal: %v", err)
		}
		all, last = append(all, l.Event), max(last, l.Seq)
	}
	return all, last
}

// by leaves of events those that somebody has done.
func by(all []event, who string) []event {
	return slices.DeleteFunc(slices.Clone(all), func(e event) bool { return e.Actor != who })
}

var taken atomic.Int64

// person is somebody of the file of users whom no other test knows, with roles given as role, path, role, path…
func person(t testing.TB, grants ...string) ask.Caller {
	t.Helper()
	n := taken.Add(1) - 1
	if n >= pool/2 { // the second half is for those who fail to log in
		t.Fatal("nobody is left in the file of users; make the pool larger")
	}
	who := user(fmt.Sprintf("person-%03d", n))
	for i := 0; i+1 < len(grants); i += 2 {
		grant(t, who, grants[i], grants[i+1])
	}
	return who
}

// area is a path that no other test uses, so deep that nothing below it is a component: there, no tag means anything.
func area(t testing.TB) string { return wire.Repo(t) + "/deep/down" }

// component is a component that no other test uses.
func component(t testing.TB) string { return wire.Repo(t) + "/app" }
