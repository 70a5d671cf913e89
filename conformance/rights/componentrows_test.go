package rights

import (
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// componentRows are the samples for the routes of components, of their folders, of apt, and of the tags that say what is deployed.
var componentRows = []row{
	lists("components", "/api/v1/components?limit=3"),
	lists("versions", "/api/v1/versions?limit=3"),
	lists("findings", "/api/v1/findings?limit=3"),
	lists("places", "/api/v1/places"),
	lists("promotions", "/api/v1/promotions?limit=3"),
	lists("index-components", "/index/components.yaml"),
	lists("index-components-json", "/index/components.json"),
	lists("tree", "/tree/components/"),
	lists("apt", "/apt/"),
	lists("apt-suites", "/apt/dists/"),
	seen("commit", "/api/v1/commits/{commit}"),
	seen("place", "/api/v1/places/{staging}"),
	seen("promotion", "/api/v1/promotions/{move}"),
	seen("index-domain", "/index/domain-{suite}.yaml"),
	seen("index-domain-json", "/index/domain-{suite}.json"),

	pulls("component", "", "/api/v1/components/{c}"),
	pulls("component-latest", "", "/api/v1/components/{c}/latest"),
	pulls("component-resolve", "", "/api/v1/components/{c}/resolve/1.0.2"),
	pulls("component-resolve", "by commit", "/api/v1/components/{c}/resolve/commit-{commit}"),
	pulls("component-resolve", "by place", "/api/v1/components/{c}/resolve/{staging}"),
	pulls("component-deployed", "", "/api/v1/components/{c}/deployed"),
	pulls("component-history", "", "/api/v1/components/{c}/history"),
	pulls("component-dependencies", "", "/api/v1/components/{c}/dependencies?version=1.0.2"),
	pulls("component-dependents", "", "/api/v1/components/{c}/dependents"),
	pulls("component-findings", "", "/api/v1/components/{c}/findings"),
	pulls("component-versions", "", "/api/v1/components/{c}/versions"),
	pulls("version", "", "/api/v1/components/{c}/versions/1.0.2"),
	pulls("version-draft-metadata", "", "/api/v1/components/{c}/versions/1.0.2/draft/metadata.yaml"),
	pulls("version-draft-manifest", "", "/api/v1/components/{c}/versions/1.0.2/draft/deb/manifest.yaml"),
	pulls("version-metadata", "", "/api/v1/components/{c}/versions/1.0.2/metadata.yaml"),
	pulls("version-sums", "", "/api/v1/components/{c}/versions/1.0.2/SHA256SUMS"),
	pulls("version-manifest", "", "/api/v1/components/{c}/versions/1.0.2/deb/manifest.yaml"),
	pulls("version-file", "", "/api/v1/components/{c}/versions/1.0.2/generic/fw.bin"),
	pulls("version-file", "a package", "/api/v1/components/{c}/versions/1.0.2/deb/{deb}"),
	pulls("group-ownership", "", "/api/v1/groups/{repo}/ownership.yaml"),
	pulls("group-policy", "", "/api/v1/groups/{repo}/policy.yaml"),

	pulls("tree-component", "", "/tree/components/{c}/"),
	pulls("tree-component", "versions", "/tree/components/{c}/versions/"),
	pulls("tree-component", "a version", "/tree/components/{c}/versions/1.0.2/"),
	pulls("tree-component", "a file", "/tree/components/{c}/versions/1.0.2/generic/fw.bin"),
	pulls("tree-component", "its owner", "/tree/components/{c}/versions/1.0.2/ownership.yaml"),
	pulls("domain-tag", "", "/v2/{c}/manifests/{staging}"),

	// Here the path does not say what the right is about, and the endpoint asks.
	{route: "tree", method: "GET", variant: "a group", do: "list", also: pull, in: everywhere, there: 200, new: 404, make: about("GET", "/tree/components/{repo}/")},
	{route: "tree", method: "GET", variant: "an owner", do: "list", also: pull, in: everywhere, there: 200, new: 404,
		make: about("GET", "/tree/components/{repo}/ownership.yaml")},
	{route: "apt-pool", method: "GET", do: "asks-itself", also: pull, in: everywhere, there: 200, new: 404, make: about("GET", "/apt/pool/{c}/{deb}")},
	{route: "apt-pool", method: "GET", variant: "as it was", do: "asks-itself", also: pull, in: everywhere, there: 200, new: 404,
		make: about("GET", "/apt/snapshots/20260102T030405Z/pool/{c}/{deb}")},
	{route: "apt-snapshots", method: "GET", do: "asks-itself", also: pull, in: suites, there: 200, new: 404, make: about("GET", "/apt/snapshots/?suite={suite}")},
	{route: "apt-dists", method: "GET", do: "pull", in: suites, there: 200, make: about("GET", "/apt/dists/{suite}/InRelease")},
	{route: "apt-snapshot", method: "GET", do: "pull", in: suites, there: 200, make: about("GET", "/apt/snapshots/99990101T000000Z/dists/{suite}/Release")},
	{route: "apt-pin", method: "GET", do: "pull", in: suites, there: 200, make: about("GET", "/apt/pin/{suite}")},

	{route: "openapi", method: "GET", do: "knock", there: 200, make: plain("GET", "/api/v1/openapi.json")},
	{route: "schemas", method: "GET", do: "knock", there: 200, make: plain("GET", "/schemas/")},
	{route: "schema", method: "GET", do: "knock", there: 200, make: plain("GET", "/schemas/metadata.json")},
	{route: "apt-key", method: "GET", do: "knock", there: 200, make: plain("GET", "/apt/key.asc")},
	// Were the keys rotated in earnest, all suites would change beneath the others that look at them.
	{route: "apt-rotate", method: "POST", do: "manage", there: 400, make: plain("POST", "/apt/keys/rotate?revoke=perhaps")},
	{route: "apt-setup", method: "GET", do: "knock", there: 200, make: plain("GET", "/apt/setup.sh?suite=cloud-prod")},
	{route: "apt-unknown", method: "GET", do: "knock", there: 404, make: plain("GET", "/apt/what")},
	{route: "apt-upload-elsewhere", method: "PUT", do: "knock", there: 400, make: plain("PUT", "/apt/upload/x.deb")},

	{route: "validate", method: "POST", do: "enter", there: 200,
		make: func(*testing.T, *cell) request {
			return request{"POST", "/api/v1/validate/metadata", ask.MetadataOf("a/b/c"), yaml}
		}},
	{route: "validate", method: "POST", variant: "about a version", do: "enter", also: pull, in: everywhere, there: 200, new: 200,
		make: func(_ *testing.T, c *cell) request {
			return request{"POST", "/api/v1/validate/metadata?version=1.0.2&component=" + c.place.component(), ask.MetadataOf(c.place.component()), yaml}
		}},

	{route: "version-file", method: "PUT", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			return request{"PUT", ask.VersionPath(c.place.component(), c.number(), "generic/fw.bin"), wire.Random(30), octets}
		}},
	{route: "version-file", method: "PUT", variant: "a package", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			version := c.number()
			name, content := ask.Deb(c.place.component(), version)
			return request{"PUT", ask.VersionPath(c.place.component(), version, "deb", name), content, octets}
		}},
	{route: "apt-upload", method: "PUT", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			name, content := ask.Deb(c.place.component(), c.number())
			return request{"PUT", "/apt/upload/" + c.place.component() + "/" + name, content, octets}
		}},
	{route: "version-manifest", method: "PUT", do: "push", also: attach, in: everywhere, there: 201, new: 404,
		make: func(t *testing.T, c *cell) request {
			version, content := c.file(t)
			return request{"PUT", ask.VersionPath(c.place.component(), version, "generic/manifest.yaml"), ask.BuildOf("generic", version, content), yaml}
		}},
	{route: "version-metadata", method: "PUT", do: "push", also: attach, in: everywhere, there: 201, new: 404,
		make: func(t *testing.T, c *cell) request {
			version, _ := c.file(t)
			return request{"PUT", ask.VersionPath(c.place.component(), version, "metadata.yaml"), ask.MetadataOf(c.place.component()), yaml}
		}},
	{route: "manifest", method: "PUT", variant: "a version", do: "push", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request { return c.pushing(c.number(), ask.List()) }},
	{route: "manifest", method: "PUT", variant: "by digest with a domain tag", do: "push", in: everywhere,
		make: func(_ *testing.T, c *cell) request {
			body := ask.List()
			r := c.pushing(digest.FromBytes(body).String(), body)
			r.target = wire.With(r.target, "tag", c.place.domain()+".staging")
			return r
		},
		answer: func(*cell) want { return want{403, "DENIED"} }}, // what is deployed is not pushed

	{route: "group-ownership", method: "PUT", do: "govern", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			return request{"PUT", "/api/v1/groups/" + c.place.repo + "/ownership.yaml", ask.OwnershipOf("team-" + c.next()), yaml}
		}},
	{route: "group-policy", method: "PUT", do: "govern", in: everywhere, there: 201, new: 201,
		make: func(_ *testing.T, c *cell) request {
			return request{"PUT", "/api/v1/groups/" + c.place.repo + "/policy.yaml", ask.PolicyOf(c.next()), yaml}
		}},
	{route: "manifest", method: "PUT", variant: "an owner", do: "push", also: govern, in: everywhere, there: 201, new: 201,
		make: func(t *testing.T, c *cell) request {
			return c.governing(t, "ownership", ask.OwnershipOf("team-"+c.next()))
		}},
	{route: "manifest", method: "PUT", variant: "a policy", do: "push", also: govern, in: everywhere, there: 201, new: 201,
		make: func(t *testing.T, c *cell) request { return c.governing(t, "policy", ask.PolicyOf(c.next())) }},
	{route: "manifest", method: "PUT", variant: "an owner by digest", do: "push", also: govern, in: everywhere, there: 201, new: 201,
		make: func(t *testing.T, c *cell) request {
			r := c.governing(t, "ownership", ask.OwnershipOf("team-"+c.next()))
			r.target = wire.With(wire.ManifestPath(c.place.repo, digest.FromBytes(r.body)), "tag", "ownership")
			return r
		}},

	{route: "promotions", method: "POST", variant: "to staging", do: "enter", also: promote, in: everywhere, there: 201, new: 404, make: promoting("staging", nil)},
	{route: "promotions", method: "POST", variant: "to prod", do: "enter", also: promoteLast, in: everywhere, there: 201, new: 404, make: promoting("prod", nil)},
	{route: "promotions", method: "POST", variant: "by force", do: "enter", also: []string{"promote", "govern"}, in: everywhere, there: 201, new: 404,
		make: promoting("staging", map[string]any{"force": true})},
	{route: "domain-tag", method: "PUT", variant: "to staging", do: "promote", in: everywhere, make: tagging("staging"), answer: tagged},
	{route: "domain-tag", method: "PUT", variant: "to prod", do: "promote", also: promoteLast, in: everywhere, make: tagging("prod"), answer: tagged},
	{route: "rollbacks", method: "POST", variant: "in staging", do: "enter", also: promote, in: everywhere, there: 201, new: 404, make: taking("rollbacks", "staging")},
	{route: "rollbacks", method: "POST", variant: "in prod", do: "enter", also: promoteLast, in: everywhere, there: 201, new: 404, make: taking("rollbacks", "prod")},
	{route: "withdrawals", method: "POST", variant: "in staging", do: "enter", also: promote, in: everywhere, there: 201, new: 404, make: taking("withdrawals", "staging")},
	{route: "withdrawals", method: "POST", variant: "in prod", do: "enter", also: promoteLast, in: everywhere, there: 201, new: 404, make: taking("withdrawals", "prod")},
	{route: "domain-tag", method: "DELETE", do: "delete-own", in: everywhere,
		make: func(t *testing.T, c *cell) request {
			c.deployed(t, "staging")
			return about("DELETE", "/v2/{mover}/manifests/{staging}")(t, c)
		},
		answer: func(c *cell) want {
			if c.place.there {
				return want{403, "DENIED"} // it is withdrawn
			}
			return want{404, ""}
		}},
}

