package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// componentsYAML serves components.yaml, componentsJSON the same as JSON.
func (a *api) componentsYAML(w http.ResponseWriter, r *http.Request, c door.Call) error {
	doc, err := a.componentsFile(r, c)
	if err != nil {
		return err
	}
	return send(w, r, c, yamlText, document.Render(doc))
}

func (a *api) componentsJSON(w http.ResponseWriter, r *http.Request, c door.Call) error {
	doc, err := a.componentsFile(r, c)
	if err != nil {
		return err
	}
	return show(w, r, c, doc)
}

func (a *api) componentsFile(r *http.Request, c door.Call) (*document.Components, error) {
	at, err := a.at(c)
	if err != nil {
		return nil, err
	}
	doc, err := a.Catalog.ComponentsFile(r.Context(), at, a.mayInIndex(r.Context(), c))
	if err == nil && doc.Components == nil {
		doc.Components = []document.Latest{}
	}
	return doc, err
}

// domainYAML serves domain-<d>-<env>.yaml and domain-<d>.yaml, domainJSON the same as JSON.
func (a *api) domainYAML(w http.ResponseWriter, r *http.Request, c door.Call) error {
	doc, err := a.domainFile(r, c)
	if err != nil {
		return err
	}
	return send(w, r, c, yamlText, document.Render(doc))
}

func (a *api) domainJSON(w http.ResponseWriter, r *http.Request, c door.Call) error {
	doc, err := a.domainFile(r, c)
	if err != nil {
		return err
	}
	return show(w, r, c, doc)
}

func (a *api) domainFile(r *http.Request, c door.Call) (*document.Domain, error) {
	at, err := a.at(c)
	if err != nil {
		return nil, err
	}
	may := a.mayInIndex(r.Context(), c)
	p, err := a.placeOfFile(r.Context(), c.Last, may)
	if err != nil {
		return nil, err
	}
	doc, err := a.Catalog.DomainFile(r.Context(), p, at, may)
	if err == nil && doc.Components == nil {
		doc.Components = []document.Deployed{}
	}
	return doc, err
}

// indexReader is the name that those may pull who see the whole index.
const indexReader = "index"

// mayInIndex tells which components the caller sees in the index; nil: all.
func (a *api) mayInIndex(ctx context.Context, c door.Call) func(string) bool {
	if c.May(ctx, auth.Pull, indexReader) {
		return nil
	}
	return a.may(ctx, c)
}

// placeOfFile finds the place that a domain's file is about, by what its name has after domain-, among those where something that may be seen is or was
// deployed.
func (a *api) placeOfFile(ctx context.Context, name string, may func(string) bool) (artifacts.Place, error) {
	found, err := artifacts.PlacesOf("domain-"+name+".yaml", func(p artifacts.Place) (bool, error) { return a.visible(ctx, p, may) })
	if err != nil {
		return artifacts.Place{}, err
	}
	switch len(found) {
	case 0:
		return artifacts.Place{}, noPlace("domain file " + quote("domain-"+name+".yaml"))
	case 1:
		return found[0], nil
	}
	var addresses []string
	for _, p := range found {
		addresses = append(addresses, "/api/v1/places/"+p.Tag())
	}
	return artifacts.Place{}, &door.Refusal{Answer: ambiguous, Detail: map[string]string{"hint": "it may be each of several places; ask for " + strings.Join(addresses, " or ")}}
}
