package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/registry/upstream/mirror"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// mirrors looks at what is to be mirrored: each entry by itself, and then whether there is such an upstream, and one entry for each repository.
func (j *judge) mirrors(all []mirror.Entry, upstreams []UpstreamEntry) {
	seen := map[string]bool{}
	for i, e := range all {
		at := fmt.Sprintf("mirror[%d]", i)
		broken := false
		for _, f := range e.Faults() {
			if f.Field == "repository" {
				broken = true
				if e.Repository == "" {
					j.missing(at+".repository", "write the upstream's name first, as docker.io/library/alpine")
					continue
				}
			}
			j.wrong(at+"."+f.Field, "%s", f.Text)
		}
		if broken {
			continue
		}
		name, rest, _ := strings.Cut(e.Repository, "/")
		repo := name + "/" + remote.CanonicalRepo(name, rest)
		u := slices.IndexFunc(upstreams, func(u UpstreamEntry) bool { return u.Name == name })
		switch {
		case u < 0:
			j.wrong(at+".repository", "there is no upstream %s; add it to upstreams, or write the name of one of them first", name)
		case upstreams[u].Offline:
			j.wrong(at+".repository", "nothing is asked of %s, since it is offline; remove one of the two", name)
		case upstreams[u].Callers:
			j.wrong(at+".repository", "%s is asked with callers' own credentials, and a mirror has none; remove one of the two", name)
		case seen[repo]:
			j.wrong(at+".repository", "%s is there twice; write all that is to be mirrored of it in one entry", repo)
		}
		seen[repo] = true
	}
}
