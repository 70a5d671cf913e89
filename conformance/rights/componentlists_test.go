package rights

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// estate is a domain with components, some of which are shown to somebody: those whose names end with "-open".
type estate struct {
	domain, commit string
	shown, hidden  []string
	moves          map[string]string
}

// found makes an estate. All of it is deployed in staging, what is hidden in test, too, and so is one more hidden component in prod.
func foundEstate(t *testing.T) *estate {
	t.Helper()
	e := &estate{domain: strings.ReplaceAll(wire.Repo(t), "/", "-"), moves: map[string]string{}}
	e.commit = digest.FromString(e.domain).Encoded()[:40]
	for _, name := range []string{
		"aa/first-shut", "aa/second-open", "bb/third-shut", "bb/needed", "cc/fourth-open", "cc/fifth-shut", "dd/sixth-open", "dd/last-shut",
	} {
		c := e.domain + "/" + name
		switch {
		case strings.HasSuffix(name, "-open"):
			e.shown = append(e.shown, c)
		case strings.HasSuffix(name, "-shut"):
			e.hidden = append(e.hidden, c)
		} // what is needed is called so by who needs it

		group := c[:strings.LastIndexByte(c, '/')]
		root.Owns(t, group)
		root.PushFile(t, c, "0.9.0", e.commit, []byte(c)) // without documents: there is something to find
		needs := ""
		switch name {
		case "cc/fourth-open":
			needs = "dependencies: [\"" + e.domain + "/bb/needed >=1\", \"" + e.domain + "/aa/second-open >=1\"]\n"
		case "cc/fifth-shut", "dd/sixth-open":
			needs = "dependencies: [\"" + e.domain + "/aa/second-open >=1\"]\n"
		}
		root.Publish(t, c, "1.0.0", needs)
		e.moves[c] = root.Promote(t, c, "1.0.0", e.domain+".staging")
	}
	for _, c := range []string{e.hidden[0], e.hidden[1]} {
		root.Promote(t, c, "1.0.0", e.domain+".test")
	}
	slices.Sort(e.shown)
	slices.Sort(e.hidden)
	return e
}

// pages reads a list to its end, page by page, in whichever of the forms it has, and returns all that it told: bodies, and links.
func pages(t *testing.T, who ask.Caller, target string) (all string) {
	t.Helper()
	for range 100 {
		got := who.Do(t, "GET", target, nil, "Accept", "application/json").Want(t, 200)
		link := got.Header.Get("Link")
		all += string(got.Body) + link + "\n"
		if link == "" {
			return all
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		base, _ := url.Parse(target)
		to, err := base.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		all += opened(to.Query().Get("after"))
		target = to.String()
	}
	t.Fatalf("%s: a list without an end", target)
	return ""
}

// opened is what a cursor may hide.
func opened(cursor string) (all string) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding, base64.RawURLEncoding} {
		if text, err := e.DecodeString(cursor); err == nil {
			all += string(text) + "\n"
		}
	}
	return all
}

// names are those of components that are told, by the last part of their names.
func (e *estate) names(told string, of []string) (all []string) {
	for _, c := range of {
		if strings.Contains(told, c[strings.LastIndexByte(c, '/')+1:]) || strings.Contains(told, e.moves[c]) {
			all = append(all, c)
		}
	}
	return all
}

