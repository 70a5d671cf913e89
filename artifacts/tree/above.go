package tree

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// getAbove serves what is not a component's: the folders above, and the owners of groups.
func (t *Tree) getAbove(w http.ResponseWriter, r *http.Request, c door.Call) error {
	rest := strings.TrimPrefix(r.URL.Path, root)
	switch rest {
	case "", "/components":
		return redirect(w, r)
	case "/":
		return t.show(w, r, c, Listing{Entries: []Entry{folderEntry("components", time.Time{})}})
	}
	rest, ok := strings.CutPrefix(rest, "/components/")
	if group, file := strings.CutSuffix(rest, "/"+ownership); ok && file && strings.Count(group, "/") == 1 && registry.ValidName(group) {
		return t.getOwner(w, r, c, group)
	}
	folder, slash := strings.CutSuffix(rest, "/")
	if !ok || strings.Count(folder, "/") > 1 || rest != "" && !registry.ValidName(folder) {
		return unknown("the tree begins at %s, and below a component is versions/", components)
	}
	if rest == "" {
		slash = true
	}
	return t.getFolder(w, r, c, folder, slash)
}

// getFolder serves the folder of all components (""), of a domain, or of a group.
func (t *Tree) getFolder(w http.ResponseWriter, r *http.Request, c door.Call, folder string, slash bool) error {
	prefix := folder + "/"
	if folder == "" {
		prefix = ""
	}
	limit := t.page
	if !slash {
		limit = 1
	}
	after := c.Query.Get("after")
	found, next, err := t.names(r.Context(), c, prefix, after, limit)
	if err != nil {
		return err
	}
	l := Listing{Entries: found, Next: next}
	if strings.Contains(folder, "/") && after == "" {
		if l.Entries, err = t.addOwner(r.Context(), c, folder, found); err != nil {
			return err
		}
	}
	switch {
	case len(l.Entries) == 0 && after == "" && folder != "":
		return t.hidden(r.Context(), c, folder)
	case !slash:
		return redirect(w, r)
	}
	return t.show(w, r, c, l)
}

// hidden is the answer where a folder has nothing that the caller may see. Nobody in particular is asked to log in: that could help.
func (t *Tree) hidden(ctx context.Context, c door.Call, folder string) error {
	if err := c.Ask(ctx, auth.Pull, folder); err != nil {
		return err
	}
	return &door.Refusal{Answer: door.Unknown, Detail: map[string]string{"name": folder}}
}

// names returns the first parts behind a prefix of the components that the caller may pull, from a name on; next is where the rest begins, if there is more.
// Of each folder it reads until there is something to be seen, and no further.
func (t *Tree) names(ctx context.Context, c door.Call, prefix, after string, limit int) (found []Entry, next string, err error) {
	from := prefix
	if after != "" {
		from = behind(prefix, after)
	}
	for {
		one, err := t.first(ctx, c, prefix, from)
		if err != nil || one.Name == "" {
			return found, "", err
		}
		name, _, deeper := strings.Cut(one.Name[len(prefix):], "/")
		if len(found) == limit {
			return found, found[limit-1].Name, nil
		}
		e := folderEntry(name, time.Time{})
		if !deeper {
			e.Modified = one.Created.UTC().Truncate(time.Second)
		}
		found = append(found, e)
		from = behind(prefix, name)
	}
}

// behind is a name that comes after all components of a folder, or after the component itself, and before the next.
func behind(prefix, name string) string {
	if strings.Count(prefix, "/") == 2 {
		return prefix + name
	}
	return prefix + name + "/\xff"
}

// first returns the first component after a name whose own begins with the prefix and that the caller may pull; without a name if there is none.
func (t *Tree) first(ctx context.Context, c door.Call, prefix, after string) (artifacts.Component, error) {
	for one, err := range t.catalog.Components(ctx, after) {
		switch {
		case err != nil:
			return artifacts.Component{}, err
		case !strings.HasPrefix(one.Name, prefix):
			return artifacts.Component{}, nil
		case c.May(ctx, auth.Pull, one.Name):
			return one, nil
		}
	}
	return artifacts.Component{}, nil
}

// addOwner adds the ownership.yaml of a group to its folder, for whoever sees that.
func (t *Tree) addOwner(ctx context.Context, c door.Call, group string, entries []Entry) ([]Entry, error) {
	if len(entries) == 0 && !c.May(ctx, auth.Pull, group) {
		return nil, nil
	}
	owner, err := t.catalog.Owner(ctx, group)
	if errors.Is(err, artifacts.ErrUnknown) {
		return entries, nil
	}
	if err != nil {
		return nil, err
	}
	i := document(ownership, owner)
	return append(entries, fileEntry(ownership, &i)), nil
}

// getOwner serves the ownership.yaml of a group, which whoever may pull one of its components may read.
func (t *Tree) getOwner(w http.ResponseWriter, r *http.Request, c door.Call, group string) error {
	ctx := r.Context()
	one, err := t.first(ctx, c, group+"/", group+"/")
	if err != nil {
		return err
	}
	if one.Name == "" && !c.May(ctx, auth.Pull, group) {
		return t.hidden(ctx, c, group)
	}
	owner, err := t.catalog.Owner(ctx, group)
	if errors.Is(err, artifacts.ErrUnknown) {
		return unknown("%s has no %s; push one to %s:ownership", group, ownership, group)
	}
	if err != nil {
		return err
	}
	return t.send(w, r, c, group, document(ownership, owner))
}
