package document

import "regexp"

// Policy is policy.yaml: how grave a group takes each rule. Whether a group may be milder than its registry is for those who apply it.
type Policy struct {
	Places `json:"-"`

	Rules map[string]string `json:"rules"` // deny, warn or off, by the name of the rule
}

// Levels are how grave a rule can be taken: refuse the push, take it and note a finding, say nothing.
func Levels() []string { return []string{"deny", "warn", "off"} }

// Kind returns KindPolicy.
func (p *Policy) Kind() Kind { return KindPolicy }

const unknownRule = "unknown"

var ruleForm = form{is: "the name of a rule", like: "manifest.sha256.form", pattern: regexp.MustCompile(`^[a-z]+(?:\.[a-z][a-z0-9_]*)+$`), most: 128}

func (p *Policy) fields() []field {
	return []field{
		{"rules", "deny, warn or off for the rules that are taken otherwise here", true,
			pairs{into: &p.Rules, key: ruleForm, form: form{is: "deny, warn or off", names: Levels(), most: 16}, size: bounds{0, 1000}, check: knownRule}},
	}
}

func knownRule(r *reader, id string) (rule, problem, fix string) {
	switch {
	case Fatal(id):
		return unknownRule, "cannot be taken otherwise: what is not plain YAML cannot be read", "remove the line"
	case r.Rule != nil && !r.Rule(id):
		return unknownRule, "is no rule", "remove the line, or look for its name in the fault that you mean"
	}
	return "", "", ""
}

func (p *Policy) relations(*reader) {}
func (p *Policy) conditions() []any { return nil }

func (p *Policy) ownRules() []Rule {
	return []Rule{spellingRule, {ID: "rules." + unknownRule, Says: "every name is that of a rule that can be taken otherwise"}}
}
