package rights

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// site is a component of which 1.0.0 was deployed in staging and in prod before 1.1.0 is.
type site struct{ path, component string }

// newSite makes a site.
func newSite(t *testing.T) *site {
	t.Helper()
	path := strings.ReplaceAll(wire.Repo(t), "/", "-")
	s := &site{path, path + "/group/app"}
	root.Owns(t, path+"/group")
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		root.PublishFile(t, s.component, version)
	}
	s.reset(t)
	return s
}

func (s *site) at(environment string) string { return s.path + "." + environment }

// reset deploys 1.1.0 everywhere, after 1.0.0.
func (s *site) reset(t *testing.T) {
	t.Helper()
	for _, environment := range []string{"staging", "prod"} {
		for _, version := range []string{"1.0.0", "1.1.0"} {
			root.Promote(t, s.component, version, s.at(environment))
		}
	}
}

// state is what root sees of the site.
func (s *site) state(t *testing.T) (all string) {
	t.Helper()
	for _, path := range []string{
		ask.Components + s.component + "/deployed", ask.Components + s.component + "/history", "/v2/" + s.component + "/tags/list",
		wire.ManifestPath(s.component, s.at("staging")), wire.ManifestPath(s.component, s.at("prod")),
	} {
		all += string(root.Get(t, path).Want(t, 200, 404).Body)
	}
	return all
}

// ways are all the ways in which somebody could say what is deployed in an environment.
func (s *site) ways(t *testing.T, environment string) map[string]request {
	t.Helper()
	body := root.Get(t, wire.ManifestPath(s.component, "generic-1.2.0")).Want(t, 200).Body
	header := []string{"Content-Type", ocispec.MediaTypeImageManifest}
	order := func(what, at, version string) request {
		members := map[string]any{"component": s.component, at: s.at(environment)}
		if version != "" {
			members["version"] = version
		}
		return posting(what, members)
	}
	return map[string]request{
		"promotes":              order("promotions", "to", "1.2.0"),
		"rolls back":            order("rollbacks", "at", ""),
		"rolls back to 1.0.0":   order("rollbacks", "at", "1.0.0"),
		"withdraws":             order("withdrawals", "at", ""),
		"tags":                  {"PUT", wire.ManifestPath(s.component, s.at(environment)), body, header},
		"tags through an alias": {"PUT", wire.ManifestPath("components/"+s.component, s.at(environment)), body, header},
	}
}

// TestPromotion_needs_its_role: jobs and developers say nothing of what is deployed, maintainers what is in staging, and domain leads what is in prod, too.
func TestPromotion_needs_its_role(t *testing.T) {
	s := newSite(t)
	bot := robot(t, s.path, s.path)
	grant(t, bot, "ci", s.path)
	may := map[string][2]bool{"maintainer": {true, false}, "domain-lead": {true, true}, "admin": {true, true}} // in staging, in prod
	for what, who := range map[string]ask.Caller{
		"a robot that is ci": bot, "reader": person(t, "reader", s.path), "node": person(t, "node", s.path), "developer": person(t, "developer", s.path),
		"ci": person(t, "ci", s.path), "maintainer": person(t, "maintainer", s.path), "domain-lead": person(t, "domain-lead", s.path),
		"auditor": person(t, "auditor", s.path), "admin": person(t, "admin", s.path), "a maintainer of another group": person(t, "maintainer", s.path+"/other", "reader", s.path),
		"a maintainer elsewhere": person(t, "maintainer", s.path+"x"),
	} {
		hidden := what == "auditor" || what == "a maintainer elsewhere"
		for i, environment := range []string{"staging", "prod"} {
			for how, r := range s.ways(t, environment) {
				before := s.state(t)
				got := who.Do(t, r.method, r.target, r.body, r.headers...)
				want := map[bool]int{true: 201, false: 403}[may[what][i]]
				if hidden {
					want = 404
				}
				if got.Status != want {
					t.Errorf("%s %s in %s: %d, want %d\n%s", what, how, environment, got.Status, want, got.Excerpt())
				}
				after := s.state(t)
				if (after != before) != (want == 201) {
					t.Errorf("%s %s in %s: %d, and whether anything has changed: %v", what, how, environment, got.Status, after != before)
				}
				if hidden && (strings.Contains(string(got.Body), "1.1.0") || codeOf(got) != "NAME_UNKNOWN") {
					t.Errorf("%s %s in %s is told %s", what, how, environment, got.Body)
				}
				if want == 201 {
					s.reset(t)
				}
			}
		}
	}
	// What is on record tells who did it.
	for _, e := range journal(t, root) {
		if e.Repo == s.component && strings.HasPrefix(e.Action, "component.") && e.Tag == s.at("prod") && strings.Contains(e.Actor, "robot") {
			t.Errorf("the journal says %+v", e)
		}
	}
}

