package rights

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// written is who may do what, as it was agreed, and not as the program has it.
const written = `
               reader  node  developer  ci  maintainer  domain-lead  auditor  admin
pull           yes     yes   yes        yes yes         yes          -        yes
push           -       -     yes        yes yes         -            -        yes
overwrite      -       -     yes        yes yes         -            -        yes
attach         -       -     yes        yes yes         -            -        yes
delete-own     -       -     yes        -   yes         -            -        yes
delete         -       -     -          -   yes         -            -        yes
request        -       -     yes        yes yes         yes          -        yes
approve        -       -     -          -   yes         yes          -        yes
promote        -       -     -          -   yes         yes          -        yes
approve-last   -       -     -          -   -           yes          -        yes
promote-last   -       -     -          -   -           yes          -        yes
govern         -       -     -          -   yes         yes          -        yes
appoint        -       -     -          -   yes         yes          -        yes
administer     -       -     -          -   yes         yes          -        yes
manage         -       -     -          -   -           -            -        yes
audit-own      -       -     yes        yes yes         yes          yes      yes
audit          -       -     -          -   yes         yes          yes      yes
`

// table is what is written: role → action.
var table = read(written)

func read(text string) map[string]map[string]bool {
	all := map[string]map[string]bool{"": {}} // who has no role may nothing
	var roles []string
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		if i == 0 {
			roles = words
			for _, role := range roles {
				all[role] = map[string]bool{}
			}
			continue
		}
		for n, word := range words[1:] {
			all[roles[n]][words[0]] = word == "yes"
		}
	}
	return all
}

// roles are those of the table; the last is to have none.
var roles = []string{"reader", "node", "developer", "ci", "maintainer", "domain-lead", "auditor", "admin", ""}

// TestTable_is_the_program_s: the program tells of the same roles and actions as the table that is written down here.
func TestTable_is_the_program_s(t *testing.T) {
	var told struct {
		Roles []struct {
			Role    string
			Actions []string
		}
	}
	root.Get(t, "/api/v1/auth/roles").Want(t, 200).JSON(t, &told)
	got := map[string]map[string]bool{"": {}}
	for _, r := range told.Roles {
		got[r.Role] = map[string]bool{}
		for _, a := range r.Actions {
			got[r.Role][a] = true
		}
	}
	if want := slices.Sorted(maps.Keys(table)); !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
		t.Fatalf("roles are %q, want %q", slices.Sorted(maps.Keys(got)), want)
	}
	for role, actions := range table {
		for action, may := range actions {
			if got[role][action] != may {
				t.Errorf("%s may %s: %v, want %v", role, action, got[role][action], may)
			}
			delete(got[role], action)
		}
		if len(got[role]) > 0 {
			t.Errorf("%s may also %q", role, slices.Sorted(maps.Keys(got[role])))
		}
	}
}
