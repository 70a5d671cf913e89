package apt

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// getPackage serves a package.
func (v *view) getPackage(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := v.mayRead(r.Context(), c); err != nil {
		return err
	}
	f, err := v.catalog.Pooled(r.Context(), c.On, c.Last)
	if errors.Is(err, artifacts.ErrUnknown) {
		return notFound("component "+c.On+" has no such package", "run apt-get update; the version may have been deleted")
	}
	if err != nil {
		return fmt.Errorf("look up package %.100q of %s: %w", c.Last, c.On, err)
	}
	return v.send(w, r, c, c.On, f.Digest, file{mediaType: artifacts.TypeDebPackage, fixed: true})
}

// maxSuites is how many suites are asked about for one request, or listed.
const maxSuites = 1000

// mayRead lets those read a package who may pull its component, or a suite that lists it, or did once.
func (v *view) mayRead(ctx context.Context, c door.Call) error {
	refused := c.Ask(ctx, auth.Pull, c.On)
	var decided *auth.Refusal
	if !errors.As(refused, &decided) {
		return refused // nothing speaks against it, or nobody knows
	}
	suites, err := v.suites(ctx, c)
	if err != nil {
		return err
	}
	for _, name := range suites {
		listed, err := v.catalog.InSuite(ctx, name, c.On, c.Last)
		if err != nil && !errors.Is(err, artifacts.ErrUnknown) {
			return fmt.Errorf("look up package %.100q in suite %s: %w", c.Last, name, err)
		}
		if listed {
			return nil
		}
	}
	return refused
}

// suites returns the suites that the caller may pull.
func (v *view) suites(ctx context.Context, c door.Call) (may []string, err error) {
	all, err := v.catalog.Suites(ctx)
	if err != nil {
		return nil, fmt.Errorf("list suites: %w", err)
	}
	if len(all) > maxSuites {
		v.log.Warn("there are more apt suites than are looked at", "suites", len(all), "most", maxSuites)
		all = all[:maxSuites]
	}
	for _, name := range all {
		if c.May(ctx, auth.Pull, artifacts.SuiteRepo(name)) {
			may = append(may, name)
		}
	}
	return may, nil
}
