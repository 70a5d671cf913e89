package artifacts

import (
	"fmt"
	"slices"

	"github.com/entrepot/entrepot/artifacts/version"
)

// Place is where versions are deployed: an environment of a domain.
type Place struct {
	Domain      string `json:"domain"`
	Environment string `json:"environment"`
}

// ParsePlace reads a domain tag, as cloud.prod.
func ParsePlace(tag string) (Place, error) {
	if t, _ := version.ParseTag(tag); t.Kind == version.TagDomain {
		return Place{t.Domain, t.Environment}, nil
	}
	return Place{}, fmt.Errorf("%.100q is no place; write a domain and an environment with a full stop between, as cloud.prod", tag)
}

// Tag is the domain tag of the place: cloud.prod.
func (p Place) Tag() string { return p.Domain + "." + p.Environment }

// Suite is the apt suite of the place: cloud-prod.
func (p Place) Suite() string { return p.Domain + "-" + p.Environment }

func (p Place) String() string { return p.Tag() }

// IsLast tells whether a place is of a last environment, where promotions take more rights than elsewhere.
func (k *Catalog) IsLast(p Place) bool { return slices.Contains(k.last, p.Environment) }
