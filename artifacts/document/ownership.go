package document

// Ownership is ownership.yaml: who answers for a group, and where to reach them.
type Ownership struct {
	Places `json:"-"`

	OwnerTeam    string `json:"owner_team"`
	ProductOwner string `json:"product_owner,omitempty"` // an e-mail address
	SlackChannel string `json:"slack_channel,omitempty"` // with its #
	SourceRepo   string `json:"source_repo"`             // http or https, without a user
	CIPipeline   string `json:"ci_pipeline,omitempty"`   // the same
	AuditContact string `json:"audit_contact,omitempty"` // an e-mail address
}

// Kind returns KindOwnership.
func (o *Ownership) Kind() Kind { return KindOwnership }

func (o *Ownership) fields() []field {
	return []field{
		{"owner_team", "the team that owns the group", true, text{into: &o.OwnerTeam, form: line("the team's name", 128)}},
		{"product_owner", "the e-mail address of the product's owner", false, text{into: &o.ProductOwner, form: mailForm}},
		{"slack_channel", `the channel for alerts, in quotes: "#team-alerts"`, false, text{into: &o.SlackChannel, form: channelForm}},
		{"source_repo", "the page of the source's repository", true, text{into: &o.SourceRepo, form: webForm}},
		{"ci_pipeline", "the page of the pipelines", false, text{into: &o.CIPipeline, form: webForm}},
		{"audit_contact", "the e-mail address for audits", false, text{into: &o.AuditContact, form: mailForm}},
	}
}

func (o *Ownership) relations(*reader) {}
func (o *Ownership) conditions() []any { return nil }
func (o *Ownership) ownRules() []Rule  { return []Rule{spellingRule} }
