package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/conformance/program"
)

const house = "github.com/entrepot/entrepot"

// room is a package as `go list` describes it, with its path relative to the module.
type room struct {
	ImportPath, Name, Dir, Doc         string
	GoFiles                            []string
	Imports, TestImports, XTestImports []string
}

func (r room) path() string { return relative(r.ImportPath) }

// relative gives one of our packages by its place in the house, and one of others as it is.
func relative(path string) string {
	if path == house {
		return "."
	}
	return strings.TrimPrefix(path, house+"/")
}

// ours tells whether a relative path is one of this module's.
func ours(path string) bool {
	return !strings.Contains(strings.Split(path, "/")[0], ".") && isRoom(path)
}

var floors = []string{"cmd", "door", "registry", "auth", "artifacts", "storage", "conformance", "deploy"}

func isRoom(path string) bool { return slices.Contains(floors, strings.Split(path, "/")[0]) }

// in tells whether path matches one of the patterns: "storage/kv" is that package alone, "storage/kv/..." it and what is below, and
// "storage/kv/+" only what is below.
func in(path string, patterns ...string) bool {
	for _, p := range patterns {
		base, wide := strings.CutSuffix(p, "/...")
		below, only := strings.CutSuffix(p, "/+")
		switch {
		case p == "...":
			return true
		case wide && (path == base || strings.HasPrefix(path, base+"/")):
			return true
		case only && strings.HasPrefix(path, below+"/"):
			return true
		case path == p:
			return true
		}
	}
	return false
}

// floor says what a room may import of ours. The first floor whose rooms match decides.
type floor struct {
	rooms  []string
	may    []string
	tests  bool // whether the rooms' tests are held to it too
	reason string
}

var contracts = []string{"storage/blob", "storage/kv", "storage/journal"}

var plan = []floor{
	{[]string{"storage/blob/..."}, []string{"storage/blob/..."}, true,
		"content knows nothing of the index: a driver of either can be changed, tested and reasoned about alone"},
	{[]string{"storage/kv/..."}, []string{"storage/kv/..."}, true,
		"the index knows nothing of content, nor of what its keys mean"},
	{[]string{"storage/journal/..."}, []string{"storage/journal/...", "storage/kv"}, false,
		"events are written in the transaction of the change they describe, so the journal stands on the index and on nothing else"},
	{[]string{"storage/..."}, []string{"storage/..."}, true,
		"storage is the ground floor: it imports nothing of ours but storage"},
	{[]string{"registry"}, contracts, false,
		"the rules of the registry decide nothing about rights (the door does) and nothing about artifacts (they plug in through Admission)"},
	{[]string{"door/..."}, []string{"auth", "storage/journal"}, false,
		"the door knows who may pass and tells the journal who did; what lies behind it is brought by those who have routes"},
	{[]string{"registry/api/..."}, []string{"registry", "registry/api/...", "door", "auth"}, false,
		"the OCI routes ask the registry and the policy; they reach past neither of them into storage"},
	{[]string{"registry/upstream/remote", "registry/upstream/upstreamtest"}, []string{"registry"}, false,
		"the client towards an upstream keeps nothing"},
	{[]string{"registry/upstream"}, append([]string{"registry", "registry/upstream/remote"}, contracts...), false,
		"pull-through asks its client, and keeps what comes"},
	{[]string{"registry/upstream/mirror"}, append([]string{"registry", "registry/upstream", "registry/upstream/remote", "artifacts/version"}, contracts...), false,
		"mirroring works through the pull-through, and chooses tags by the versions that they are: what a version is, is known without anything of ours"},
	{[]string{"registry/retain/follow"}, []string{}, true,
		"having work done once at a time has nothing to do with what the work is"},
	{[]string{"registry/retain/..."}, append([]string{"registry", "registry/retain/follow", "artifacts/version"}, contracts...), false,
		"retention removes things as people do, and orders tags by the versions that they are; why something stays whatever the rules say is told to it"},
	{[]string{"registry/manage/..."}, []string{"registry", "registry/transfer", "registry/upstream/mirror", "registry/retain/...", "door", "auth"}, false,
		"the routes of those who run the registry ask the rooms that do the work, and the policy"},
	{[]string{"registry/..."}, append([]string{"registry"}, contracts...), false,
		"pull-through and the sweeper stand on the registry and on the contracts of storage"},
	{[]string{"auth"}, []string{}, true,
		"rights are names and actions: they need nothing to stand on"},
	{[]string{"auth/oidc/...", "auth/ldap/...", "auth/gitlab/...", "auth/htpasswd/...", "auth/password/..."}, []string{"auth", "auth/oidc/...", "auth/gitlab/...", "auth/password"}, true,
		"who a provider says you are is found out without the index"},
	{[]string{"auth/account/...", "auth/token/..."}, []string{"auth", "storage/kv", "storage/journal"}, false,
		"accounts and keys are rows of the index, whoever asks for them"},
	{[]string{"auth/api/..."}, []string{"auth", "auth/account", "auth/login", "auth/oidc", "auth/token", "door"}, false,
		"the routes of logins ask the rooms that know; none of them keeps anything itself"},
	{[]string{"auth/login/..."}, []string{"auth", "auth/account", "auth/password", "auth/token"}, false,
		"logging in knows no HTTP, so that every door can use it"},
	{[]string{"auth/..."}, append([]string{"auth/..."}, contracts...), false,
		"auth imports nothing of the registry: rights are names and actions"},
	{[]string{"artifacts/find", "artifacts/suite/..."}, []string{"storage/kv", "storage/journal", "artifacts/deb"}, false,
		"what can be found, and what a suite is made of, is known without the catalog"},
	{[]string{"artifacts/deb", "artifacts/version", "artifacts/document"}, []string{}, false,
		"formats of files and of versions are read without anything of ours"},
	{[]string{"artifacts/api/...", "artifacts/tree/...", "artifacts/portal/...", "artifacts/apt/...", "artifacts/webhook/..."}, append([]string{"artifacts/...", "registry", "auth", "door"}, contracts...), false,
		"the doors to artifacts ask the catalogue, the registry and the policy, and no other door"},
	{[]string{"artifacts/..."}, append([]string{"artifacts/...", "registry"}, contracts...), false,
		"components and promotion stand on the registry; rights are decided at the doors"},
	{[]string{"cmd/..."}, []string{"cmd/...", "door", "registry/...", "auth/...", "artifacts/...", "storage/..."}, false,
		"the program wires everything, and nothing that is only there to test it"},
	{[]string{"conformance/...", "deploy/..."}, []string{"..."}, false,
		"what looks from outside may look at everything"},
	{[]string{"."}, []string{}, false, "the root holds no code"},
}

