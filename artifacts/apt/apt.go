// Package apt is the door of the apt view: what apt-get asks of a repository, answered from the suites of the catalog.
//
//	handler := door.New(config, apt.Routes(apt.Config{Catalog: catalog, Registry: reg, Keys: keys, Shelf: shelf})...)
//
//	deb [signed-by=/etc/apt/keyrings/entrepot-registry.example.com.asc] https://registry.example.com/apt cloud-prod dmp
//
// Below /apt there are
//
//	dists/<suite>/…                  InRelease, Release, Release.gpg and the lists, by their names and by their hashes
//	pool/<domain>/<group>/<service>/ the packages
//	snapshots/                       which dates of a suite are kept: ?suite=cloud-prod
//	snapshots/<date>/…               dists and pool as they were then, as 20260102T030405Z: a base URI of its own for sources.list
//	key.asc, setup.sh, pin/<suite>   the keys that sign, a script that sets up a host, preferences that hold a host at what is deployed
//	upload/<component>/<file>.deb    PUT stores a package as a version of a component
//
// The promises:
//
//   - A request reads one snapshot. The lists of a snapshot that has been replaced stay under their hashes, so that a client that has read one InRelease gets
//     the lists of that one. (Who asks for a list by its name may get that of the next snapshot: that is what the hashes are for.)
//   - A suite is read by who may pull apt/<suite>, and a package by who may pull its component, or a suite that lists it, or did once.
//     Nobody learns of a suite or a component that is not for them, not even that it exists.
//   - Content goes out as it is stored: no Content-Encoding, in ranges if asked for, and by sendfile. What never changes under its path says so (immutable), and
//     may be kept by caches between only if everybody may read it; the rest is asked for again (no-cache) and answered 304 if it is the same.
//   - Errors are a line of text.
//
// What a suite is made of is left to packages artifacts and suite, storing a package to package intake, and who may do what to the policy.
// Formats and paths are those of Debian's repositories (the wiki page DebianRepository/Format, sources.list(5), apt_auth.conf(5)).
package apt

import (
	"log/slog"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// Config is what the view stands on.
type Config struct {
	Catalog  *artifacts.Catalog
	Registry *registry.Registry
	Keys     *suite.Keys
	Shelf    *intake.Shelf
	URL      string       // how clients reach the registry; empty: as the request did
	Log      *slog.Logger // default: none
}

// view serves suites.
type view struct {
	catalog  *artifacts.Catalog
	registry *registry.Registry
	keys     *suite.Keys
	shelf    *intake.Shelf
	url      string
	log      *slog.Logger
}

// Routes returns the table. Its last routes take all that begins with /apt/: who puts them in front of others should know.
func Routes(c Config) []door.Route {
	v := &view{catalog: c.Catalog, registry: c.Registry, keys: c.Keys, shelf: c.Shelf, url: c.URL, log: c.Log}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	return v.routes()
}
