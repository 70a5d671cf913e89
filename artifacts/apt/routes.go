package apt

import (
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// routes is the whole table; the busiest come first, and the last two take what is left.
func (v *view) routes() []door.Route {
	return []door.Route{
		get("apt-pool", poolFile, door.AsksItself, v.getPackage),
		get("apt-dists", suiteFile, auth.Pull, v.getFile),
		get("apt-snapshot", snapshotFile, auth.Pull, v.getOldFile),
		get("apt-snapshots", exactly("/apt/snapshots"), door.AsksItself, v.getSnapshots),
		get("apt-key", exactly("/apt/key.asc"), auth.Knock, v.getKey),
		route("apt-rotate", exactly("/apt/keys/rotate"), http.MethodPost, auth.Manage, v.rotate),
		get("apt-setup", exactly("/apt/setup.sh"), auth.Knock, v.getSetup),
		get("apt-pin", pinOf, auth.Pull, v.getPin),
		get("apt", exactly("/apt"), auth.List, v.getHome),
		get("apt-suites", exactly("/apt/dists"), auth.List, v.getSuites),
		route("apt-upload", uploadOf, http.MethodPut, auth.Push, v.putPackage),
		route("apt-upload-elsewhere", below("/apt/upload"), http.MethodPut, auth.Knock, v.noName),
		get("apt-unknown", below("/apt"), auth.Knock, noPath),
	}
}

// match is what tells the paths of a route.
type match = func(path string) (on, last string, ok bool)

func get(name string, m match, action auth.Action, serve door.Endpoint) door.Route {
	return route(name, m, http.MethodGet, action, serve)
}

func route(name string, m match, method string, action auth.Action, serve door.Endpoint) door.Route {
	return door.Route{Name: name, Match: m, Errors: door.Plain, Methods: map[string]door.Access{method: {Action: action, Serve: serve.Telling(refusal)}}}
}

// exactly matches a path, with a slash at its end or without.
func exactly(want string) match {
	return func(path string) (string, string, bool) { return "", "", strings.TrimSuffix(path, "/") == want }
}

// below matches a path and all below it.
func below(folder string) match {
	return func(path string) (string, string, bool) {
		return "", "", path == folder || strings.HasPrefix(path, folder+"/")
	}
}

// suiteFile matches /apt/dists/<suite>/<path>; last is the path.
func suiteFile(path string) (on, last string, ok bool) {
	rest, ok := strings.CutPrefix(path, "/apt/dists/")
	if !ok {
		return "", "", false
	}
	name, last, _ := strings.Cut(rest, "/")
	if last == "" || suite.CheckName(name) != nil {
		return "", "", false
	}
	return artifacts.SuiteRepo(name), last, true
}

// snapshotFile matches /apt/snapshots/<date>/dists/<suite>/<path>; last is <date>/<path>.
func snapshotFile(path string) (on, last string, ok bool) {
	date, rest, ok := cutDate(path)
	if !ok {
		return "", "", false
	}
	if on, last, ok = suiteFile("/apt" + rest); !ok {
		return "", "", false
	}
	return on, date + "/" + last, true
}

// poolFile matches /apt/pool/<component>/<file>, and the same below /apt/snapshots/<date>: what is in the pool never changes. last is the file.
func poolFile(path string) (on, last string, ok bool) {
	if _, rest, ok := cutDate(path); ok {
		path = "/apt" + rest
	}
	return inComponent(path, "/apt/pool/")
}

// uploadOf matches /apt/upload/<component>/<file>; last is the file.
func uploadOf(path string) (on, last string, ok bool) { return inComponent(path, "/apt/upload/") }

// pinOf matches /apt/pin/<suite>; last is the suite.
func pinOf(path string) (on, last string, ok bool) {
	name, ok := strings.CutPrefix(path, "/apt/pin/")
	if !ok || suite.CheckName(name) != nil {
		return "", "", false
	}
	return artifacts.SuiteRepo(name), name, true
}

// inComponent matches a folder, a component and a file.
func inComponent(path, folder string) (component, file string, ok bool) {
	rest, ok := strings.CutPrefix(path, folder)
	if !ok {
		return "", "", false
	}
	i := strings.LastIndexByte(rest, '/')
	if i < 0 || rest[i+1:] == "" || len(rest[i+1:]) > maxFile || !registry.ValidName(rest[:i]) || !artifacts.IsComponent(rest[:i]) {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// maxFile is more than the longest name of a package has.
const maxFile = 320

// cutDate takes /apt/snapshots/<date> from a path's beginning.
func cutDate(path string) (date, rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, "/apt/snapshots/")
	if !ok {
		return "", "", false
	}
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return "", "", false
	}
	if _, ok := parseDate(rest[:i]); !ok {
		return "", "", false
	}
	return rest[:i], rest[i:], true
}

func noPath(http.ResponseWriter, *http.Request, door.Call) error {
	return notFound("no such path", "there are /apt/dists/<suite>/…, /apt/pool/<component>/<file>, /apt/snapshots/20260102T030405Z/…, /apt/pin/<suite>, /apt/key.asc and "+
		"/apt/setup.sh?suite=…; names are of lower-case letters, digits, and . _ - between them")
}
