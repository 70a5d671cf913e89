package tree

import (
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/entrepot/entrepot/registry"
)

const (
	root       = "/tree"
	components = root + "/components/"
	ownership  = "ownership.yaml"
	sums       = "SHA256SUMS"
	imageTar   = "image.tar"
)

// inTree matches all paths of the tree.
func inTree(path string) (on, last string, ok bool) {
	return "", path, path == root || strings.HasPrefix(path, root+"/")
}

// inComponent matches the folder of a component and everything below; last is what comes behind the component, with its slash. A group's ownership.yaml stands
// where a component would, but a folder's path ends with a slash.
func inComponent(path string) (on, last string, ok bool) {
	rest, ok := strings.CutPrefix(path, components)
	if !ok {
		return "", "", false
	}
	end := len(rest)
	for i, slashes := 0, 0; i < len(rest); i++ {
		if rest[i] == '/' {
			if slashes++; slashes == 3 {
				end = i
				break
			}
		}
	}
	on, last = rest[:end], rest[end:]
	if strings.Count(on, "/") != 2 || !registry.ValidName(on) || last == "" && strings.HasSuffix(on, "/"+ownership) {
		return "", "", false
	}
	return on, last, true
}

// redirect sends whoever asked for a folder without the slash at its end to the folder, by an address that holds behind any proxy.
func redirect(w http.ResponseWriter, r *http.Request) error {
	to := url.PathEscape(path.Base(r.URL.Path)) + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusFound)
	return nil
}

// absolute is the address of a path on this server.
func absolute(path string) string { return (&url.URL{Path: path}).EscapedPath() }
