package rights

import (
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/rights/ask"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// TestGrants_are_in_force_at_once, given and taken, for passwords, secrets and tokens that are held, by name, by group and for everything below a path.
func TestGrants_are_in_force_at_once(t *testing.T) {
	path := area(t)
	repo, below := path+"/app", path+"/app/more"
	for _, r := range []string{repo, below, path + "x/app"} {
		root.Put(t, r, "latest", ask.List())
	}
	name := strings.ReplaceAll(path, "/", "-")
	root.Call(t, "POST", "users", map[string]any{"name": name, "password": password, "groups": []string{"group-of-" + name}}).Want(t, 201)
	bot := robot(t, name, path)
	for _, who := range []ask.Caller{person(t), user(name), bot} {
		granted := []ask.Caller{{Name: who.Name}}
		if who.Name == "user:"+name {
			granted = append(granted, ask.Caller{Name: "group:group-of-" + name})
		}
		scopes := []string{"repository:" + repo + ":pull,push", "repository:" + below + ":pull,push"}
		held := who.Token(t, scopes...)
		for _, to := range granted {
			for range 3 { // a grant that is taken can be given again
				id := grant(t, to, "reader", repo)
				if to.Name == who.Name {
					held = who.Token(t, scopes...)
				}
				shown := []ask.Caller{who, who.Token(t, scopes...)}
				for _, c := range shown {
					c.Get(t, wire.ManifestPath(repo, "latest")).Want(t, 200)
					c.Get(t, wire.ManifestPath(below, "latest")).Want(t, 200)
					c.Get(t, wire.ManifestPath(path+"x/app", "latest")).Want(t, 404)
					c.TryPut(t, repo, "latest", ask.List()).Refused(t, "DENIED", 403)
				}
				more := grant(t, to, "developer", path+"/app/**")
				who.Put(t, below, "another", ask.List())
				root.Do(t, "DELETE", ask.Accounts+"grants/"+more, nil).Want(t, 204)
				who.TryPut(t, below, "another", ask.List()).Refused(t, "DENIED", 403)
				root.Do(t, "DELETE", ask.Accounts+"grants/"+id, nil).Want(t, 204)
				for _, c := range append(shown, held) {
					c.Get(t, wire.ManifestPath(repo, "latest")).Refused(t, "NAME_UNKNOWN", 404)
					c.TryPut(t, repo, "latest", ask.List()).Refused(t, "NAME_UNKNOWN", 404)
				}
			}
		}
	}
	// A group that is left is left at once.
	who := user(name)
	grant(t, ask.Caller{Name: "group:group-of-" + name}, "developer", path)
	token := who.Token(t, "repository:"+repo+":pull,push")
	token.Put(t, repo, "grouped", ask.List())
	root.Call(t, "PATCH", "users/"+name, map[string]any{"groups": []string{}}).Want(t, 200)
	for _, c := range []ask.Caller{who, token} {
		c.TryPut(t, repo, "grouped", ask.List()).Refused(t, "NAME_UNKNOWN", 404)
	}
}

// appointed is who may give which roles, on what one leads: written down a second time, too.
var appointed = map[string][]string{
	"maintainer":  {"reader", "node", "developer", "ci", "maintainer"},
	"domain-lead": {"reader", "node", "developer", "ci", "maintainer", "domain-lead"},
	"admin":       {"reader", "node", "developer", "ci", "maintainer", "domain-lead", "auditor", "admin"},
}

// TestGrants_are_given_by_whoever_leads_there, of no more than one's own role, not beyond one's path, and not to oneself.
func TestGrants_are_given_by_whoever_leads_there(t *testing.T) {
	path := area(t)
	for _, role := range roles {
		who := person(t)
		if role != "" {
			grant(t, who, role, path)
		}
		for _, given := range roles[:len(roles)-1] {
			for _, on := range []string{path, path + "/**", path + "/app", "check", path + "x", "check/testgrants", "**", "other"} {
				inside := on == path || strings.HasPrefix(on, path+"/")
				want := 403
				if inside && slices.Contains(appointed[role], given) {
					want = 201
				}
				grants := map[string]any{"who": "user:friend-of-" + role, "role": given, "on": on}
				if got := who.Call(t, "POST", "grants", grants); got.Status != want {
					t.Errorf("%s on %s gives %s on %s: %d, want %d\n%s", role, path, given, on, got.Status, want, got.Excerpt())
				}
				// What one may not give one may not take either.
				id := grant(t, ask.Caller{Name: "user:friend-of-" + role + "-2"}, given, on)
				switch {
				case want == 201:
					want = 204
				case appointed[role] != nil && !inside:
					want = 404 // of which one is not told that there is such a grant
				}
				if got := who.Do(t, "DELETE", ask.Accounts+"grants/"+id, nil); got.Status != want {
					t.Errorf("%s on %s takes %s on %s: %d, want %d\n%s", role, path, given, on, got.Status, want, got.Excerpt())
				}
				root.Do(t, "DELETE", ask.Accounts+"grants/"+id, nil).Want(t, 204, 404)
			}
		}
		if appointed[role] == nil {
			continue
		}
		for _, given := range appointed[role] {
			want := map[bool]int{true: 201, false: 403}[role == "admin"]
			if got := who.Call(t, "POST", "grants", map[string]any{"who": who.Name, "role": given, "on": path}); got.Status != want {
				t.Errorf("%s gives oneself %s: %d, want %d", role, given, got.Status, want)
			}
		}
	}
	for _, g := range listed(t, root) {
		if strings.HasPrefix(g.Who, "user:friend-of-") && g.On != path && !strings.HasPrefix(g.On, path+"/") {
			t.Errorf("there is a grant %+v", g)
		}
	}
}

// given is a grant as it is listed.
type given struct{ ID, Who, Role, On string }

func listed(t testing.TB, who ask.Caller) []given {
	t.Helper()
	var l struct{ Grants []given }
	who.Get(t, ask.Accounts+"grants").Want(t, 200).JSON(t, &l)
	return l.Grants
}

// TestGrants_are_listed_to_whoever_leads_there, and those of the configuration are taken in the configuration.
func TestGrants_are_listed_to_whoever_leads_there(t *testing.T) {
	path := area(t)
	friend := ask.Caller{Name: "user:friend"}
	inside := []string{grant(t, friend, "reader", path), grant(t, friend, "admin", path+"/app")}
	grant(t, friend, "reader", path+"x")
	grant(t, friend, "reader", "check")
	lead := person(t, "maintainer", path)
	var got []string
	for _, g := range listed(t, lead) {
		got = append(got, g.ID)
		if g.On != path && !strings.HasPrefix(g.On, path+"/") {
			t.Errorf("a maintainer of %s is told of %+v", path, g)
		}
	}
	if len(got) != 3 || !slices.Contains(got, inside[0]) || !slices.Contains(got, inside[1]) {
		t.Errorf("a maintainer of %s is told of %q", path, got)
	}
	lead.Do(t, "DELETE", ask.Accounts+"grants/config:1", nil).Want(t, 404)
	if got := root.Do(t, "DELETE", ask.Accounts+"grants/config:1", nil).Want(t, 400); !strings.Contains(string(got.Body), "configuration file") {
		t.Errorf("a grant of the configuration: %s", got.Body)
	}
	root.Get(t, ask.Accounts+"users").Want(t, 200)
	for _, bad := range []map[string]any{
		{"who": "anyone", "role": "admin"}, {"who": "friend", "role": "reader", "on": path}, {"who": "user:friend", "role": "root", "on": path},
		{"who": "user:friend", "role": "reader", "on": path + "/../x"},
		{"who": "user:friend", "role": "reader", "on": "*"}, {"who": "user:friend", "role": "reader", "on": path, "expires": "never"},
		{"who": "user:friend", "role": "reader", "on": "/"},
		{"who": "user:", "role": "reader", "on": path}, {"who": "user:a\u202eb", "role": "reader", "on": path}, {"who": "", "role": "reader", "on": path},
	} {
		root.Call(t, "POST", "grants", bad).Want(t, 400)
	}
}

// TestGrants_are_no_way_to_more: whoever manages others gets no more than one's own role out of it.
func TestGrants_are_no_way_to_more(t *testing.T) {
	path := area(t)
	name := strings.ReplaceAll(path, "/", "-")
	// What was granted to a robot that is yet to come is not for whoever makes one of its name first.
	for i, more := range [][2]string{{"admin", "**"}, {"developer", "somewhere/else"}, {"auditor", path}} {
		unborn := name + "-" + string(rune('a'+i))
		grant(t, ask.Caller{Name: "robot:" + unborn}, more[0], more[1])
		if got := person(t, "maintainer", path).Call(t, "POST", "robots", map[string]any{"name": unborn, "on": path}); got.Status != 403 && got.Status != 409 {
			t.Errorf("a maintainer of %s makes a robot that is %s on %s: %d, want 403", path, more[0], more[1], got.Status)
		}
	}
	lead := person(t, "maintainer", path)
	grant(t, ask.Caller{Name: "robot:" + name}, "developer", path+"/app")
	lead.Call(t, "POST", "robots", map[string]any{"name": name, "on": path}).Want(t, 201)
	lead.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{}).Want(t, 201)
	// Who has a robot's secret is the robot: nobody takes one who could not give away all that the robot may do.
	for _, more := range [][2]string{{"admin", path}, {"domain-lead", path}, {"auditor", path + "/app"}, {"developer", "somewhere/else"}, {"reader", "**"}} {
		id := grant(t, ask.Caller{Name: "robot:" + name}, more[0], more[1])
		lead.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{}).Refused(t, "DENIED", 403)
		root.Call(t, "PATCH", "robots/"+name, map[string]any{"disabled": true}).Want(t, 200)
		lead.Call(t, "PATCH", "robots/"+name, map[string]any{"disabled": false}).Refused(t, "DENIED", 403)
		root.Call(t, "PATCH", "robots/"+name, map[string]any{"disabled": false}).Want(t, 200)
		root.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{}).Want(t, 201)
		root.Do(t, "DELETE", ask.Accounts+"grants/"+id, nil).Want(t, 204)
		lead.Call(t, "POST", "robots/"+name+"/secrets", map[string]any{}).Want(t, 201)
	}

	// To lead everywhere is not to be an admin: neither by an admin's password, nor by a group of admins.
	group := "admins-of-" + name
	grant(t, ask.Caller{Name: "group:" + group}, "admin", "**")
	root.Call(t, "POST", "users", map[string]any{"name": name + "-admin", "password": password, "groups": []string{group}}).Want(t, 201)
	root.Call(t, "POST", "users", map[string]any{"name": name + "-lead", "password": password}).Want(t, 201)
	for _, role := range []string{"maintainer", "domain-lead"} {
		lead := user(name + "-lead")
		id := grant(t, lead, role, "**")
		if got := lead.Call(t, "POST", "grants", map[string]any{"who": "user:" + name, "role": "admin", "on": "**"}); got.Status != 403 {
			t.Errorf("a %s of everything makes an admin: %d, want 403", role, got.Status)
		}
		for what, do := range map[string]func() wire.Reply{
			"sets an admin's password": func() wire.Reply {
				return lead.Call(t, "PATCH", "users/"+name+"-admin", map[string]any{"password": "known " + password})
			},
			"becomes a member of a group of admins": func() wire.Reply {
				return lead.Call(t, "PATCH", "users/"+name+"-lead", map[string]any{"groups": []string{group}})
			},
			"makes a user of a group of admins": func() wire.Reply {
				return lead.Call(t, "POST", "users", map[string]any{"name": name + "-" + role, "password": password, "groups": []string{group}})
			},
		} {
			if got := do(); got.Status != 403 {
				t.Errorf("a %s of everything %s: %d, want 403", role, what, got.Status)
			}
		}
		root.Call(t, "PATCH", "users/"+name+"-lead", map[string]any{"groups": []string{}}).Want(t, 200)
		root.Do(t, "DELETE", ask.Accounts+"grants/"+id, nil).Want(t, 204)
	}
}