// TestPromotion_force_governs: to leave others broken takes the right to govern, too; a forced order of who has just the right to promote does nothing.
func TestPromotion_force_governs(t *testing.T) {
	s := newSite(t)
	token := person(t, "maintainer", s.path).Token(t, "repository:"+s.component+":pull,push,delete,promote")
	for what, c := range map[string]struct {
		who  ask.Caller
		want int
	}{
		"a maintainer": {person(t, "maintainer", s.path), 201}, "a domain lead": {person(t, "domain-lead", s.path), 201}, "a job": {person(t, "ci", s.path), 403},
		"a maintainer's token to promote": {token, 401},
	} {
		for _, r := range []request{
			posting("promotions", map[string]any{"component": s.component, "version": "1.2.0", "to": s.at("staging"), "force": true}),
			posting("rollbacks", map[string]any{"component": s.component, "at": s.at("staging"), "force": true}),
			posting("withdrawals", map[string]any{"component": s.component, "at": s.at("staging"), "force": true}),
		} {
			before := s.state(t)
			got := c.who.Do(t, r.method, r.target, r.body, r.headers...)
			if got.Status != c.want || (s.state(t) != before) != (c.want == 201) {
				t.Errorf("%s: %s is %d, want %d\n%s", what, got.Asked, got.Status, c.want, got.Excerpt())
			}
			s.reset(t)
		}
	}
}

// TestPromotion_needs_its_word: a token that may pull and push says nothing of what is deployed, however it tries; with the word promote it does.
func TestPromotion_needs_its_word(t *testing.T) {
	s := newSite(t)
	lead := person(t, "domain-lead", s.path, "maintainer", s.path)
	bot := robot(t, s.path, s.path)
	grant(t, bot, "maintainer", s.path)
	grant(t, bot, "domain-lead", s.path)
	secret := func(name string, actions ...string) ask.Caller {
		var made struct{ Value string }
		scope := []any{map[string]any{"type": "repository", "name": name, "actions": actions}}
		root.Call(t, "POST", "robots/"+s.path+"/secrets", map[string]any{"scope": scope}).Want(t, 201).JSON(t, &made)
		return bot.With(ask.Basic(s.path, made.Value))
	}
	scope := func(actions string) string { return "repository:" + s.component + ":" + actions }
	everything := []string{scope("*"), scope("pull,push,delete,promote"), "registry:catalog:*"}
	for what, c := range map[string]struct {
		who ask.Caller
		may bool
	}{
		"no scope":                      {lead.Token(t), false},
		"pull":                          {lead.Token(t, scope("pull")), false},
		"pull,push":                     {lead.Token(t, scope("pull,push")), false},
		"pull,push,delete":              {lead.Token(t, scope("pull,push,delete"), "registry:catalog:*"), false},
		"promote of another":            {lead.Token(t, scope("pull,push"), "repository:"+s.component+"x:promote", "repository:"+s.path+"/group:promote", "repository:"+s.path+"/**:promote"), false},
		"Promote":                       {lead.Token(t, scope("pull,push,Promote,promote-last")), false},
		"promote":                       {lead.Token(t, scope("promote")), true},
		"pull,promote":                  {lead.Token(t, scope("pull,promote")), true},
		"pull, and promote":             {lead.Token(t, scope("pull"), scope("promote")), true},
		"*":                             {lead.Token(t, scope("*")), true},
		"a secret of pull, push":        {secret(s.path+"/**", "pull", "push", "delete"), false},
		"its tokens":                    {secret(s.path+"/**", "pull", "push", "delete").Token(t, everything...), false},
		"their tokens":                  {secret(s.path+"/**", "pull", "push").Token(t, everything...).Token(t, everything...), false},
		"a secret to promote":           {secret(s.path+"/**", "pull", "promote"), true},
		"its token":                     {secret(s.path+"/**", "pull", "promote").Token(t, scope("pull,promote")), true},
		"a secret to promote elsewhere": {secret(s.path+"/group/ap", "*"), false},
	} {
		for _, environment := range []string{"staging", "prod"} {
			for how, r := range s.ways(t, environment) {
				before := s.state(t)
				got := c.who.Do(t, r.method, r.target, r.body, r.headers...)
				want := map[bool]int{true: 201, false: 401}[c.may]
				if got.Status != want || (s.state(t) != before) != c.may {
					t.Errorf("%s: %s in %s: %d, want %d\n%s", what, how, environment, got.Status, want, got.Excerpt())
				}
				challenge := got.Header.Get("WWW-Authenticate")
				switch names := `scope="` + scope("pull,promote") + `",error="insufficient_scope"`; {
				case c.may && challenge != "":
					t.Errorf("%s: %s in %s: the challenge %q", what, how, environment, challenge)
				case !c.may && r.method == "PUT" && !strings.Contains(challenge, names):
					t.Errorf("%s: %s in %s: the challenge is %q, want %s", what, how, environment, challenge, names)
				case !c.may && r.method == "POST" && challenge != `Basic realm="entrepot"`:
					t.Errorf("%s: %s in %s: the challenge is %q", what, how, environment, challenge)
				}
				if got.Status == 201 {
					s.reset(t)
				}
			}
		}
	}
	// A client that follows the challenge gets there, and one who has not logged in is told the same scope.
	r := s.ways(t, "prod")["tags"]
	if got := anonymous.Do(t, r.method, r.target, r.body, r.headers...).Want(t, 401).Header.Get("WWW-Authenticate"); !strings.Contains(got, `scope="`+scope("pull,promote")+`"`) {
		t.Errorf("the challenge is %q", got)
	}
	lead.Docker(t, r.method, r.target, r.body, r.headers...).Want(t, 201)
	if now, _ := root.Deployed(t, s.component, s.at("prod")); now != "1.2.0" {
		t.Errorf("%s is deployed, want 1.2.0", now)
	}
	person(t, "developer", s.path).Docker(t, r.method, r.target, r.body, r.headers...).Want(t, 403)
	// What is left of a scope is what its owner may.
	for role, want := range map[string]string{
		"developer": `["pull","push","delete"]`, "ci": `["pull","push"]`, "reader": `["pull"]`, "domain-lead": `["pull","promote"]`, "maintainer": `["*"]`, "admin": `["*"]`,
	} {
		token, err := person(t, role, s.path).Mint(scope("*"))
		if err != nil {
			t.Fatal(err)
		}
		var access []struct{ Actions json.RawMessage }
		if err := json.Unmarshal(ask.ClaimsOf(t, token).Access, &access); err != nil || len(access) != 1 || string(access[0].Actions) != want {
			t.Errorf("%s: of * is left %s, want %s", role, ask.ClaimsOf(t, token).Access, want)
		}
	}
}