// reserve says who alone may import a package.
type reserve struct {
	what   []string
	who    []string
	reason string
}

var reserved = []reserve{
	{[]string{"storage/blob/disk/...", "storage/blob/s3/...", "storage/kv/bolt/...", "storage/kv/postgres/...", "artifacts/usage/+"}, []string{"cmd/...", "conformance/..."},
		"drivers are opened by a visible switch in cmd; everything else is written against their contract"},
	{[]string{"storage/blob/blobtest/...", "storage/kv/kvtest/..."}, []string{"conformance/...", "storage/blob/blobtest/...", "storage/kv/kvtest/..."},
		"contract suites are for tests"},
	{[]string{"conformance/..."}, []string{"conformance/..."}, "what looks from outside is no part of the house"},
	{[]string{"go.etcd.io/bbolt/..."}, []string{"storage/kv/bolt/..."}, "one driver knows bbolt"},
	{[]string{"github.com/jackc/pgx/v5/...", "github.com/jackc/pgx/v4/...", "github.com/lib/pq/...", "database/sql/..."}, []string{"storage/kv/postgres/..."}, "one driver knows PostgreSQL"},
	{[]string{"github.com/aws/..."}, []string{"storage/blob/s3/..."}, "one driver knows S3"},
	{[]string{"github.com/gorilla/mux/..."}, []string{"door"}, "one door knows how requests find their route"},
	{[]string{"oras.land/oras-go/..."}, []string{"registry/upstream/...", "cmd/...", "conformance/..."}, "a client of other registries is needed towards upstreams and by the CLI"},
	{[]string{"github.com/distribution/distribution/v3/registry/handlers/...", "github.com/distribution/distribution/v3/registry/storage/..."}, []string{"conformance/..."},
		"distribution's app and its drivers carry no production traffic"},
	{[]string{"github.com/go-ldap/..."}, []string{"auth/ldap/..."}, "one provider knows LDAP"},
	{[]string{"github.com/coreos/go-oidc/...", "golang.org/x/oauth2/..."}, []string{"auth/oidc/..."}, "one provider knows OIDC"},
	{[]string{"github.com/go-jose/..."}, []string{"auth/token/...", "auth/oidc/...", "conformance/..."}, "tokens are read and written in two places: our own, and those of issuers"},
	{[]string{"github.com/ProtonMail/go-crypto/..."}, []string{"artifacts/suite/...", "conformance/..."}, "one room signs"},
	{[]string{"github.com/ulikunitz/xz/..."}, []string{"artifacts/suite", "artifacts/deb/..."}, "what Debian packs is unpacked in one room, and packed in another"},
	{[]string{"go.yaml.in/yaml/..."}, []string{"artifacts/document", "artifacts/api", "cmd/...", "conformance/..."},
		"documents are read in one room, the configuration in another, and the API's description where it is served"},
	{[]string{"artifacts/deb/debtest", "registry/upstream/upstreamtest", "storage/blob/s3/s3test", "storage/kv/postgres/postgrestest"}, []string{"conformance/..."}, "these are made for tests"},
	{[]string{"testing/..."}, []string{"conformance/...", "auth/oidc/oidctest", "auth/gitlab/gitlabtest", "auth/ldap/ldaptest", "registry/upstream/upstreamtest", "storage/blob/blobtest/...", "storage/blob/s3/s3test", "storage/kv/kvtest/...", "storage/kv/postgres/postgrestest"}, "the program carries no test flags"},
}

