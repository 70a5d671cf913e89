package api

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// component is one entry of the list of components.
type component struct {
	Name         string            `json:"name"`
	Domain       string            `json:"domain"` // that owns it: cloud
	Group        string            `json:"group"`  // cloud/dmp
	Created      time.Time         `json:"created"`
	Latest       string            `json:"latest,omitempty"` // the highest version that is known good
	LatestDigest digest.Digest     `json:"latestDigest,omitempty"`
	Team         string            `json:"team,omitempty"`
	Deployed     map[string]string `json:"deployed"` // versions by place
}

// listComponents searches for components.
func (a *api) listComponents(w http.ResponseWriter, r *http.Request, c door.Call) error {
	q, err := a.query(r.Context(), c)
	if err != nil {
		return err
	}
	found, err := a.Catalog.FindComponents(r.Context(), q)
	if err != nil {
		return err
	}
	var items []component
	for _, row := range found.Components {
		item, err := a.describe(r.Context(), row, q.At)
		if err != nil {
			return err
		}
		items = append(items, item)
	}
	return list(w, r, c, items, found.Next)
}

// getComponent tells of one.
func (a *api) getComponent(w http.ResponseWriter, r *http.Request, c door.Call) error {
	row, err := a.Catalog.Component(r.Context(), c.On)
	if err != nil {
		return lack(err, "component "+c.On, "it begins with its first version: push one")
	}
	item, err := a.describe(r.Context(), row, time.Time{})
	if err != nil {
		return err
	}
	owner, err := a.owner(r.Context(), item.Group)
	if err != nil {
		return err
	}
	return show(w, r, c, struct {
		component
		Owner *document.Ownership `json:"owner,omitempty"`
	}{item, owner})
}

// describe adds to a component what people look for: at a time, or (zero) now.
func (a *api) describe(ctx context.Context, row artifacts.Component, at time.Time) (component, error) {
	domain, _, _ := strings.Cut(row.Name, "/")
	item := component{Name: row.Name, Domain: domain, Group: path.Dir(row.Name), Created: row.Created, Latest: row.Latest, Deployed: map[string]string{}}
	if row.Latest != "" {
		resolved, err := a.Catalog.Resolve(ctx, row.Name, row.Latest)
		if err != nil && !gone(err) {
			return item, err
		}
		item.LatestDigest = resolved.Digest
		v, err := a.Catalog.Version(ctx, row.Name, row.Latest)
		if err != nil && !gone(err) {
			return item, err
		}
		item.Team = v.Team
	}
	places, err := a.deployedOf(ctx, row.Name, at)
	for _, d := range places {
		item.Deployed[d.Tag()] = d.Version
	}
	return item, err
}

// gone tells whether an error says that something does not exist, as when it was deleted between two looks.
func gone(err error) bool {
	var refused *artifacts.Refused
	return errors.Is(err, artifacts.ErrUnknown) || errors.As(err, &refused) && refused.Code == artifacts.NotThere
}

// owner reads the ownership.yaml of a group; nil: there is none, or none that can be read.
func (a *api) owner(ctx context.Context, group string) (*document.Ownership, error) {
	row, err := a.Catalog.Owner(ctx, group)
	if errors.Is(err, artifacts.ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	doc, _ := document.Parse(document.KindOwnership, []byte(row.Text))
	owner, _ := doc.(*document.Ownership)
	return owner, nil
}

// query reads the filters of a search. The caller finds what they may pull.
func (a *api) query(ctx context.Context, c door.Call) (q artifacts.Query, err error) {
	get := c.Query.Get
	q = artifacts.Query{
		Group: get("group"), Team: get("team"), Domain: get("domain"), Environment: get("env"), Text: get("q"),
		After: get("after"), May: a.may(ctx, c),
	}
	if q.Component, err = componentOf(c); err != nil {
		return q, err
	}
	if q.Commit, err = commitOf(c.Query.Get("commit")); err != nil {
		return q, err
	}
	if q.Format, err = oneOf(c, "format", formats...); err != nil {
		return q, err
	}
	if text := get("arch"); text != "" {
		arch, ok := document.ParseArchitecture(text)
		if !ok {
			return q, badQuery("arch", text, "write an architecture, as amd64 or arm64")
		}
		q.Architecture = string(arch)
	}
	level, err := oneOf(c, "level", string(artifacts.Deny), string(artifacts.Warn))
	if err != nil {
		return q, err
	}
	q.Level = artifacts.Level(level)
	if q.Good, err = boolean(c, "good"); err != nil {
		return q, err
	}
	if q.At, err = a.at(c); err != nil {
		return q, err
	}
	sort, err := oneOf(c, "sort", "name", "newest")
	if err != nil {
		return q, err
	}
	q.Newest = sort == "newest"
	if text := get("port"); text != "" {
		if q.Port, err = strconv.Atoi(text); err != nil || q.Port < 1 || q.Port > 65535 {
			return q, badQuery("port", text, "write a number from 1 to 65535")
		}
	}
	for _, text := range c.Query["label"] {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return q, badQuery("label", text, "write a label and its value, as team=infra")
		}
		if q.Label == nil {
			q.Label = map[string]string{}
		}
		q.Label[key] = value
	}
	q.Limit, err = limit(c)
	return q, err
}

// commitOf reads a commit, or the begin of one.
func commitOf(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	sha := strings.ToLower(text)
	if len(sha) < 4 || len(sha) > 64 || strings.Trim(sha, "0123456789abcdef") != "" {
		return "", badQuery("commit", text, "write 4 to 64 hexadecimal digits of a commit")
	}
	return sha, nil
}

// may tells of which components the caller may know.
func (a *api) may(ctx context.Context, c door.Call) func(component string) bool {
	return func(component string) bool { return c.May(ctx, auth.Pull, component) }
}
