package auth

import (
	"errors"
	"testing"
)

func TestAnonymous(t *testing.T) {
	all := []Action{Enter, Pull, Push, Delete, List, Audit}
	for _, c := range []struct {
		policy Anonymous
		may    map[Action]bool
		login  bool // whether a refusal says that logging in could help
	}{
		{Everything, map[Action]bool{Enter: true, Pull: true, Push: true, Delete: true, List: true, Audit: true}, false},
		{PullOnly, map[Action]bool{Enter: true, Pull: true, List: true}, false},
		{Nothing, nil, true},
		{"", nil, true},          // what was never set admits nobody,
		{"everybody", nil, true}, // nor does what is no policy
	} {
		for _, do := range all {
			err := c.policy.Allow(t.Context(), Identity{}, do, "cloud/dmp/ms-ingestion")
			if c.may[do] != (err == nil) {
				t.Errorf("%q: %s: %v", c.policy, do, err)
			}
			var refusal *Refusal
			if err != nil && (!errors.As(err, &refusal) || refusal.Login != c.login || refusal.Do != do || refusal.Reason == "") {
				t.Errorf("%q: %s: %#v", c.policy, do, err)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	for who, want := range map[Identity]string{{}: "anonymous", {Kind: "robot", Name: "ci-dmp"}: "robot:ci-dmp"} {
		if got := who.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