// breaches returns every arrow that points the wrong way, each with the reason why it must not.
func breaches(rooms []room) []string {
	var found []string
	for _, r := range rooms {
		from := r.path()
		i := slices.IndexFunc(plan, func(f floor) bool { return in(from, f.rooms...) })
		if i < 0 {
			found = append(found, fmt.Sprintf("%s stands on no floor of the plan", from))
			continue
		}
		f := plan[i]
		imports := slices.Clone(r.Imports)
		if f.tests {
			// A suite at the top (conformance/program) may be used by any test; other rooms upstairs may not.
			for _, t := range slices.Concat(r.TestImports, r.XTestImports) {
				if !in(relative(t), "conformance/...") {
					imports = append(imports, t)
				}
			}
		}
		for _, path := range imports {
			if to := relative(path); ours(to) && to != from && !in(to, f.may...) {
				found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, f.reason))
			}
		}
		for _, path := range r.Imports {
			for _, c := range reserved {
				if to := relative(path); in(to, c.what...) && !in(from, c.who...) && to != from && !within(from, to, c.what) {
					found = append(found, fmt.Sprintf("%s imports %s: %s", from, to, c.reason))
				}
			}
		}
	}
	return found
}

// within tells whether from and to are both inside one reserved package, so that a driver may be of several packages.
func within(from, to string, what []string) bool {
	return slices.ContainsFunc(what, func(p string) bool { return strings.HasSuffix(p, "/...") && in(from, p) && in(to, p) })
}

// list returns all packages of the root module.
func list(t *testing.T) []room {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,Doc,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = program.Root()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var rooms []room
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r room
		if err := dec.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		rooms = append(rooms, r)
	}
	if len(rooms) < 3 {
		t.Fatalf("go list found %d packages", len(rooms))
	}
	return rooms
}

// Arrows point down only, and third parties stay at the edge.
func TestArrows(t *testing.T) {
	for _, b := range breaches(list(t)) {
		t.Error(b)
	}
}

// A guard that never barks is no guard: each rule finds a breach of itself.
func TestArrows_FindBreaches(t *testing.T) {
	for from, imports := range map[string][]string{
		"storage/blob":             {"storage/kv", "registry", "auth", "artifacts", "storage/journal", "go.etcd.io/bbolt", "github.com/gorilla/mux"},
		"storage/blob/disk":        {"storage/kv", "storage/blob/s3", "storage/blob/blobtest"},
		"storage/kv":               {"storage/blob", "storage/journal", "storage/kv/bolt", "github.com/jackc/pgx/v5"},
		"storage/kv/postgres":      {"go.etcd.io/bbolt", "storage/kv/bolt"},
		"storage/journal":          {"storage/blob", "registry", "storage/kv/bolt"},
		"registry":                 {"auth", "artifacts", "registry/api", "storage/blob/disk", "storage/kv/bolt", "github.com/gorilla/mux", "oras.land/oras-go/v2/registry/remote", "conformance/program", "testing"},
		"registry/api":             {"storage/kv", "storage/blob", "registry/upstream", "artifacts/portal", "auth/token", "go.etcd.io/bbolt", "github.com/gorilla/mux"},
		"door":                     {"registry", "registry/api", "auth/login", "storage/kv", "artifacts"},
		"registry/upstream/remote": {"storage/kv", "registry/upstream", "artifacts", "door"},
		"registry/upstream":        {"auth", "artifacts", "registry/api", "github.com/gorilla/mux"},
		"registry/sweep":           {"registry/upstream", "storage/kv/kvtest"},
		"registry/retain":          {"artifacts", "auth", "door", "registry/upstream/mirror"},
		"registry/retain/follow":   {"registry", "storage/kv"},
		"auth":                     {"registry", "artifacts", "registry/api", "auth/account", "storage/kv"},
		"auth/oidc":                {"auth/account", "storage/kv", "door", "github.com/go-ldap/ldap/v3"},
		"auth/login":               {"door", "registry", "auth/api"},
		"auth/api":                 {"registry", "storage/kv", "github.com/gorilla/mux"},
		"auth/token":               {"registry", "artifacts"},
		"artifacts":                {"auth", "registry/api", "registry/upstream", "storage/kv/bolt", "github.com/aws/aws-sdk-go-v2/service/s3"},
		"artifacts/find":           {"artifacts", "registry", "storage/blob"},
		"artifacts/tree":           {"go.yaml.in/yaml/v3", "artifacts/deb/debtest"},
		"artifacts/document":       {"artifacts", "artifacts/version", "storage/kv"},
		"artifacts/deb":            {"artifacts/suite", "registry"},
		"artifacts/suite":          {"artifacts", "registry", "artifacts/document"},
		"artifacts/api":            {"registry/api", "artifacts/deb/debtest", "github.com/ProtonMail/go-crypto/openpgp"},
		"artifacts/portal":         {"registry/api", "auth/token", "artifacts/usage/kubernetes"},
		"cmd/entrepot":             {"conformance/program", "github.com/gorilla/mux", "go.etcd.io/bbolt", "testing"},
		"storage/kv/something":     {"oras.land/oras-go/v2"},
		"somewhere/new":            {"fmt"},
	} {
		for _, to := range imports {
			path := to
			if isRoom(to) {
				path = house + "/" + to
			}
			if len(breaches([]room{{ImportPath: house + "/" + from, Imports: []string{path}}})) == 0 {
				t.Errorf("%s may import %s, and no rule says no", from, to)
			}
		}
	}
}

