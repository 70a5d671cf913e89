package rights

import (
	"testing"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// manageRows are the samples for the routes of those who run the registry. Nothing is mirrored here, no rule of retention is about anything, and content that was
// pushed just now stays: whoever may have it done changes nothing for the others.
var manageRows = []row{
	{route: "mirrors", method: "GET", do: "manage", there: 200, make: plain("GET", "/api/v1/mirrors")},
	{route: "mirror-runs", method: "POST", do: "manage", there: 404, make: running("mirrors", map[string]any{"repository": "docker.io/library/alpine"})},
	{route: "backups", method: "POST", do: "manage", there: 400, make: func(*testing.T, *cell) request { // one is made at a time, so none is made here
		return request{"POST", "/api/v1/backups", wire.JSON(map[string]any{"to": "elsewhere"}), []string{"Content-Type", "application/json"}}
	}},
	{route: "quotas", method: "GET", do: "manage", there: 200, make: plain("GET", "/api/v1/quotas")},
	{route: "quotas-over", method: "GET", do: "push", in: everywhere, there: 200, new: 200, make: in("GET", "/api/v1/quotas/{repo}")},
	{route: "scrub", method: "GET", do: "manage", there: 200, make: plain("GET", "/api/v1/scrub")},
	{route: "scrub-runs", method: "POST", do: "manage", there: 200, make: running("scrub", map[string]any{})},
	{route: "gc-plan", method: "GET", do: "manage", there: 200, make: plain("GET", "/api/v1/gc/plan")},
	{route: "gc-plan", method: "GET", variant: "of all", do: "manage", there: 400, make: plain("GET", "/api/v1/gc/plan?all=perhaps")},
	{route: "gc-runs", method: "POST", do: "manage", there: 200, make: running("gc", map[string]any{})},
	{route: "retention-plan", method: "GET", do: "manage", there: 200, make: plain("GET", "/api/v1/retention/plan?all=true")},
	{route: "retention-plan", method: "GET", variant: "of a repository", do: "manage", there: 200, make: plain("GET", "/api/v1/retention/plan?repository=cloud/dmp/app")},
	{route: "retention-runs", method: "POST", do: "manage", there: 200, make: running("retention", map[string]any{})},
}

// running asks for a run.
func running(what string, order map[string]any) func(*testing.T, *cell) request {
	return func(*testing.T, *cell) request {
		return request{"POST", "/api/v1/" + what + "/runs", wire.JSON(order), []string{"Content-Type", "application/json"}}
	}
}
