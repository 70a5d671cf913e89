package importer

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/registry"
)

// A pattern of names has parts joined by /, in which * stands for any characters but /; ** as its last part stands for one part or more.

// CheckPattern returns nil for a well-formed pattern of names.
func CheckPattern(pattern string) error {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if part == "" || part == "**" && i < len(parts)-1 || part != "**" && strings.Contains(part, "**") || strings.ContainsAny(part, `?[]\`) {
			return fmt.Errorf("pattern %.100q: write it as team/*, team/** or team/app; ** comes last", pattern)
		}
	}
	return nil
}

// Matches tells whether a name fits a pattern.
func Matches(pattern, name string) bool {
	if head, open := strings.CutSuffix(pattern, "**"); open {
		depth := strings.Count(head, "/")
		parts := strings.Split(name, "/")
		return len(parts) > depth && Matches(strings.TrimSuffix(head, "/"), strings.Join(parts[:depth], "/"))
	}
	fits, err := path.Match(pattern, name)
	return fits && err == nil
}

// Rename gives repositories another name: one name, or all below a prefix.
type Rename struct{ from, to string }

// ParseRename reads "library/** = hub/library/**" or "old/app = team/app".
func ParseRename(text string) (Rename, error) {
	from, to, found := strings.Cut(text, "=")
	r := Rename{strings.TrimSpace(from), strings.TrimSpace(to)}
	wrong := fmt.Errorf("%.200q: write it as 'library/** = hub/library/**', or 'old/app = team/app'", text)
	head, open := strings.CutSuffix(r.from, "**")
	target, both := strings.CutSuffix(r.to, "**")
	if !found || open != both || strings.Contains(head+target, "*") {
		return r, wrong
	}
	for _, prefix := range []string{head, target} {
		if open && prefix == "" {
			continue
		}
		if name, slash := strings.CutSuffix(prefix, "/"); slash != open || !registry.ValidName(name) {
			return r, wrong
		}
	}
	return r, nil
}

// renamed returns what a repository is called here: as the first rename says that fits it.
func renamed(all []Rename, name string) string {
	for _, r := range all {
		if r.from == name {
			return r.to
		}
		if head, open := strings.CutSuffix(r.from, "**"); open && len(name) > len(head) && strings.HasPrefix(name, head) {
			return strings.TrimSuffix(r.to, "**") + name[len(head):]
		}
	}
	return name
}

// wanted tells whether a name is asked for.
func wanted(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return Matches(p, name) })
}

// CheckTags returns nil for a well-formed pattern of tags, in which * stands for any characters.
func CheckTags(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return errors.New("a pattern of tags is written as v1.*, or as the tag itself")
	}
	return nil
}