// TestComponentLists_tell_only_what_one_may_pull, page by page, in every list there is.
func TestComponentLists_tell_only_what_one_may_pull(t *testing.T) {
	e := foundEstate(t)
	who := person(t)
	for _, c := range e.shown {
		grant(t, who, "reader", c)
	}
	grant(t, who, "auditor", e.hidden[0]) // who pulls nothing
	nobody := person(t)
	one := who.Token(t, "registry:catalog:*", "repository:"+e.shown[0]+":pull")
	all := append(slices.Clone(e.shown), e.hidden...)
	domain, staging := e.domain, e.domain+".staging"
	for target, shows := range map[string][]string{
		"/api/v1/components?domain=" + domain:                        e.shown,
		"/api/v1/components?limit=1&domain=" + domain:                e.shown,
		"/api/v1/components?sort=newest&limit=1&q=" + domain:         e.shown,
		"/api/v1/components?limit=2&env=staging&q=" + domain:         e.shown,
		"/api/v1/versions?domain=" + domain:                          e.shown,
		"/api/v1/versions?limit=1&q=" + domain:                       e.shown,
		"/api/v1/versions?limit=1&sort=newest&q=" + domain:           e.shown,
		"/api/v1/versions?commit=" + e.commit:                        e.shown,
		"/api/v1/versions?limit=1&good=false&q=" + domain:            e.shown,
		"/api/v1/commits/" + e.commit:                                e.shown,
		"/api/v1/commits/" + e.commit + "?limit=1":                   e.shown,
		"/api/v1/commits/" + e.commit[:12]:                           e.shown,
		"/api/v1/promotions?limit=1&place=" + staging:                e.shown,
		"/api/v1/promotions?by=user:root&place=" + staging:           e.shown,
		"/api/v1/places/" + staging:                                  e.shown,
		"/api/v1/places/" + staging + "?limit=1":                     e.shown,
		"/index/domain-" + domain + "-staging.yaml":                  e.shown,
		"/index/domain-" + domain + "-staging.json":                  e.shown,
		"/tree/components/" + domain + "/aa/":                        e.shown[:1],
		"/tree/components/" + domain + "/cc/":                        e.shown[1:2],
		ask.Components + e.shown[0] + "/dependents":                  {e.shown[0], e.shown[1], e.shown[2]},
		ask.Components + e.shown[0] + "/dependents?limit=1":          {e.shown[0], e.shown[1], e.shown[2]},
		ask.Components + e.shown[0] + "/history?limit=1":             e.shown[:1],
		ask.Components + e.shown[0] + "/versions?commit=" + e.commit: e.shown[:1],
	} {
		for what, c := range map[string]struct {
			who  ask.Caller
			want []string
		}{"somebody": {who, shows}, "root": {root, nil}} {
			told := pages(t, c.who, target)
			if got := e.names(told, all); c.want != nil && !slices.Equal(got, shows) {
				t.Errorf("%s: %s is told of %q, want %q\n%s", target, what, got, shows, told)
			}
			if what == "root" && !strings.Contains(target, e.shown[0]) && !strings.Contains(target, "/tree/") && len(e.names(told, e.hidden)) != len(e.hidden) {
				t.Errorf("%s: root is told of %q, so that it does not show what is hidden", target, e.names(told, all))
			}
		}
	}
	// Lists of the whole registry, of which other tests have parts, too.
	for _, target := range []string{
		"/api/v1/components?limit=500", "/api/v1/versions?limit=500", "/api/v1/findings?limit=500", "/api/v1/promotions?limit=500", "/api/v1/places", "/index/components.yaml",
		"/index/components.json", "/tree/components/", "/apt/", "/apt/dists/",
	} {
		told := pages(t, who, target)
		if got := e.names(told, e.hidden); len(got) > 0 {
			t.Errorf("%s tells of %q", target, got)
		}
		switch {
		case strings.HasPrefix(target, "/apt/"): // suites are for whoever may pull those
			if strings.Contains(told, domain) {
				t.Errorf("%s tells of a suite: %s", target, told)
			}
		case !strings.Contains(told, domain):
			t.Errorf("%s tells nothing of %s: %s", target, domain, told)
		case strings.Contains(told, domain+".test") || strings.Contains(told, domain+"-test"):
			t.Errorf("%s tells of a place where only hidden components are deployed: %s", target, told)
		}
		if strings.Contains(told, domain+"/bb") {
			t.Errorf("%s tells of a group that has only hidden components", target)
		}
		if told := pages(t, nobody, target); strings.Contains(told, domain) || len(e.names(told, all)) > 0 {
			t.Errorf("%s tells who may pull nothing: %s", target, told)
		}
		told = pages(t, one, target)
		if got := e.names(told, all); len(got) > 1 || len(got) == 1 && got[0] != e.shown[0] {
			t.Errorf("%s tells a token of %s of %q", target, e.shown[0], got)
		}
	}
	// What only has to do with hidden components is not there, as what never was.
	for hidden, absent := range map[string]string{
		"/api/v1/places/" + domain + ".test":                         "/api/v1/places/" + domain + ".none",
		"/index/domain-" + domain + "-test.yaml":                     "/index/domain-" + domain + "-none.yaml",
		"/index/domain-" + domain + "-test.json":                     "/index/domain-" + domain + "-none.json",
		"/api/v1/promotions/" + e.moves[e.hidden[0]]:                 "/api/v1/promotions/" + strings.Repeat("0", len(e.moves[e.hidden[0]])),
		"/tree/components/" + domain + "/bb/":                        "/tree/components/" + domain + "/xx/",
		"/tree/components/" + domain + "/bb/ownership.yaml":          "/tree/components/" + domain + "/xx/ownership.yaml",
		"/api/v1/groups/" + domain + "/bb/ownership.yaml":            "/api/v1/groups/" + domain + "/xx/ownership.yaml",
		"/api/v1/components?q=third-shut":                            "/api/v1/components?q=third-xxxx",
		"/api/v1/versions?component=" + e.hidden[1]:                  "/api/v1/versions?component=" + domain + "/xx/xxxxx-xxxx",
		"/api/v1/promotions?component=" + e.hidden[1]:                "/api/v1/promotions?component=" + domain + "/xx/xxxxx-xxxx",
		"/api/v1/promotions?place=" + domain + ".test":               "/api/v1/promotions?place=" + domain + ".none",
		"/api/v1/components?group=" + domain + "/bb":                 "/api/v1/components?group=" + domain + "/xx",
		"/apt/dists/" + domain + "-test/InRelease":                   "/apt/dists/" + domain + "-none/InRelease",
		"/apt/snapshots/?suite=" + domain + "-test":                  "/apt/snapshots/?suite=" + domain + "-none",
		"/apt/setup.sh?suite=" + domain + "-test":                    "/apt/setup.sh?suite=" + domain + "-none",
		ask.Components + e.hidden[1] + "/resolve/1.0.0":              ask.Components + domain + "/xx/xxxxx-xxxx/resolve/1.0.0",
		ask.Components + e.shown[0] + "/resolve/" + domain + ".test": ask.Components + e.shown[0] + "/resolve/" + domain + ".none",
	} {
		for _, c := range []ask.Caller{who, nobody, one} {
			got, none := c.Get(t, hidden), c.Get(t, absent)
			// The name of what never was is as long, and stands for that of what is hidden.
			names := strings.NewReplacer(".none", ".test", "-none", "-test", "third-xxxx", "third-shut", absent, hidden, "/xxxxx-xxxx", "/third-shut", "/xx", "/bb",
				none.Header.Get("X-Request-Id"), got.Header.Get("X-Request-Id"), strings.Repeat("0", len(e.moves[e.hidden[0]])), e.moves[e.hidden[0]])
			if got.Status != none.Status || string(got.Body) != names.Replace(string(none.Body)) {
				t.Errorf("%s: %d %s\nand what never was: %d %s", hidden, got.Status, got.Body, none.Status, none.Body)
			}
		}
	}
	// A time of the past shows no more than now.
	for _, target := range []string{
		"/index/components.yaml?at=2999-01-01", "/api/v1/components?limit=500&at=2999-01-01", "/api/v1/places/" + staging + "?at=2999-01-01", "/index/domain-" + domain + "-staging.yaml?at=2999-01-01",
	} {
		if got := e.names(pages(t, who, target), e.hidden); len(got) > 0 {
			t.Errorf("%s tells of %q", target, got)
		}
	}
	// What is needed of others: as it was written, by who may read it, and nothing of which component that is.
	told := pages(t, who, ask.Components+e.shown[1]+"/dependencies")
	if strings.Contains(told, `"needs":"`+domain+"/bb") || strings.Count(told, `"by"`) != 1 || !strings.Contains(told, `"needs":"`+e.shown[0]) {
		t.Errorf("dependencies: %s", told)
	}
}

