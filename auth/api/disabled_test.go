package api

import (
	"strings"
	"testing"
)

// Who makes a secret for a robot that is disabled is told so, and not that their own login is wrong.
func TestAddSecret_of_a_disabled_robot(t *testing.T) {
	h := build(t)
	h.do("root", "POST", "/api/v1/auth/robots", `{"name": "ci-dmp", "on": "cloud/dmp"}`).want(t, 201)
	h.do("root", "PATCH", "/api/v1/auth/robots/ci-dmp", `{"disabled": true}`).want(t, 200)
	if r := h.do("root", "POST", "/api/v1/auth/robots/ci-dmp/secrets", `{}`).want(t, 409); !strings.Contains(string(r.body), "enable the robot ci-dmp") {
		t.Errorf("%s", r.body)
	}
	h.do("root", "PATCH", "/api/v1/auth/robots/ci-dmp", `{"disabled": false}`).want(t, 200)
	h.do("root", "POST", "/api/v1/auth/robots/ci-dmp/secrets", `{}`).want(t, 201)
}