// TestPromotion_last_by_a_token: a maintainer's token of everything is good for staging, and for prod no more than the maintainer.
func TestPromotion_last_by_a_token(t *testing.T) {
	s := newSite(t)
	token := person(t, "maintainer", s.path).Token(t, "repository:"+s.component+":*")
	for environment, want := range map[string]int{"staging": 201, "prod": 403} {
		for how, r := range s.ways(t, environment) {
			if got := token.Do(t, r.method, r.target, r.body, r.headers...); got.Status != want {
				t.Errorf("%s in %s: %d, want %d\n%s", how, environment, got.Status, want, got.Excerpt())
			}
			s.reset(t)
		}
	}
}

// TestPush_does_not_deploy: no push sets a tag that says what is deployed, nor latest, whoever pushes, whatever it is, and by whichever road.
func TestPush_does_not_deploy(t *testing.T) {
	s := newSite(t)
	before := s.state(t)
	for _, who := range []ask.Caller{root, person(t, "maintainer", s.path), person(t, "developer", s.path), person(t, "ci", s.path)} {
		for _, tag := range []string{s.at("staging"), s.at("prod"), s.at("new"), "other.prod"} {
			for _, body := range [][]byte{ask.List(), root.Get(t, wire.ManifestPath(s.component, "generic-1.2.0")).Want(t, 200).Body} {
				var m struct{ MediaType string }
				_ = json.Unmarshal(body, &m)
				for _, query := range [][]string{{"tag", tag}, {"tag", "pr-1", "tag", tag}} {
					path := wire.With(wire.ManifestPath(s.component, digest.FromBytes(body)), query...)
					got := who.Do(t, "PUT", path, body, "Content-Type", m.MediaType)
					got.Refused(t, "DENIED", 403)
				}
			}
		}
		who.TryPut(t, s.component, "latest", ask.List()).Refused(t, "DENIED", 403)
		who.Do(t, "DELETE", wire.ManifestPath(s.component, s.at("prod")), nil).Refused(t, "DENIED", 403)
		// What the registry writes by itself is written by nobody.
		for _, repo := range []string{"apt/" + s.path + "-prod", "index/components", "index/" + s.path, "tree/" + s.path, "components/" + "components/" + s.path} {
			if got := who.TryPut(t, repo, "latest", ask.List()); got.Status != 403 && got.Status != 404 {
				t.Errorf("%s: %d, want 403\n%s", got.Asked, got.Status, got.Excerpt())
			}
		}
	}
	root.TryPut(t, "apt/"+s.path+"-prod", "latest", ask.List()).Refused(t, "DENIED", 403)
	// A tag of a file by way of a document's or a file's name is none, either.
	who := person(t, "developer", s.path)
	for _, name := range []string{s.at("prod"), "..%2f" + s.at("prod"), "latest"} {
		who.Do(t, "PUT", ask.VersionPath(s.component, s.at("prod"), "generic", name), []byte("x"), "Content-Type", wire.Octets).Want(t, 400, 404, 422)
	}
	after := s.state(t)
	if strings.ReplaceAll(after, `"pr-1",`, "") != strings.ReplaceAll(before, `"pr-1",`, "") {
		t.Errorf("what is deployed was\n%s\nand is\n%s", before, after)
	}
}

