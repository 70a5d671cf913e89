package artifacts

import (
	"context"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/storage/kv"
)

// ComponentsFile returns components.yaml: the latest good version of each component that may be seen, by name, at a time (zero: now). may is nil for all.
// Components that have no good version are left out.
func (k *Catalog) ComponentsFile(ctx context.Context, at time.Time, may func(component string) bool) (*document.Components, error) {
	file := &document.Components{Components: []document.Latest{}}
	add := func(name, latest string) {
		if latest != "" && (may == nil || may(name)) {
			file.Components = append(file.Components, document.Latest{Name: name, Version: latest})
		}
	}
	if at.IsZero() {
		for c, err := range k.Components(ctx, "") {
			if err != nil {
				return nil, err
			}
			add(c.Name, c.Latest)
		}
		return file, nil
	}
	// All that ever were stand here, also those that were deleted since.
	name, latest := "", ""
	until := micros(at.Add(time.Microsecond))
	from, to := kv.Prefix(prefixPast)
	for pair, err := range k.index.Scan(ctx, from, to) {
		if err != nil {
			return nil, err
		}
		of, since, _ := strings.Cut(strings.TrimPrefix(pair.Key, prefixPast), "!")
		if of != name {
			add(name, latest)
			name, latest = of, ""
		}
		if since < until {
			latest = string(pair.Value)
		}
	}
	add(name, latest)
	return file, nil
}

// DomainFile returns domain-<d>-<env>.yaml: what is deployed at a place, of the components that may be seen, by name, at a time (zero: now).
func (k *Catalog) DomainFile(ctx context.Context, place Place, at time.Time, may func(component string) bool) (*document.Domain, error) {
	there := map[string]string{}
	if at.IsZero() {
		for d, err := range k.DeployedAt(ctx, place, "") {
			if err != nil {
				return nil, err
			}
			there[d.Component] = d.Version
		}
	} else {
		prefix := keyMovedAt(place, "")
		_, to := kv.Prefix(prefix)
		for pair, err := range k.index.Scan(ctx, prefix+inverse(micros(at.Add(time.Microsecond))), to) {
			if err != nil {
				return nil, err
			}
			name, number, _ := strings.Cut(string(pair.Value), "\t")
			if _, newer := there[name]; !newer {
				there[name] = number
			}
		}
	}
	file := &document.Domain{Components: []document.Deployed{}}
	for _, name := range sortedKeys(there) {
		if there[name] != "" && (may == nil || may(name)) {
			file.Components = append(file.Components, document.Deployed{Name: name, Version: there[name]})
		}
	}
	return file, nil
}