// What endpoints ask for themselves.
var pull, attach, govern, promote, promoteLast = []string{"pull"}, []string{"attach"}, []string{"govern"}, []string{"promote"}, []string{"promote-last"}

// suites are the places of which there is a suite, or could be.
var suites = accounts

var yaml, octets = []string{"Content-Type", "application/yaml"}, []string{"Content-Type", wire.Octets}

// about makes a request about the place, its component, where that is deployed, and what else it is known by.
func about(method, target string) func(*testing.T, *cell) request {
	return func(_ *testing.T, c *cell) request {
		deb, _ := ask.Deb(c.place.component(), "1.0.2")
		names := strings.NewReplacer("{repo}", c.place.repo, "{c}", c.place.component(), "{mover}", c.place.mover(), "{staging}", c.place.at("staging"), "{suite}", c.place.suite("prod"),
			"{commit}", c.place.commit(), "{move}", c.move(), "{deb}", deb)
		return request{method: method, target: names.Replace(target)}
	}
}

// lists is a row of a list that is there for everybody.
func lists(route, target string) row {
	return row{route: route, method: "GET", do: "list", there: 200, make: plain("GET", target)}
}

// seen is a row of something that is there for whoever may pull what it is about.
func seen(route, target string) row {
	return row{route: route, method: "GET", do: "list", in: accounts, make: about("GET", target),
		answer: func(c *cell) want {
			if c.place.there && c.place.inside && table[c.role]["pull"] {
				return want{200, ""}
			}
			return want{404, "UNKNOWN"}
		}}
}

