//go:build backends

package replicas

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// Rights are asked for at one replica and given at another. The times are those of a busy machine: a replica that is told nothing looks for changes of accounts once
// a second, and for changed keys every five.
const (
	told     = 3 * time.Second
	manyTold = 4 * time.Second // for all of twenty changes: half a second each would be ten
)

func basic(name, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+secret))
}

// manage sends JSON to the management of accounts and decodes the answer.
func manage(t testing.TB, at *wire.Registry, who, method, path string, asked, answer any) {
	t.Helper()
	var body []byte
	if asked != nil {
		body = wire.JSON(asked)
	}
	headers := []string{"Content-Type", "application/json"}
	if who != "" {
		headers = append(headers, "Authorization", who)
	}
	reply := at.Do(t, method, "/api/v1/auth/"+path, body, headers...).Want(t, 200, 201, 204)
	if answer != nil {
		reply.JSON(t, answer)
	}
}

type fields = map[string]any

// TestRights_given_at_one_replica_hold_at_all: accounts, grants, secrets, tokens and the keys that sign them.
func TestRights_given_at_one_replica_hold_at_all(t *testing.T) {
	h := start(t, newStores(t), 3, "")
	a, b, c := h.at(0), h.at(1), h.at(2)
	others := []*wire.Registry{b, c}
	repo := wire.Repo(t)
	push := func(at *wire.Registry, who string) int {
		return at.Do(t, "POST", wire.UploadsPath(repo), []byte{}, "Authorization", who).Status
	}
	everywhere := func(what string, who string, status int) {
		t.Helper()
		for i, at := range others {
			took := soon(t, told, what, func() bool { return push(at, who) == status })
			t.Logf("%s: replica %d knows after %v", what, i+1, took)
		}
	}

	// Nobody is known, so this machine may do everything, until there is a first user: from then on at no replica.
	b.Do(t, "POST", wire.UploadsPath(repo), []byte{}).Want(t, 202)
	manage(t, a, "", "POST", "users", fields{"name": "root", "password": "correct horse battery"}, nil)
	root := basic("root", "correct horse battery")
	for _, at := range others {
		soon(t, told, "the replica is closed to those who show nothing", func() bool { return at.Do(t, "GET", "/v2/", nil).Status == 401 })
	}
	everywhere("the first user is admin", root, 202)

	manage(t, a, root, "POST", "robots", fields{"name": "ci", "on": "check"}, nil)
	var secret struct{ ID, Value string }
	manage(t, a, root, "POST", "robots/ci/secrets", fields{"note": "n"}, &secret)
	robot := basic("robot$ci", secret.Value)
	everywhere("the robot is known, and has no right, so that it is not told of the repository", robot, 404)
	var grant struct{ ID string }
	began := time.Now()
	for range 10 {
		manage(t, a, root, "POST", "grants", fields{"who": "robot:ci", "role": "ci", "on": "check/**"}, &grant)
		soon(t, told, "the grant holds", func() bool { return push(b, robot) == 202 })
		manage(t, a, root, "DELETE", "grants/"+grant.ID, nil, nil)
		soon(t, told, "the grant holds no more", func() bool { return push(b, robot) == 404 })
	}
	if took := time.Since(began); took > manyTold {
		t.Errorf("20 changes took %v to reach another replica, want them told at once", took)
	} else {
		t.Logf("20 changes of grants reached another replica in %v", took)
	}
	manage(t, b, root, "POST", "grants", fields{"who": "robot:ci", "role": "ci", "on": "check/**"}, &grant)
	others = []*wire.Registry{a, c}
	everywhere("the grant given at the second replica holds", robot, 202)
	others = []*wire.Registry{b, c}

	// A token of one replica is good at all, the one made with a new key too, and none of the keys before.
	token := func(at *wire.Registry) string {
		var minted struct{ Token string }
		at.Do(t, "GET", "/auth/token?service=entrepot&scope=repository:"+repo+":pull,push", nil, "Authorization", robot).Want(t, 200).JSON(t, &minted)
		return "Bearer " + minted.Token
	}
	old := token(a)
	everywhere("a token of the first replica is good", old, 202)
	manage(t, a, root, "POST", "keys/rotate", fields{"revoke": true}, nil)
	everywhere("a token of a revoked key is refused", old, 401)
	for i, at := range others {
		if status := push(at, token(a)); status != 202 {
			t.Errorf("replica %d answers %d to a token of the new key, want 202 from the first time on", i+1, status)
		}
	}
	// What was withdrawn takes along what was given for it.
	last := token(b)
	everywhere("the last token is good", last, 202)
	manage(t, a, root, "DELETE", "robots/ci/secrets/"+secret.ID, nil, nil)
	everywhere("a token for a withdrawn secret is refused", last, 401)
	everywhere("a withdrawn secret is refused", robot, 401)
	h.verify(t)
}
