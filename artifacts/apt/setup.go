package apt

import (
	_ "embed"
	"net/http"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// login is the script for a suite that is not open to everybody, with the words that getSetup puts in as @word@.
//
//go:embed login.sh
var login string

// getSetup writes the script that sets up a host for a suite. Everybody gets one, and nobody has logged in: of a suite that is not open to everybody it tells
// nothing. That script asks for what it needs to know with the host's own login, and then for the one that is made of it (component=…).
func (v *view) getSetup(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := knows(c.Query, "suite", "component"); err != nil {
		return err
	}
	name, components := c.Query.Get("suite"), c.Query["component"]
	if err := suite.CheckName(name); err != nil {
		return badRequest("name a suite, as /apt/setup.sh?suite=cloud-prod: " + err.Error())
	}
	base := door.Base(v.url, r)
	if base == "" {
		return badRequest("the header Host names no host that a script could be written for")
	}
	base += "/apt"
	open := c.May(r.Context(), auth.Pull, artifacts.SuiteRepo(name))
	if len(components) == 0 && open {
		s, err := v.suite(r.Context(), name)
		if err != nil {
			return err
		}
		components = componentsOf(s)
	}
	ask := len(components) == 0
	if ask {
		components = []string{"unknown"} // for Setup to check the rest
	}
	text, err := suite.Setup(base, name, components, base+"/key.asc")
	if err != nil {
		return badRequest(err.Error())
	}
	if ask {
		text = strings.NewReplacer("@base@", base, "@suite@", name).Replace(login)
	}
	return sendText(w, r, plain, askAgain, []byte(text))
}

// componentsOf returns the components of a suite, sorted.
func componentsOf(s suite.Snapshot) (all []string) {
	for name := range s.Files {
		if component, _, ok := strings.Cut(name, "/binary-"); ok {
			all = append(all, component)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
