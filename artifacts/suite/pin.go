package suite

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts/deb"
)

// Pin writes preferences (apt_preferences(5)) with which apt-get upgrade installs the packages in exactly these versions, even where that is a downgrade:
// a suite that was rolled back does not do so by itself. Of the versions of one package for one architecture it is the newest. The text is a file of
// /etc/apt/preferences.d, and should not stay there for longer than the rollback is meant to last. Only Name, Version and Architecture are looked at.
func Pin(packages []Package) (string, error) {
	type pin struct {
		Package
		version deb.Version
	}
	var pins []pin
	for _, p := range packages {
		version, err := deb.ParseVersion(p.Version)
		if err := cmp.Or(deb.CheckPackageName(p.Name), err, deb.CheckArchitecture(p.Architecture)); err != nil {
			return "", fmt.Errorf("pin package %.128q: %w", p.Name, err)
		}
		pins = append(pins, pin{p, version})
	}
	slices.SortFunc(pins, func(a, b pin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Architecture, b.Architecture), b.version.Compare(a.version), cmp.Compare(a.Version, b.Version))
	})
	// The newest of each architecture is in front.
	pins = slices.CompactFunc(pins, func(a, b pin) bool { return a.Name == b.Name && a.Architecture == b.Architecture })
	// Most packages have the same version for all of them.
	slices.SortFunc(pins, func(a, b pin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), b.version.Compare(a.version), cmp.Compare(a.Version, b.Version))
	})
	pins = slices.CompactFunc(pins, func(a, b pin) bool { return a.Name == b.Name && a.Version == b.Version })
	var text strings.Builder
	for _, p := range pins {
		fmt.Fprintf(&text, "Package: %s\nPin: version %s\nPin-Priority: 1001\n\n", p.Name, p.Version)
	}
	return text.String(), nil
}
