package document

// Components is components.yaml: the latest version of each component that is known to be good.
type Components struct {
	Places `json:"-"`

	Components []Latest `json:"components"`
}

// Latest is one line of components.yaml.
type Latest struct {
	Name    string `json:"name"` // cloud/dmp/ms-ingestion
	Version string `json:"latest_version"`
}

// Kind returns KindComponents.
func (c *Components) Kind() Kind { return KindComponents }

func (l *Latest) fields() []field {
	return []field{
		{"name", "the component's repository: cloud/dmp/ms-ingestion", true, text{into: &l.Name, form: componentName}},
		{"latest_version", "its latest version that is known to be good", true, text{into: &l.Version, form: listedVersion}},
	}
}

// listedVersion is a version as tags carry it, which all formats share.
var listedVersion = versionOf("generic")

func (c *Components) fields() []field {
	return []field{
		{"components", "the components with their latest versions", true,
			rows[Latest]{&c.Components, (*Latest).fields, func(l *Latest) string { return l.Name }}},
	}
}

func (c *Components) relations(*reader) {}
func (c *Components) conditions() []any { return nil }
func (c *Components) ownRules() []Rule  { return rowRules(new(Latest).fields()) }

// rowRules are the rules of the fields of each row, without the kind before them.
func rowRules(fields []field) []Rule {
	all := []Rule{{ID: "name." + repeated, Says: "no name is there twice"}}
	for _, f := range fields {
		for _, r := range f.value.rules() {
			all = append(all, Rule{ID: f.name + "." + r.name, Says: f.name + " " + r.says})
		}
		all = append(all, Rule{ID: f.name + "." + missing, Says: f.name + " is there"})
	}
	return all
}
