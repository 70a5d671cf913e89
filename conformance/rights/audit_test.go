package rights

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/rights/ask"
)

// TestAudit_tells_each_the_own_part: what one has done oneself, what happened where one may audit, or everything.
func TestAudit_tells_each_the_own_part(t *testing.T) {
	path := area(t)
	inside, beside := path+"/app", path+"x/app"
	developer := person(t, "developer", path, "developer", path+"x")
	other := person(t, "developer", path, "developer", path+"x")
	for _, who := range []ask.Caller{developer, other} {
		for _, repo := range []string{inside, beside} {
			who.Put(t, repo, "tag-of-"+who.Name[len("user:"):], ask.List())
		}
	}
	root.Call(t, "POST", "robots", map[string]any{"name": strings.ReplaceAll(path, "/", "-"), "on": path}).Want(t, 201)
	all := func(event) bool { return true }
	on := func(path string) func(event) bool {
		return func(e event) bool { return e.Repo == path || strings.HasPrefix(e.Repo, path+"/") }
	}
	own := func(who ask.Caller) func(event) bool { return func(e event) bool { return e.Actor == who.Name } }
	either := func(a, b func(event) bool) func(event) bool { return func(e event) bool { return a(e) || b(e) } }
	maintainer, ci, maker := person(t, "maintainer", path), person(t, "ci", path), person(t, "maintainer", path)
	ci.Put(t, inside, "built", ask.List())
	maker.Call(t, "POST", "grants", map[string]any{"who": "user:friend", "role": "reader", "on": inside}).Want(t, 201)
	for _, c := range []struct {
		what string
		who  ask.Caller
		sees func(event) bool
	}{
		{"a developer", developer, own(developer)}, {"another", other, own(other)}, {"a job", ci, own(ci)}, {"a maintainer who did nothing", maintainer, on(path)},
		{"a maintainer", maker, either(on(path), own(maker))},
		{"a lead", person(t, "domain-lead", path), on(path)}, {"an auditor of the path", person(t, "auditor", path), on(path)},
		{"an auditor of a repository", person(t, "auditor", inside), on(inside)},
		{"an auditor of nothing that is there", person(t, "auditor", path+"/ap"), on(path + "/ap")},
		{"an auditor of everything", person(t, "auditor", "**"), all}, {"an admin of the path", person(t, "admin", path), on(path)}, {"root", root, all},
		{"a developer who audits", person(t, "developer", path, "auditor", beside), on(beside)},
	} {
		everything := journal(t, root)
		got, want := journal(t, c.who), slices.DeleteFunc(slices.Clone(everything), func(e event) bool { return !c.sees(e) })
		ids := func(all []event) (ids []string) {
			for _, e := range all {
				ids = append(ids, e.ID)
			}
			slices.Sort(ids)
			return ids
		}
		// Others are at work meanwhile, so there may be more at the end.
		saw, should := ids(got), ids(want)
		if len(saw) < len(should) || !slices.Equal(saw[:len(should)], should) {
			t.Errorf("%s sees %d events, want %d", c.what, len(saw), len(should))
		}
		for _, e := range got {
			if !c.sees(e) {
				t.Errorf("%s sees %+v", c.what, e)
			}
		}
	}
	for _, who := range []ask.Caller{person(t), person(t, "reader", path), person(t, "node", "**")} {
		who.Get(t, "/api/v1/audit").Refused(t, "DENIED", 403)
	}
	anonymous.Get(t, "/api/v1/audit").Refused(t, "UNAUTHORIZED", 401)
}

// TestAudit_pages_tell_nothing_of_others: wherever a page begins and however long it may be, there is nothing on it and nothing around it that is not the
// reader's.
func TestAudit_pages_tell_nothing_of_others(t *testing.T) {
	path := area(t)
	mine, theirs := person(t, "developer", path), person(t, "developer", path)
	for i := range 5 {
		mine.Put(t, path+"/app", fmt.Sprint("mine-", i), ask.List())
		theirs.Put(t, path+"/app", fmt.Sprint("theirs-", i), ask.List())
	}
	total := len(journal(t, root))
	for _, query := range []string{"?n=1", "?n=2", "?n=1000", "?n=99999999", "?after=0", fmt.Sprint("?after=", total-3), "?after=999999999", "?n=0", "?after=1&n=1"} {
		got := mine.Get(t, "/api/v1/audit"+query).Want(t, 200)
		for line := range strings.Lines(string(got.Body)) {
			var l struct{ Event event }
			if json.Unmarshal([]byte(line), &l) != nil || l.Event.Actor != mine.Name {
				t.Errorf("%s: %s", query, line)
			}
		}
		if got.Header.Get("Link") != "" {
			t.Errorf("%s: Link: %s", query, got.Header.Get("Link"))
		}
	}
	if n := len(strings.Split(strings.TrimSpace(string(mine.Get(t, "/api/v1/audit?n=2").Body)), "\n")); n != 2 {
		t.Errorf("n=2: %d lines", n)
	}
	for _, query := range []string{"?n=x", "?after=-1", "?n=1;2"} {
		mine.Get(t, "/api/v1/audit"+query).Want(t, 400)
	}
}

// TestAudit_is_verified_for_all_of_it: whoever may audit all of it, and nobody else.
func TestAudit_is_verified_for_all_of_it(t *testing.T) {
	path := area(t)
	for _, who := range []ask.Caller{root, person(t, "auditor", "**"), person(t, "maintainer", "**"), person(t, "domain-lead", "**")} {
		var verdict struct{ OK bool }
		who.Do(t, "POST", "/api/v1/audit/verify", nil).Want(t, 200).JSON(t, &verdict)
		if !verdict.OK {
			t.Error("the journal is broken")
		}
	}
	for _, who := range []ask.Caller{
		person(t, "auditor", path), person(t, "admin", path), person(t, "maintainer", path), person(t, "developer", "**"), person(t, "reader", "**"), person(t),
	} {
		who.Do(t, "POST", "/api/v1/audit/verify", nil).Refused(t, "DENIED", 403)
	}
	root.Token(t, "registry:catalog:*").Do(t, "POST", "/api/v1/audit/verify", nil).Refused(t, "UNAUTHORIZED", 401)
	anonymous.Do(t, "POST", "/api/v1/audit/verify", nil).Refused(t, "UNAUTHORIZED", 401)
}
