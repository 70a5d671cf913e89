package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/version"
	repositories "github.com/entrepot/entrepot/registry"
)

// componentRef names a component on a server, and perhaps a version of it.
type componentRef struct {
	server string
	name   string // cloud/dmp/ms-ingestion
	ref    string // what stands behind @ or :, as 1.0.2, latest, cloud.prod or commit-0a1b2c3; empty: nothing
}

// path is where the component is in the API.
func (r componentRef) path() string { return "/components/" + r.name }

// version is where a version of it is.
func (r componentRef) version(number string) string {
	return r.path() + "/versions/" + url.PathEscape(number)
}

// String leaves the server away: it is said where it matters.
func (r componentRef) String() string {
	if r.ref == "" {
		return r.name
	}
	return r.name + "@" + printable(r.ref)
}

// parseComponent reads [HOST/]COMPONENT[@REF|:REF]; without a host it is one on server.
func parseComponent(text, server string) (componentRef, error) {
	r := componentRef{}
	r.server, r.name = splitHost(text, server)
	if (registry.Reference{Registry: r.server}).ValidateRegistry() != nil {
		return r, fmt.Errorf("%s begins with %s, which is no host; write it as HOST[:PORT]/COMPONENT", printable(text), printable(r.server))
	}
	r.name = strings.TrimPrefix(r.name, "components/")
	if at := strings.IndexAny(r.name, "@:"); at >= 0 {
		r.name, r.ref = r.name[:at], r.name[at+1:]
		if r.ref == "" {
			return r, fmt.Errorf("%s ends where a version should follow; write it as %s@1.0.2, or name the component alone", printable(text), printable(r.name))
		}
	}
	if !artifacts.IsComponent(r.name) || !repositories.ValidName(r.name) {
		return r, fmt.Errorf("%s is no component; write DOMAIN/GROUP/SERVICE in small letters, as cloud/dmp/ms-ingestion", printable(text))
	}
	return r, nil
}

// parseComponentAlone reads a component without a version.
func parseComponentAlone(text, server string) (componentRef, error) {
	r, err := parseComponent(text, server)
	if err == nil && r.ref != "" {
		err = fmt.Errorf("%s names one version; leave away what is behind the component's name", printable(text))
	}
	return r, err
}

// parseComponentVersion reads a component with the number of a version.
func parseComponentVersion(text, server string) (r componentRef, number string, err error) {
	if r, err = parseComponent(text, server); err != nil {
		return r, "", err
	}
	number, ok := versionNumber(r.ref)
	if !ok {
		return r, "", fmt.Errorf("%s names no version; write COMPONENT@VERSION, as %s@1.0.2", printable(text), r.name)
	}
	return r, number, nil
}

// versionNumber reads a version as SemVer writes it, with a v before it or not.
func versionNumber(text string) (number string, ok bool) {
	v, err := version.Parse(text)
	return v.String(), err == nil
}

// parseGroup reads [HOST/]DOMAIN/GROUP, which has documents of its own.
func parseGroup(text, server string) (host, name string, ok bool) {
	host, name = splitHost(text, server)
	name = strings.TrimPrefix(name, "components/")
	valid := (registry.Reference{Registry: host}).ValidateRegistry() == nil
	return host, name, valid && strings.Count(name, "/") == 1 && repositories.ValidName(name)
}

// resolution is what a name of a version comes down to.
type resolution struct {
	artifacts.Resolution
	Pull string `json:"pull"` // HOST/COMPONENT@DIGEST
}

// resolve finds out what a reference comes down to. Nothing means latest.
func (c *client) resolve(ctx context.Context, r componentRef, out any) error {
	ref := r.ref
	if ref == "" {
		ref = "latest"
	}
	return noVersion(c.get(ctx, r.server, r.path()+"/resolve/"+url.PathEscape(ref), nil, out), r)
}

// state asks for all that is known of a version.
func (c *client) state(ctx context.Context, r componentRef, number string, out any) error {
	return noVersion(c.get(ctx, r.server, r.version(number), nil, out), r)
}

// number returns the version that a reference names: the number itself, or what latest (or nothing), a place or a commit comes down to.
func (c *client) number(ctx context.Context, r componentRef) (string, error) {
	if number, ok := versionNumber(r.ref); ok {
		return number, nil
	}
	var found resolution
	err := c.resolve(ctx, r, &found)
	return found.Version, err
}
