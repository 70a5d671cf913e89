package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// verdict is what was found out about a document.
type verdict struct {
	Kind     document.Kind       `json:"kind"`
	Valid    bool                `json:"valid"` // nothing is denied
	Findings []artifacts.Finding `json:"findings"`
}

// auto lets the name of the file tell the kind.
const auto = "auto"

// validate judges a document without keeping it.
func (a *api) validate(w http.ResponseWriter, r *http.Request, c door.Call) error {
	file := c.Query.Get("file")
	if strings.ContainsFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return badQuery("file", file, "it has characters that no name of a file has")
	}
	kind, err := kindOf(c.Last, file)
	if err != nil {
		return err
	}
	about, err := a.about(r.Context(), c, kind, file)
	if err != nil {
		return err
	}
	text, err := bodyOf(w, r, c, kind.MaxSize())
	if err != nil {
		return err
	}
	about.May = a.may(r.Context(), c)
	all, denied, err := a.Catalog.Validate(r.Context(), kind, text, about)
	if err != nil {
		return err
	}
	all, denied = hide(kind, text, a.may(r.Context(), c), all, denied)
	v := verdict{kind, !denied, []artifacts.Finding{}}
	for _, f := range all {
		if file != "" {
			f.File = file
		}
		v.Findings = append(v.Findings, f)
	}
	return v.tell(w, r)
}

// tell answers in the form that is asked for.
func (v verdict) tell(w http.ResponseWriter, r *http.Request) error {
	status := http.StatusOK
	if !v.Valid {
		status = http.StatusUnprocessableEntity
	}
	if wantsText(w, r) {
		var b bytes.Buffer
		for _, f := range v.Findings {
			b.WriteString(line(f) + "\n")
		}
		return respond(w, status, plainText, b.Bytes())
	}
	if v.Valid {
		return respondJSON(w, status, v)
	}
	var lines []string
	for _, f := range v.Findings {
		lines = append(lines, line(f))
	}
	return &door.Refusal{Answer: invalidDoc, Detail: map[string]any{
		"hint": strings.Join(lines, "\n"), "kind": v.Kind, "valid": false, "findings": v.Findings,
	}}
}

// line says a finding as compilers do, so that editors and build logs link it to its place.
func line(f artifacts.Finding) string {
	at := fmt.Sprintf("%s:%d:%d: %s: ", f.File, max(f.Line, 1), max(f.Column, 1), f.Level)
	if f.Field != "" {
		at += f.Field + ": "
	}
	if f.Fix == "" {
		return at + f.Problem
	}
	return at + f.Problem + "; " + f.Fix
}

// kindOf is the kind that a path names, or the name of the file.
func kindOf(word, file string) (document.Kind, error) {
	if word == auto {
		kind, ok := document.KindOf(file)
		if !ok {
			return "", badQuery("file", file, "name the file, as manifest.yaml, metadata.yaml, ownership.yaml, policy.yaml, components.yaml or domain-cloud-prod.yaml")
		}
		return kind, nil
	}
	if kind := document.Kind(word); slices.Contains(document.Kinds(), kind) {
		return kind, nil
	}
	return "", unknown("kind "+quote(word), "/schemas/ lists those there are; auto goes by the name of the ?file=")
}

// about is what a document is to be compared with. That may only be what the caller may see.
func (a *api) about(ctx context.Context, c door.Call, kind document.Kind, file string) (about artifacts.About, err error) {
	if about.Component, err = componentOf(c); err != nil {
		return about, err
	}
	format, err := oneOf(c, "format", formats...)
	if err != nil {
		return about, err
	}
	about.Format = artifacts.Kind(format)
	if about.Place, err = placeOf(c, "place"); err != nil {
		return about, err
	}
	if number := c.Query.Get("version"); number != "" {
		if about.Version, err = numberOf(number); err != nil {
			return about, badQuery("version", number, "write it as 1.0.2")
		}
	}
	if about.Component == "" && about.Version != "" {
		return about, badQuery("version", about.Version, "name its component, too")
	}
	if about.Component != "" {
		err = c.Ask(ctx, auth.Pull, about.Component)
	} else if kind == document.KindDomain && about.Place == nil {
		about.Place, err = a.placeOfName(ctx, c, file)
	}
	return about, err
}

// placeOfName finds the place that a file of a domain is about by its name; nil: there is none yet.
func (a *api) placeOfName(ctx context.Context, c door.Call, file string) (*artifacts.Place, error) {
	name := strings.TrimSuffix(file[strings.LastIndexByte(file, '/')+1:], ".yaml")
	name, ok := strings.CutPrefix(name, "domain-")
	if !ok {
		return nil, nil
	}
	p, err := a.placeOfFile(ctx, name, a.may(ctx, c))
	var none *door.Refusal
	if errors.As(err, &none) {
		return nil, nil
	}
	return &p, err
}

// hide says of components that the caller may not see the same as of those that do not exist.
func hide(kind document.Kind, text []byte, may func(component string) bool, all []artifacts.Finding, denied bool) ([]artifacts.Finding, bool) {
	var names, versions []string
	member := "version"
	parsed, _ := document.Parse(kind, text)
	switch doc := parsed.(type) {
	case *document.Components:
		member = "latest_version"
		for _, row := range doc.Components {
			names, versions = append(names, row.Name), append(versions, row.Version)
		}
	case *document.Domain:
		for _, row := range doc.Components {
			names, versions = append(names, row.Name), append(versions, row.Version)
		}
	}
	for i, name := range names {
		if name == "" || may(name) {
			continue
		}
		field := fmt.Sprintf("components[%d].%s", i, member)
		all = slices.DeleteFunc(all, func(f artifacts.Finding) bool {
			return f.Field == field && strings.HasPrefix(f.Rule, string(kind)+".version.")
		})
		fault := parsed.Mismatch(field, string(kind)+".version.unknown", "names "+versions[i]+", and there is no such version of "+name, "push it first")
		all, denied = append(all, artifacts.Finding{Level: artifacts.Deny, File: string(kind) + ".yaml", Fault: fault}), true
	}
	slices.SortStableFunc(all, func(x, y artifacts.Finding) int { return x.Line - y.Line })
	return all, denied
}
