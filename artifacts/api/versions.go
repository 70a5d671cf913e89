package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// listVersions searches for versions.
func (a *api) listVersions(w http.ResponseWriter, r *http.Request, c door.Call) error {
	q, err := a.query(r.Context(), c)
	if err != nil {
		return err
	}
	return a.find(w, r, c, q)
}

// listVersionsOf searches among those of a component.
func (a *api) listVersionsOf(w http.ResponseWriter, r *http.Request, c door.Call) error {
	q, err := a.query(r.Context(), c)
	if err != nil {
		return err
	}
	if _, err := a.Catalog.Component(r.Context(), c.On); err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	q.Component = c.On
	return a.find(w, r, c, q)
}

// listCommit lists what was built from a commit.
func (a *api) listCommit(w http.ResponseWriter, r *http.Request, c door.Call) error {
	sha, err := commitOf(c.Last)
	if err != nil {
		return err
	}
	n, err := limit(c)
	if err != nil {
		return err
	}
	after := c.Query.Get("after")
	var items []artifacts.Version
	last, next := "", ""
	for v, err := range a.Catalog.Commit(r.Context(), sha) {
		if err != nil {
			return err
		}
		key := v.Commit + "!" + v.Component + "!" + v.Version // they come in this order
		if key <= after || !c.May(r.Context(), auth.Pull, v.Component) {
			continue
		}
		if len(items) == n {
			next = last
			break
		}
		items, last = append(items, v), key
	}
	if len(items) == 0 && after == "" {
		return unknown("version of commit "+sha, "is its image labelled org.opencontainers.image.revision?")
	}
	return list(w, r, c, items, next)
}

func (a *api) find(w http.ResponseWriter, r *http.Request, c door.Call, q artifacts.Query) error {
	found, err := a.Catalog.Find(r.Context(), q)
	if err != nil {
		return err
	}
	return list(w, r, c, found.Versions, found.Next)
}

// getVersion tells all that is known of a version.
func (a *api) getVersion(w http.ResponseWriter, r *http.Request, c door.Call) error {
	number, err := numberOf(c.Last)
	if err != nil {
		return err
	}
	s, err := a.state(r.Context(), c.On, number)
	if err != nil {
		return err
	}
	deployed := []string{}
	for d, err := range a.Catalog.DeployedOf(r.Context(), c.On) {
		if err != nil {
			return err
		}
		if d.Version == number {
			deployed = append(deployed, d.Tag())
		}
	}
	return show(w, r, c, struct {
		artifacts.State
		Deployed []string                    `json:"deployed"` // places
		Pull     map[artifacts.Kind][]string `json:"pull"`     // commands, by format
	}{s, deployed, a.commands(r, s.Version)})
}

func (a *api) state(ctx context.Context, name, number string) (artifacts.State, error) {
	s, err := a.Catalog.State(ctx, name, number)
	return s, lack(err, "version "+number+" of "+name, "ask for /api/v1/components/"+name+"/versions")
}

// commands are what one types to have a version, by its formats.
func (a *api) commands(r *http.Request, v artifacts.Version) map[artifacts.Kind][]string {
	host, all := a.host(r), map[artifacts.Kind][]string{}
	for format, f := range v.Formats {
		if format == artifacts.Release {
			continue // an index of the others
		}
		ref := host + "/" + v.Component + ":" + f.Tag
		switch {
		case format == artifacts.Docker && host != "":
			all[format] = []string{"docker pull " + ref}
		case host != "":
			all[format] = []string{"oras pull " + ref}
		}
		for _, file := range f.Files {
			if p := file.Package; p != nil {
				all[format] = append(all[format], "apt-get install "+p.Name+"="+p.Version)
			}
		}
		slices.Sort(all[format])
		all[format] = slices.Compact(all[format])
	}
	return all
}

// host is the registry's, as it stands before the name of a repository.
func (a *api) host(r *http.Request) string {
	_, host, _ := strings.Cut(door.Base(a.URL, r), "://")
	return host
}

// getLatest tells the latest version that is known good.
func (a *api) getLatest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.resolve(w, r, c, "latest")
}

// getResolved tells which version a tag names, a commit, or a place.
func (a *api) getResolved(w http.ResponseWriter, r *http.Request, c door.Call) error {
	return a.resolve(w, r, c, c.Last)
}

func (a *api) resolve(w http.ResponseWriter, r *http.Request, c door.Call, ref string) error {
	format, err := oneOf(c, "format", "json", "version")
	if err != nil {
		return err
	}
	found, err := a.Catalog.Resolve(r.Context(), c.On, ref)
	if err != nil {
		return lack(err, quote(ref)+" of "+c.On, "write latest, a version, a place as cloud.prod, or commit- and the commit; "+
			"latest needs a version with all its documents")
	}
	if asText := wantsText(w, r); format == "version" || format == "" && asText {
		return send(w, r, c, plainText, []byte(found.Version+"\n"))
	}
	pull := ""
	if host := a.host(r); host != "" {
		pull = host + "/" + c.On + "@" + string(found.Digest)
	}
	return show(w, r, c, struct {
		artifacts.Resolution
		Pull string `json:"pull,omitempty"` // exactly this, wherever the tag moves
	}{found, pull})
}

// draftManifest writes what the registry knows for a manifest.yaml; the rest is for people.
func (a *api) draftManifest(w http.ResponseWriter, r *http.Request, c door.Call) error {
	number, format, err := numberAndFormat(c)
	if err != nil {
		return err
	}
	m, err := a.Catalog.DraftManifest(r.Context(), c.On, number, format)
	if err != nil {
		return lack(err, "format "+string(format)+" of version "+number+" of "+c.On, "push it first")
	}
	return send(w, r, c, yamlText, document.Render(m))
}

// draftMetadata does so for a metadata.yaml.
func (a *api) draftMetadata(w http.ResponseWriter, r *http.Request, c door.Call) error {
	number, err := numberOf(c.Last)
	if err != nil {
		return err
	}
	m, err := a.Catalog.DraftMetadata(r.Context(), c.On, number)
	if err != nil {
		return lack(err, "version "+number+" of "+c.On, "push it first")
	}
	return send(w, r, c, yamlText, document.Render(m))
}

const yamlText = "application/yaml" // RFC 9512
