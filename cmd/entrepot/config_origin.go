package main

import (
	"fmt"
	"maps"
	"strings"
)

// origins say where the values of a configuration were given. The zero value says that nothing was.
type origins struct {
	at     map[string]string // path → "config.yml:12" or "ENTREPOT_LISTEN"
	unread map[string]bool   // paths where something stands that could not be taken for what it is, which has been said already
}

func newOrigins() origins { return origins{at: map[string]string{}, unread: map[string]bool{}} }

// of returns where the value of a path was given, or, if it was not, the entry of a list that it would belong to, or the list. It is empty for
// what was given nowhere.
func (o origins) of(path string) string {
	for {
		if at := o.at[path]; at != "" {
			return at
		}
		if path = parent(path); path == "" {
			return ""
		}
	}
}

// place names a path for the person who has to change something there: "config.yml:14: auth.grants[2].role", or just the variable that is
// the path's own, or just the path.
func (o origins) place(path string) string {
	switch at := o.of(path); at {
	case "":
		return path
	case key{path: path}.env():
		return at
	default:
		return at + ": " + path
	}
}

// take notes that the value of a path was taken from somewhere.
func (o origins) take(path, at string) {
	o.at[path] = at
	delete(o.unread, path)
}

// forget what was known of a path and all below it.
func (o origins) forget(path string) {
	below := func(other string) bool {
		rest, ok := strings.CutPrefix(other, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	}
	maps.DeleteFunc(o.at, func(other, _ string) bool { return below(other) })
	maps.DeleteFunc(o.unread, func(other string, _ bool) bool { return below(other) })
}

// parent cuts the last part off a path: auth.grants[2].role, auth.grants[2], auth.grants, auth.
func parent(path string) string { return path[:max(0, strings.LastIndexAny(path, ".["))] }

// faults is everything that is wrong with a configuration, not only the first thing.
type faults []string

func (f faults) Error() string {
	if len(f) == 1 {
		return f[0]
	}
	return fmt.Sprintf("%d faults\n  %s", len(f), strings.Join(f, "\n  "))
}

const (
	// faultsLimit is how many faults are told; nobody mends more in one go.
	faultsLimit = 200

	// faultLimit is how many bytes a fault can have: it repeats what stands in the file, which may be anything.
	faultLimit = 1000
)

func (f *faults) add(at, format string, args ...any) {
	if len(*f) >= faultsLimit {
		return
	}
	text := at + ": " + fmt.Sprintf(format, args...)
	if len(*f) == faultsLimit-1 {
		text = "and there is more; mend these first"
	}
	if len(text) > faultLimit {
		text = strings.ToValidUTF8(text[:faultLimit], "") + "…"
	}
	*f = append(*f, text)
}