// TestOwners_are_set_by_who_governs: whoever may push, and not govern, sets the owner of a group, and its policy, by no road there is.
func TestOwners_are_set_by_who_governs(t *testing.T) {
	s := newSite(t)
	group := s.path + "/group"
	look := func() (all string) {
		for _, path := range []string{"ownership.yaml", "policy.yaml"} {
			got := root.Get(t, "/api/v1/groups/"+group+"/"+path)
			all += fmt.Sprint(got.Status)
			if got.Status == 200 {
				all += string(got.Body)
			}
		}
		return all + string(root.Get(t, "/v2/"+group+"/tags/list").Want(t, 200, 404).Body)[:1] + string(root.Get(t, "/tree/components/"+group+"/ownership.yaml").Body)
	}
	before := look()
	for _, role := range []string{"developer", "ci", "reader", "domain-lead"} {
		who := person(t, role, s.path)
		pushes := role == "developer" || role == "ci"
		for kind, text := range map[string][]byte{"ownership": ask.OwnershipOf("mallory"), "policy": ask.PolicyOf("mallory")} {
			body := ask.Document(kind, text)
			d := digest.FromBytes(body).String()
			root.Push(t, group, text)
			root.Push(t, group, []byte("{}"))
			header := []string{"Content-Type", ocispec.MediaTypeImageManifest}
			for _, path := range []string{
				wire.ManifestPath(group, kind), wire.ManifestPath("components/"+group, kind), wire.With(wire.ManifestPath(group, d), "tag", kind),
				wire.With(wire.ManifestPath(group, d), "tag", "x", "tag", kind),
			} {
				if got := who.Do(t, "PUT", path, body, header...); got.Status != 403 {
					t.Errorf("%s: %s is %d, want 403\n%s", role, got.Asked, got.Status, got.Excerpt())
				}
			}
			if pushes {
				// Under another name it is content like any other.
				who.Do(t, "PUT", wire.ManifestPath(group, d), body, header...).Want(t, 201)
				who.Do(t, "PUT", wire.ManifestPath(group, "mine-"+kind), body, header...).Want(t, 201)
				who.Do(t, "DELETE", wire.ManifestPath(group, kind), nil).Want(t, 403, 404)
			}
			if role != "domain-lead" { // who governs, and need not push for that
				who.PutYAML(t, "/api/v1/groups/"+group+"/"+kind+".yaml", text).Want(t, 403)
				who.PutYAML(t, "/api/v1/groups/"+group+"/"+kind+".yaml?force=true", text).Want(t, 403)
			}
		}
		if after := look(); after != before {
			t.Errorf("%s changed %s to %s", role, before, after)
		}
	}
	for _, role := range []string{"domain-lead", "maintainer"} {
		who := person(t, role, s.path)
		who.PutYAML(t, "/api/v1/groups/"+group+"/ownership.yaml", ask.OwnershipOf(role)).Want(t, 201)
		if !strings.Contains(look(), "owner_team: "+role) {
			t.Errorf("a %s sets the owner, and it is %s", role, look())
		}
	}
}
