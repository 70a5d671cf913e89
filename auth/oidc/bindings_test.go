package oidc

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/auth"
)

func TestBind_gives_for_claims_that_no_token_said(t *testing.T) {
	bound, err := Bind([]Binding{
		{map[string]string{"token": "job", "project_path": "cloud/dmp/*"}, auth.CIRole, "{project_path}"},
		{map[string]string{"bot": "true"}, auth.Reader, "bots"},
		{map[string]string{"user_id": "11"}, auth.Developer, "home/{user_id}"},
		{map[string]string{"projects": "cloud/core"}, auth.Reader, "cloud/core"},
		{map[string]string{"azp": "broker"}, auth.Reader, "brokered"},
		{map[string]string{"user.id": "1?"}, auth.Reader, "deep"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var (
		job  = auth.Grant{Role: auth.CIRole, On: "cloud/dmp/x"}
		bot  = auth.Grant{Role: auth.Reader, On: "bots"}
		home = auth.Grant{Role: auth.Developer, On: "home/11"}
		core = auth.Grant{Role: auth.Reader, On: "cloud/core"}
	)
	for _, c := range []struct {
		what   string
		claims map[string]any
		want   []auth.Grant
	}{
		{"nothing", nil, nil},
		{"texts", map[string]any{"token": "job", "project_path": "cloud/dmp/X"}, []auth.Grant{job}},
		{"half of them", map[string]any{"project_path": "cloud/dmp/x"}, nil},
		{"another text", map[string]any{"token": "job", "project_path": "cloud/core/x"}, nil},
		{"all at once", map[string]any{"token": "job", "project_path": "cloud/dmp/x", "bot": true, "user_id": 11}, []auth.Grant{job, bot, home}},
		{"true", map[string]any{"bot": true}, []auth.Grant{bot}},
		{"true in letters", map[string]any{"bot": "true"}, []auth.Grant{bot}},
		{"false", map[string]any{"bot": false}, nil},
		{"nil", map[string]any{"bot": nil, "user_id": nil}, nil},
		{"a number as JSON has it", map[string]any{"user_id": json.Number("11")}, []auth.Grant{home}},
		{"the same, spelled otherwise", map[string]any{"user_id": json.Number("11.0")}, nil},
		{"an int", map[string]any{"user_id": 11}, []auth.Grant{home}},
		{"another int", map[string]any{"user_id": 111}, nil},
		{"an int below zero", map[string]any{"user_id": -11}, nil},
		{"a list", map[string]any{"projects": []any{"a", 5, nil, "cloud/core"}}, []auth.Grant{core}},
		{"a list of ints", map[string]any{"user_id": []any{10, 11}}, nil}, // it matches, but is no part of a path
		{"a list without it", map[string]any{"projects": []any{"cloud", "core"}}, nil},
		{"an empty list", map[string]any{"projects": []any{}}, nil},
		{"an object", map[string]any{"user": map[string]any{"id": 11}}, []auth.Grant{{Role: auth.Reader, On: "deep"}}},
		{"a type that is none of JSON's", map[string]any{"projects": []string{"cloud/core"}, "user_id": 11.0, "bot": []byte("true")}, nil},
		{"an azp that nothing wants", map[string]any{"bot": true, "azp": "somebody"}, []auth.Grant{bot}},
		{"an azp that is wanted", map[string]any{"azp": "broker"}, []auth.Grant{{Role: auth.Reader, On: "brokered"}}},
		{"a hostile path", map[string]any{"token": "job", "project_path": "cloud/dmp/.."}, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := bound(c.claims); !slices.Equal(got, c.want) {
				t.Errorf("%v give %+v, want %+v", c.claims, got, c.want)
			}
		})
	}
}

func TestBind_refuses_bad_bindings(t *testing.T) {
	good := Binding{map[string]string{"token": "job"}, auth.Reader, "a"}
	for _, bad := range []Binding{
		{nil, auth.Reader, "a"},
		{good.Claims, "owner", "a"},
		{good.Claims, auth.Reader, "a/*"},
	} {
		if bound, err := Bind([]Binding{good, bad}); err == nil || bound != nil || !strings.Contains(err.Error(), "binding 2") {
			t.Errorf("%+v: %v, want that it names binding 2", bad, err)
		}
	}
	bound, err := Bind(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := bound(map[string]any{"token": "job"}); got != nil {
		t.Errorf("no bindings give %+v", got)
	}
}
