package apt

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// maxVersion is the longest version that is looked at: that of a tag.
const maxVersion = registry.MaxTag

var encoded = door.Answer{Status: http.StatusUnsupportedMediaType, Code: "UNSUPPORTED", Message: "the body has an encoding of its own"}

// putPackage stores a package as a version of a component: the one that the query names, else the package's own.
func (v *view) putPackage(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := knows(c.Query, "version"); err != nil {
		return err
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return &door.Refusal{Answer: encoded, Detail: hint("send the package as it is, without Content-Encoding")}
	}
	if !strings.HasSuffix(c.Last, ".deb") {
		return badRequest("only packages are taken here, and their names end in .deb; " + v.example(r, c.On))
	}
	version := strings.TrimPrefix(c.Query.Get("version"), "v")
	if len(version) > maxVersion {
		return badRequest(fmt.Sprintf("the version has more than %d characters; write it as 1.0.2", maxVersion))
	}
	var kept intake.Kept
	err := c.Receive(w, r, func(body *door.Body) (err error) {
		kept, err = v.shelf.Deb(c.By(r), c.On, version, c.Last, r.ContentLength, body, intake.Put{Judge: mayAttach(r, c)})
		return err
	})
	if err != nil {
		return err
	}
	next := fmt.Sprintf("promote %s %s to a place, as cloud.prod, with POST /api/v1/promotions: then apt finds it in that place's suite, as cloud-prod", kept.Repo, kept.Version)
	body, err := json.Marshal(struct {
		intake.Kept
		Next string `json:"next"`
	}{kept, next})
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("X-Content-Type-Options", "nosniff")
	if kept.Same {
		w.WriteHeader(http.StatusOK)
	} else {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// noName answers a PUT whose path is not that of a package.
func (v *view) noName(_ http.ResponseWriter, r *http.Request, _ door.Call) error {
	return badRequest("the path of a package is /apt/upload/<domain>/<group>/<service>/<file>.deb; " + v.example(r, "cloud/dmp/ms-ingestion"))
}

func (v *view) example(r *http.Request, component string) string {
	return "write: curl -T ms-ingestion_1.0.2_amd64.deb '" + door.Base(v.url, r) + "/apt/upload/" + component + "/?version=1.0.2'"
}

// mayAttach asks for the right to attach, of whoever stores what refers to something.
func mayAttach(r *http.Request, c door.Call) func(*registry.Manifest) error {
	return func(m *registry.Manifest) error {
		if m.Subject == nil {
			return nil
		}
		return c.Ask(r.Context(), auth.Attach, c.On)
	}
}