// pulls is a row of what whoever may pull may read.
func pulls(route, variant, target string) row {
	return row{route: route, method: "GET", variant: variant, do: "pull", in: everywhere, there: 200, new: 404, make: about("GET", target)}
}

// pushing is putting for the place's component.
func (c *cell) pushing(ref string, body []byte) request {
	return request{"PUT", wire.ManifestPath(c.place.component(), ref), body, []string{"Content-Type", ocispec.MediaTypeImageIndex}}
}

// governing pushes a document of the group as oras does; what it is made of is there before, where anything is.
func (c *cell) governing(t *testing.T, kind string, text []byte) request {
	if c.place.name != "absent" {
		c.worker().Push(t, c.place.repo, text)
		c.worker().Push(t, c.place.repo, []byte("{}"))
	}
	return request{"PUT", wire.ManifestPath(c.place.repo, kind), ask.Document(kind, text), []string{"Content-Type", ocispec.MediaTypeImageManifest}}
}

func posting(what string, order map[string]any) request {
	return request{"POST", "/api/v1/" + what, wire.JSON(order), []string{"Content-Type", "application/json"}}
}

// promoting orders the version that is not deployed to be.
func promoting(environment string, more map[string]any) func(*testing.T, *cell) request {
	return func(t *testing.T, c *cell) request {
		order := map[string]any{"component": c.place.mover(), "version": c.other(t, environment), "to": c.place.domain() + "." + environment}
		maps.Copy(order, more)
		return posting("promotions", order)
	}
}

// tagging does the same by a tag.
func tagging(environment string) func(*testing.T, *cell) request {
	return func(t *testing.T, c *cell) request {
		body := ask.List()
		if c.place.there {
			body = root.Get(t, wire.ManifestPath(c.place.mover(), "generic-"+c.other(t, environment))).Want(t, 200).Body
		}
		return request{"PUT", wire.ManifestPath(c.place.mover(), c.place.domain()+"."+environment), body, []string{"Content-Type", ocispec.MediaTypeImageManifest}}
	}
}

// tagged is what comes of it.
func tagged(c *cell) want {
	if c.place.there {
		return want{201, ""}
	}
	return want{403, "DENIED"} // there is no such version
}

// taking orders something to be taken back.
func taking(what, environment string) func(*testing.T, *cell) request {
	return func(t *testing.T, c *cell) request {
		c.deployed(t, environment)
		return posting(what, map[string]any{"component": c.place.mover(), "at": c.place.domain() + "." + environment})
	}
}
