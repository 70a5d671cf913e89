package apt

import (
	"net/http"

	"github.com/entrepot/entrepot/door"
)

// getHome tells people what this is, and which suites there are for them.
func (v *view) getHome(w http.ResponseWriter, r *http.Request, c door.Call) error {
	names, err := v.suites(r.Context(), c)
	if err != nil {
		return err
	}
	base := door.Base(v.url, r) + "/apt"
	text := "This is a repository for apt. To have a host take packages from a suite, run there\n\n" +
		"    curl -fsS '" + base + "/setup.sh?suite=SUITE' | sudo sh\n\n" +
		"Its keys are at " + base + "/key.asc. "
	if len(names) == 0 {
		text += "There is no suite that you may read.\n"
	} else {
		text += "The suites that you may read:\n\n" + lines(names)
	}
	return sendText(w, r, plain, private, []byte(text))
}

// getSuites lists the suites that the caller may pull, in a line each.
func (v *view) getSuites(w http.ResponseWriter, r *http.Request, c door.Call) error {
	names, err := v.suites(r.Context(), c)
	if err != nil {
		return err
	}
	return sendText(w, r, plain, private, []byte(lines(names)))
}