// Nor does it bark at what is planned.
func TestArrows_LetThePlanThrough(t *testing.T) {
	for from, imports := range map[string][]string{
		"storage/blob/s3":     {"storage/blob", "github.com/aws/aws-sdk-go-v2/service/s3", "github.com/opencontainers/go-digest"},
		"storage/kv/bolt":     {"storage/kv", "go.etcd.io/bbolt"},
		"storage/kv/postgres": {"storage/kv", "github.com/jackc/pgx/v5/pgxpool"},
		"storage/journal":     {"storage/kv"},
		"registry":            {"storage/blob", "storage/kv", "storage/journal"},
		"door":                {"auth", "storage/journal", "github.com/gorilla/mux"},
		"registry/api":        {"registry", "auth", "door"},
		"auth/api":            {"auth", "auth/account", "auth/login", "auth/token", "door"},
		"registry/upstream":   {"registry", "storage/blob", "oras.land/oras-go/v2/registry/remote"},
		"auth/oidc":           {"auth"},
		"auth/token":          {"auth", "storage/kv", "github.com/go-jose/go-jose/v4"},
		"artifacts":           {"registry", "artifacts/document", "artifacts/deb", "storage/kv"},
		"artifacts/portal":    {"artifacts", "auth", "registry", "door"},
		"cmd/entrepot":        {"registry/api", "storage/blob/s3", "storage/kv/bolt", "auth/oidc", "artifacts/portal", "artifacts/usage/kubernetes", "oras.land/oras-go/v2"},
		"conformance/program": {"testing"},
	} {
		for _, to := range imports {
			path := to
			if isRoom(to) {
				path = house + "/" + to
			}
			for _, b := range breaches([]room{{ImportPath: house + "/" + from, Imports: []string{path}}}) {
				t.Error(b)
			}
		}
	}
}

// Every package says what it is for: its comment is its manual.
func TestEveryPackageHasAComment(t *testing.T) {
	for _, r := range list(t) {
		if len(r.GoFiles) == 0 {
			continue // tests only: its manual is the package it tests
		}
		want := "Package " + r.Name + " "
		if r.Name == "main" {
			want = "Command "
		}
		if r.Doc == "" {
			t.Errorf("%s has no package comment", r.path())
		} else if !strings.HasPrefix(r.Doc, want) && r.Name != "main" {
			t.Errorf("the comment of %s begins with %q, want %q", r.path(), firstWords(r.Doc), want)
		}
	}
}

func firstWords(s string) string {
	words := strings.Fields(s)
	return strings.Join(words[:min(3, len(words))], " ")
}

// Shared things are named by their duty: a drawer for odds and ends collects them.
func TestNoPackageIsADrawer(t *testing.T) {
	drawers := []string{"util", "utils", "helper", "helpers", "common", "misc", "shared", "lib", "pkg"}
	for _, r := range list(t) {
		if slices.Contains(drawers, strings.TrimSuffix(r.Name, "_test")) || slices.Contains(drawers, filepath.Base(r.path())) {
			t.Errorf("%s is named after no duty", r.path())
		}
	}
}

// No code runs because it was imported: what is opened, registered or started is so by a visible line in cmd. Nobody imports a test file, so
// that tests may have one.
func TestNoInitFunctions(t *testing.T) {
	files := token.NewFileSet()
	for _, r := range list(t) {
		for _, name := range r.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(r.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s: func init", files.Position(fn.Pos()))
				}
			}
		}
	}
}
