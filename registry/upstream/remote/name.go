package remote

import (
	"slices"
	"strings"
)

// isHub tells whether name is one of those that people call Docker Hub by.
func isHub(name string) bool {
	return slices.Contains([]string{"docker.io", "index.docker.io", "registry-1.docker.io"}, name)
}

// CanonicalRepo returns how the upstream of that name calls a repository: Docker Hub's official images are below library/, so that alpine is
// library/alpine. All methods of [Remote] do this by themselves.
func CanonicalRepo(name, repo string) string {
	if isHub(name) && !strings.Contains(repo, "/") {
		return "library/" + repo
	}
	return repo
}
