package main

import (
	"net/url"
	"path/filepath"
	"regexp"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/version"
	repositories "github.com/entrepot/entrepot/registry"
)

// judgeAlone judges a document without a server, where no group and no configuration has said how grave its faults are.
func judgeAlone(kind document.Kind, text []byte) []artifacts.Finding {
	parser := document.Parser{
		Dependency: func(text string) error {
			_, _, err := version.ParseDependency(text)
			return err
		},
		Rule: artifacts.KnownRule,
	}
	all := []artifacts.Finding{}
	_, faults := parser.Parse(kind, text)
	for _, f := range faults {
		all = append(all, artifacts.Finding{Level: artifacts.DefaultLevel(f.Rule), Fault: f})
	}
	return all
}

// inTree is the path of a document in a tree like that of the server.
var inTree = regexp.MustCompile(`(?:^|/)components/([^/]+/[^/]+/[^/]+)/versions/([^/]+)/(?:(docker|deb|generic)/)?[^/]+$`)

// aboutFile is what a document is about: what was said, and otherwise what its path says.
func aboutFile(file string, said url.Values) url.Values {
	q := url.Values{}
	for name, values := range said {
		q[name] = values
	}
	if file == "-" {
		return q
	}
	q.Set("file", filepath.Base(file))
	whole, err := filepath.Abs(file)
	if err != nil {
		return q
	}
	found := inTree.FindStringSubmatch(filepath.ToSlash(whole))
	if found == nil || !repositories.ValidName(found[1]) || q.Has("component") && q.Get("component") != found[1] {
		return q
	}
	number, ok := versionNumber(found[2])
	if !ok {
		return q
	}
	q.Set("component", found[1])
	if !q.Has("version") {
		q.Set("version", number)
	}
	if !q.Has("format") && found[3] != "" {
		q.Set("format", found[3])
	}
	return q
}
