package apt

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/door"
)

// getPin writes the preferences that hold a host at what is deployed now, also where that is a step back.
func (v *view) getPin(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if _, err := v.suite(r.Context(), c.Last); err != nil {
		return err
	}
	packages, err := v.deployed(r.Context(), c.Last)
	if err != nil {
		return fmt.Errorf("read what is deployed in suite %s: %w", c.Last, err)
	}
	text, err := suite.Pin(packages)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("# What is deployed in %s. As a file of /etc/apt/preferences.d, say entrepot-%[1]s.pref, it makes\n"+
		"#     apt-get dist-upgrade --allow-downgrades\n# install exactly these versions, until it is removed. See apt_preferences(5).\n\n", c.Last)
	return sendText(w, r, plain, private, []byte(head+text))
}

// deployed returns the packages of the versions that are deployed now, as far as a pin wants to know of them.
func (v *view) deployed(ctx context.Context, name string) (all []suite.Package, err error) {
	places, err := v.catalog.Places(ctx)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		if place.Suite() != name {
			continue
		}
		for d, err := range v.catalog.DeployedAt(ctx, place, "") {
			if err != nil {
				return nil, err
			}
			version, err := v.catalog.Version(ctx, d.Component, d.Version)
			if errors.Is(err, artifacts.ErrUnknown) {
				continue // it went meanwhile
			}
			if err != nil {
				return nil, err
			}
			for _, f := range version.Formats[artifacts.Deb].Files {
				if p := f.Package; p != nil {
					all = append(all, suite.Package{Name: p.Name, Version: p.Version, Architecture: p.Architecture})
				}
			}
		}
	}
	return all, nil
}
