package document

// Domain is domain-<d>.yaml or domain-<d>-<env>.yaml: what is deployed in an environment of a domain. Which ones stands in the file's name alone.
type Domain struct {
	Places `json:"-"`

	Components []Deployed `json:"components"`
}

// Deployed is one line of a domain's file.
type Deployed struct {
	Name    string `json:"name"` // cloud/dmp/ms-ingestion
	Version string `json:"version"`
}

// Kind returns KindDomain.
func (d *Domain) Kind() Kind { return KindDomain }

func (d *Deployed) fields() []field {
	return []field{
		{"name", "the component's repository: cloud/dmp/ms-ingestion", true, text{into: &d.Name, form: componentName}},
		{"version", "the version that is deployed", true, text{into: &d.Version, form: listedVersion}},
	}
}

func (d *Domain) fields() []field {
	return []field{
		{"components", "the components with the versions that are deployed", true,
			rows[Deployed]{&d.Components, (*Deployed).fields, func(d *Deployed) string { return d.Name }}},
	}
}

func (d *Domain) relations(*reader) {}
func (d *Domain) conditions() []any { return nil }
func (d *Domain) ownRules() []Rule  { return rowRules(new(Deployed).fields()) }
