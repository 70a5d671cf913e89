package intake

import (
	"fmt"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/version"
	"github.com/entrepot/entrepot/registry"
)

// target is the format of a version that a file belongs to.
type target struct {
	repo   string
	number version.Version
	format artifacts.Kind
}

func targetOf(component, number string, format artifacts.Kind) (target, error) {
	if err := checkComponent(component); err != nil {
		return target{}, err
	}
	v, err := parseVersion(component, number)
	if err != nil {
		return target{}, err
	}
	t := target{component, v, format}
	if _, ok := version.ParseTag(t.tag()); !ok {
		return target{}, invalid(component, "version", number, fmt.Sprintf("it is too long for a tag, which has %d characters at most; shorten it", registry.MaxTag))
	}
	return t, nil
}

// tag is where the files are, unless somebody pushed the first ones under another spelling of the version.
func (t target) tag() string { return string(t.format) + "-" + t.number.Tag() }

// key is the same for all who add files to it.
func (t target) key() string { return t.repo + "!" + string(t.format) + "!" + t.number.String() }

func checkComponent(name string) error {
	if artifacts.IsComponent(name) && registry.ValidName(name) {
		return nil
	}
	return refused(registry.NameInvalid, name, "component", name, "a component is <domain>/<group>/<service>, as cloud/dmp/ms-ingestion, in lower-case letters and digits")
}

func checkGroup(name string) error {
	if strings.Count(name, "/") == 1 && registry.ValidName(name) {
		return nil
	}
	return refused(registry.NameInvalid, name, "group", name, "a group is <domain>/<group>, as cloud/dmp, in lower-case letters and digits")
}

// parseVersion reads the version of a component, which has three numbers.
func parseVersion(component, number string) (version.Version, error) {
	v, err := version.Parse(number)
	if err != nil {
		return v, invalid(component, "version", number, err.Error())
	}
	if v.Precision() < 3 {
		return v, invalid(component, "version", number, "it names no single version; write all three numbers, as 1.2.0")
	}
	return v, nil
}
