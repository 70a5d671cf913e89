package api

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/intake"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// getFile serves a file of a version.
func (a *api) getFile(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.file(w, r, c, args(c)[1:]...)
}

func (a *api) getManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.file(w, r, c, args(c)[1], "manifest.yaml")
}

func (a *api) getMetadata(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.file(w, r, c, "metadata.yaml")
}

func (a *api) getSums(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.file(w, r, c, "SHA256SUMS")
}

func (a *api) file(w http.ResponseWriter, r *http.Request, c door.Call, path ...string) error {
	number, err := numberOf(args(c)[0])
	if err != nil {
		return err
	}
	if len(path) == 2 {
		if _, err := formatOf(path[0]); err != nil {
			return err
		}
	}
	if a.File == nil {
		return unknown("file "+quote(strings.Join(path, "/")), "pull it with an OCI client")
	}
	return a.File(w, r, c, c.On, number, strings.Join(path, "/"))
}

// putFile keeps a file of a version.
func (a *api) putFile(w http.ResponseWriter, r *http.Request, c door.Call) error {
	number, format, err := numberAndFormat(c)
	if err != nil {
		return err
	}
	if format == artifacts.Docker {
		return invalid("an image is no file; push it with docker push %s/%s:%s", a.host(r), c.On, number)
	}
	name := args(c)[2]
	var kept intake.Kept
	err = c.Receive(w, r, func(body *door.Body) error {
		src, err := checked(r, body)
		if err != nil {
			return err
		}
		put := intake.Put{Judge: mayAttach(r, c)} // no tag is moved away from anything: see intake.Put
		if format == artifacts.Deb {
			kept, err = a.Shelf.Deb(c.By(r), c.On, number, name, r.ContentLength, src, put)
		} else {
			kept, err = a.Shelf.File(c.By(r), c.On, number, format, name, r.Header.Get("Content-Type"), r.ContentLength, src, put)
		}
		return err
	})
	return taken(w, r, kept, err)
}

// putManifest attaches a manifest.yaml to a format of a version.
func (a *api) putManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	format, err := formatOf(args(c)[1])
	if err != nil {
		return err
	}
	return a.putDocument(w, r, c, format, document.KindManifest)
}

// putMetadata attaches a metadata.yaml to a version.
func (a *api) putMetadata(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.putDocument(w, r, c, "", document.KindMetadata)
}

func (a *api) putDocument(w http.ResponseWriter, r *http.Request, c door.Call, format artifacts.Kind, kind document.Kind) error {
	number, err := numberOf(args(c)[0])
	if err != nil {
		return err
	}
	if err := c.Ask(r.Context(), auth.Attach, c.On); err != nil {
		return err
	}
	text, err := bodyOf(w, r, c, kind.MaxSize())
	if err != nil {
		return err
	}
	kept, err := a.Shelf.Document(c.By(r), c.On, number, format, kind, text, intake.Put{Judge: mayAttach(r, c)})
	return taken(w, r, kept, err)
}

func (a *api) putOwnership(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.putOwner(w, r, c, document.KindOwnership)
}

func (a *api) putPolicy(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.putOwner(w, r, c, document.KindPolicy)
}

// putOwner keeps a document of a group. Whoever governs it may replace it, so that nothing else is asked.
func (a *api) putOwner(w http.ResponseWriter, r *http.Request, c door.Call, kind document.Kind) error {
	text, err := bodyOf(w, r, c, kind.MaxSize())
	if err != nil {
		return err
	}
	kept, err := a.Shelf.Owner(c.By(r), c.On, kind, text, intake.Put{})
	return taken(w, r, kept, err)
}

// taken answers for what was kept.
func taken(w http.ResponseWriter, r *http.Request, kept intake.Kept, err error) error {
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if kept.Same {
		status = http.StatusOK
	}
	w.Header().Set("Location", path.Dir(r.URL.EscapedPath())+"/"+url.PathEscape(kept.Name))
	return respondJSON(w, status, kept)
}

func (a *api) getOwnership(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.getOwner(w, r, c, document.KindOwnership)
}

func (a *api) getPolicy(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.getOwner(w, r, c, document.KindPolicy)
}

// getOwner serves a document of a group exactly as it was pushed.
func (a *api) getOwner(w http.ResponseWriter, r *http.Request, c door.Call, kind document.Kind) error {
	look := a.Catalog.Owner
	if kind == document.KindPolicy {
		look = a.Catalog.Policy
	}
	row, err := look(r.Context(), c.On)
	if err != nil {
		return lack(err, fmt.Sprintf("%s.yaml of %s", kind, c.On), fmt.Sprintf("PUT it here, or push it to %s:%s", c.On, kind))
	}
	return send(w, r, c, yamlText, []byte(row.Text))
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