// TestIndex_whole: whoever may pull "index" sees all components in the index, and nowhere else.
func TestIndex_whole(t *testing.T) {
	e := foundEstate(t)
	who := person(t, "reader", "index")
	for _, target := range []string{"/index/components.yaml", "/index/components.json", "/index/domain-" + e.domain + "-staging.yaml", "/index/domain-" + e.domain + "-staging.json"} {
		told := pages(t, who, target)
		if got := e.names(told, append(slices.Clone(e.shown), e.hidden...)); len(got) != len(e.shown)+len(e.hidden) {
			t.Errorf("%s tells of %q, want all", target, got)
		}
		token := who.Token(t, "registry:catalog:*") // which is good for less
		if got := token.Get(t, target); strings.Contains(string(got.Body), e.domain+"/") {
			t.Errorf("%s tells a token that is not for it: %s", target, got.Body)
		}
	}
	for _, target := range []string{"/api/v1/components?limit=500", "/api/v1/places", "/api/v1/promotions?limit=500", "/tree/components/"} {
		if told := pages(t, who, target); strings.Contains(told, e.domain) {
			t.Errorf("%s: %s", target, told)
		}
	}
	who.Get(t, ask.Components+e.shown[0]).Want(t, 404)
}

// TestSuites_give_their_packages: whoever may pull a suite, and no component, installs what the suite lists, and reads nothing else of the components.
func TestSuites_give_their_packages(t *testing.T) {
	e := foundEstate(t)
	host := person(t, "node", "apt/"+e.domain+"-test")
	name := strings.ReplaceAll(e.domain, "/", "-")
	bot := robot(t, name, "apt-hosts")
	grant(t, bot, "reader", "**")
	var made struct{ Value string }
	root.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{"scope": []any{
		map[string]any{"type": "repository", "name": "apt/" + e.domain + "-test", "actions": []string{"pull"}},
	}}).Want(t, 201).JSON(t, &made)
	for what, c := range map[string]struct {
		who  ask.Caller
		none int // for what is not listed
	}{
		"a host": {host, 404}, "a host's token": {host.Token(t, "repository:apt/"+e.domain+"-test:pull"), 404},
		"a secret of a suite alone": {bot.With(ask.Basic("robot$"+name, made.Value)), 401},
	} {
		c.who.Get(t, "/apt/dists/"+e.domain+"-test/InRelease").Want(t, 200)
		for _, component := range append(slices.Clone(e.shown), e.hidden...) {
			deb, _ := ask.Deb(component, "1.0.0")
			listed := component == e.domain+"/aa/first-shut" || component == e.domain+"/bb/third-shut"
			want := map[bool]int{true: 200, false: c.none}[listed]
			if got := c.who.Get(t, "/apt/pool/"+component+"/"+deb); got.Status != want {
				t.Errorf("%s: %s is %d, want %d\n%s", what, got.Asked, got.Status, want, got.Excerpt())
			}
			for _, path := range []string{
				ask.Components + component, ask.VersionPath(component, "1.0.0", "deb", deb), "/tree/components/" + component + "/", "/v2/" + component + "/tags/list",
				"/apt/pool/" + component + "/other_1.0.0_amd64.deb", "/apt/dists/" + e.domain + "-staging/InRelease",
			} {
				if got := c.who.Get(t, path); got.Status != c.none {
					t.Errorf("%s: %s is %d, want %d\n%s", what, got.Asked, got.Status, c.none, got.Excerpt())
				}
			}
		}
	}
	// What the suite has listed once is still given, since hosts fetch what they read of earlier; what it never listed is not.
	once := e.domain + "/aa/first-shut"
	root.Publish(t, once, "2.0.0")
	root.Order(t, "withdrawals", "component", once, "at", e.domain+".test").Want(t, 201)
	for version, want := range map[string]int{"1.0.0": 200, "2.0.0": 404} {
		deb, _ := ask.Deb(once, version)
		if got := host.Get(t, "/apt/pool/"+once+"/"+deb); got.Status != want {
			t.Errorf("%s: %d, want %d", got.Asked, got.Status, want)
		}
	}
}

