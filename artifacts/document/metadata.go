package document

// Metadata is metadata.yaml: what a version of a component needs, and where it may be deployed.
type Metadata struct {
	Places `json:"-"`

	Architecture []Architecture `json:"architecture"` // one at least
	Domains      []string       `json:"domains"`      // where it may be deployed
	Environments []string       `json:"environments"` // how far it may come
	Dependencies []string       `json:"dependencies,omitempty"`
	Group        string         `json:"group"`        // the second part of the repository's name
	ServiceName  string         `json:"service_name"` // the third
	Team         string         `json:"team"`
	Ports        []int          `json:"port_exposed,omitempty"`
	MultiArch    *bool          `json:"multi_arch,omitempty"` // nil if nothing is said
	Notes        string         `json:"notes,omitempty"`
}

// Kind returns KindMetadata.
func (m *Metadata) Kind() Kind { return KindMetadata }

// placesMost is how many domains and environments a document may name.
const placesMost = 100

func (m *Metadata) fields() []field {
	return []field{
		{"architecture", "the architectures of its image and debs, one or a list: amd64, or [amd64, arm64]", true,
			processors{&m.Architecture}},
		{"domains", `the domains where it may be deployed: ["cloud"]`, true,
			texts{into: &m.Domains, form: domainName, size: bounds{1, placesMost}}},
		{"environments", `the environments where it may be deployed: ["staging", "prod"]`, true,
			texts{into: &m.Environments, form: environmentName, size: bounds{1, placesMost}}},
		{"dependencies", `the components that it needs, with their versions: ["common-utils >=1.2.0, <2"]`, false,
			texts{into: &m.Dependencies, form: dependencyForm, size: bounds{0, 1000}, check: constraint}},
		{"group", "the second part of the repository's name: dmp in cloud/dmp/ms-ingestion", true,
			text{into: &m.Group, form: groupName}},
		{"service_name", "the third part of the repository's name: ms-ingestion in cloud/dmp/ms-ingestion", true,
			text{into: &m.ServiceName, form: serviceName}},
		{"team", "the team that maintains it", true,
			text{into: &m.Team, form: line("the team's name", 128)}},
		{"port_exposed", "the ports on which it listens, one or a list: 8443", false,
			ports{&m.Ports}},
		{"multi_arch", "whether it runs on more than one architecture", false,
			boolean{&m.MultiArch}},
		{"notes", "what whoever deploys it should know", false,
			text{into: &m.Notes, form: free(plainText, 10000), quoted: true}},
	}
}

const (
	badConstraint = "constraint"
	contradiction = "multi_arch.contradiction"
)

// constraint asks whoever knows versions.
func constraint(r *reader, s string) (rule, problem, fix string) {
	if r.Dependency == nil {
		return "", "", ""
	}
	if err := r.Dependency(s); err != nil {
		return badConstraint, err.Error(), "write one like " + dependencyForm.like
	}
	return "", "", ""
}

// relations compares multi_arch with the number of architectures. Packages for all processors do not count: they may stand beside an image for one.
func (m *Metadata) relations(r *reader) {
	if m.MultiArch == nil || len(m.Architecture) == 0 || !r.sound("architecture") {
		return
	}
	count := 0
	for _, a := range m.Architecture {
		if a != All {
			count++
		}
	}
	at := r.places.At("multi_arch")
	switch {
	case *m.MultiArch && count < 2:
		r.fault(contradiction, at, "multi_arch", "is true, but architecture names "+decimal(count)+" that has machine code", "name two or more, or write false")
	case !*m.MultiArch && count > 1:
		r.fault(contradiction, at, "multi_arch", "is false, but architecture names "+decimal(count), "name one, or write true")
	}
}

func (m *Metadata) conditions() []any {
	many := object{{"type", "array"}, {"contains", object{{"not", object{{"const", string(All)}}}}}, {"minContains", 2}}
	return []any{
		when(has("multi_arch", object{{"const", true}}), has("architecture", many)),
		when(has("multi_arch", object{{"const", false}}), object{{"properties", object{{"architecture", object{{"not", many}}}}}}),
	}
}

func (m *Metadata) ownRules() []Rule {
	return []Rule{
		spellingRule,
		{ID: "dependencies." + badConstraint, Says: "dependencies ask for versions in a form that can be read"},
		{ID: contradiction, Says: "multi_arch is true if and only if there are two architectures or more"},
	}
}
