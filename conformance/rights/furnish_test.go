package rights

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/rights/ask"
)

// A world's repositories are groups, and each that is there has two components: one with everything, documents, a package, and what is deployed in staging and
// prod; and one whose versions are just files, so that they can be deployed one after the other without a suite of apt, which has one snapshot a second.

// component is the place's.
func (p place) component() string { return p.repo + "/app" }

// mover is the other one, with two good versions.
func (p place) mover() string { return p.repo + "/mov" }

// domain is the place's, which is the team's or another's.
func (p place) domain() string {
	domain, _, _ := strings.Cut(p.repo, "/")
	return domain
}

// at is an environment of the place's domain; in that of an absent one, whose name is as long, nothing was ever deployed.
func (p place) at(environment string) string { return p.domain() + "." + p.environment(environment) }

// suite is what apt calls it.
func (p place) suite(environment string) string {
	return p.domain() + "-" + p.environment(environment)
}

func (p place) environment(name string) string {
	if !p.there {
		return name[:len(name)-1] + "x"
	}
	return name
}

// commit is what the place's component was built from.
func (p place) commit() string { return digest.FromString(p.component()).Encoded()[:40] }

// firmware is what its file holds.
func (p place) firmware() []byte { return []byte("firmware of " + p.component()) }

// furnish publishes what is in the team's own place and in the foreign one.
func (w *world) furnish(t testing.TB) {
	t.Helper()
	w.moves = map[string]string{}
	for _, where := range []string{"own", "foreign"} {
		p := w.place(where)
		root.Push(t, p.repo, w.layer)
		w.kept = root.Put(t, p.repo, "keep", ask.Image(w.layer))
		c := p.component()
		root.Owns(t, p.repo)
		root.PutYAML(t, "/api/v1/groups/"+p.repo+"/policy.yaml", ask.PolicyOf("first")).Want(t, 201)
		root.PushFile(t, c, "1.0.2", p.commit(), p.firmware())
		root.PutYAML(t, ask.VersionPath(c, "1.0.2", "generic/manifest.yaml"), ask.BuildOf("generic", "1.0.2", p.firmware())).Want(t, 201)
		root.Publish(t, c, "1.0.2")
		w.moves[where] = root.Promote(t, c, "1.0.2", p.at("staging"))
		root.Promote(t, c, "1.0.2", p.at("prod"))
		for _, version := range []string{"1.0.2", "1.0.3"} {
			root.PublishFile(t, p.mover(), version)
		}
		for _, environment := range []string{"staging", "prod"} {
			root.Promote(t, p.mover(), "1.0.2", p.at(environment))
		}
	}
}

// scopes are all that a token of the team could be good for.
func (w *world) scopes() []string {
	all := []string{"registry:catalog:*"}
	for _, name := range []string{"own", "foreign", "absent"} {
		p := w.place(name)
		for _, repo := range []string{p.repo, p.component(), p.mover(), "apt/" + p.suite("prod")} {
			all = append(all, "repository:"+repo+":pull,push,delete,promote")
		}
	}
	return all
}

// move is the id of a promotion of the place's component.
func (c *cell) move() string {
	if id := c.moves[c.place.name]; id != "" {
		return id
	}
	return strings.Repeat("0", max(20, len(c.moves["foreign"])))
}

// file pushes a new version without documents, if there is a component, and returns its number and its content.
func (c *cell) file(t *testing.T) (version string, content []byte) {
	version, content = c.number(), []byte("file "+c.next())
	if c.place.there {
		c.worker().Do(t, "PUT", ask.VersionPath(c.place.component(), version, "generic/fw.bin"), content).Want(t, 201)
	}
	return version, content
}

// number is that of a version which is not there yet.
func (c *cell) number() string {
	c.next()
	return fmt.Sprintf("1.1.%d", 1000+c.n)
}

// other is the one of the two good versions that is not deployed.
func (c *cell) other(t *testing.T, environment string) string {
	if c.place.there {
		if now, _ := root.Deployed(t, c.place.mover(), c.place.at(environment)); now == "1.0.3" {
			return "1.0.2"
		}
	}
	return "1.0.3"
}

// deployed sees to it that there is something to take back.
func (c *cell) deployed(t *testing.T, environment string) {
	if !c.place.there {
		return
	}
	component, at := c.place.mover(), c.place.at(environment)
	now, before := root.Deployed(t, component, at)
	if now == "" {
		root.Promote(t, component, "1.0.2", at)
	}
	if !before {
		root.Promote(t, component, c.other(t, environment), at)
	}
}

// below are the repositories below a path, as root sees them.
func below(t testing.TB, path string) (all []string) {
	t.Helper()
	last := path
	for range 1000 {
		var page struct{ Repositories []string }
		root.Get(t, "/v2/_catalog?n=50&last="+last).Want(t, 200).JSON(t, &page)
		for _, repo := range page.Repositories {
			if !strings.HasPrefix(repo, path) {
				return all
			}
			all = append(all, repo)
		}
		if len(page.Repositories) == 0 {
			return all
		}
		last = page.Repositories[len(page.Repositories)-1]
	}
	t.Fatal("a catalog without an end")
	return nil
}

// lookAtComponents notes all that root sees of the two components and of their groups.
func (w *world) lookAtComponents(t *testing.T, s state, note func(path, header string)) {
	t.Helper()
	for _, where := range []string{"own", "foreign"} {
		p := w.place(where)
		path := "/v2/_catalog?last=" + p.domain()
		s[path] = fmt.Sprint(below(t, p.domain()+"/"))
		for _, repo := range []string{p.repo, p.component(), p.mover()} {
			note("/v2/"+repo+"/tags/list", "")
		}
		for _, what := range []string{"/versions?limit=1000", "/findings?limit=1000"} {
			note(ask.Components+p.component()+what, "")
		}
		for _, what := range []string{"ownership.yaml", "policy.yaml"} {
			note("/api/v1/groups/"+p.repo+"/"+what, "")
		}
		for _, environment := range []string{"staging", "prod"} {
			note("/v2/"+p.mover()+"/manifests/"+p.at(environment), "Docker-Content-Digest")
		}
		note("/api/v1/promotions?place="+p.at("staging"), "")
		note("/api/v1/promotions?place="+p.at("prod"), "")
		note("/apt/dists/"+p.suite("prod")+"/InRelease", "Etag")
	}
}