// TestValidate_of_what_is_hidden: a proposed file is told the same of a component that one may not see, of a version that it has and of one that it has not,
// and of a component that is not there.
func TestValidate_of_what_is_hidden(t *testing.T) {
	e := foundEstate(t)
	who := person(t, "reader", e.shown[0])
	validate := func(who ask.Caller, kind, component, version, place string) (int, string) {
		t.Helper()
		member := map[string]string{"components": "latest_version", "domain": "version"}[kind]
		text := "components:\n- name: " + e.shown[0] + "\n  " + member + ": 1.0.0\n- name: " + component + "\n  " + member + ": " + version + "\n"
		query := ""
		if kind == "domain" {
			query = "?place=" + e.domain + "." + place
		}
		got := who.Do(t, "POST", "/api/v1/validate/"+kind+query, []byte(text), yaml...)
		return got.Status, strings.NewReplacer(component, "(a component)", version, "(a version)", got.Header.Get("X-Request-Id"), "", place, "").Replace(string(got.Body))
	}
	for _, kind := range []string{"components", "domain"} {
		for _, place := range []string{"staging", "test", "none"} {
			absent, none := validate(who, kind, e.domain+"/xx/absent", "1.0.0", place)
			if absent != 422 {
				t.Errorf("%s: what is not there is valid: %d %s", kind, absent, none)
			}
			for _, hidden := range e.hidden {
				for _, version := range []string{"1.0.0", "0.9.0", "7.7.7"} { // good, not good, not there
					if status, told := validate(who, kind, hidden, version, place); status != absent || told != none {
						t.Errorf("%s: of %s %s is told %d %s\nand of what is not there %d %s", kind, hidden, version, status, told, absent, none)
					}
				}
			}
		}
		if status, told := validate(root, kind, e.hidden[0], "1.0.0", "staging"); status != 200 {
			t.Errorf("%s: root is told %d %s", kind, status, told)
		}
	}
}
