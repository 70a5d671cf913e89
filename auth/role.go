package auth

import (
	"maps"
	"slices"
)

// Role is a named set of actions.
type Role string

// The roles.
const (
	Reader     Role = "reader"
	NodeRole   Role = "node" // until environments restrict it: as reader
	Developer  Role = "developer"
	CIRole     Role = "ci"
	Maintainer Role = "maintainer"
	DomainLead Role = "domain-lead"
	Auditor    Role = "auditor"
	Admin      Role = "admin"
)

// everybodys are the actions that every role includes; what there is to list depends on Pull.
var everybodys = []Action{Knock, Enter, List}

// roles is the table of who may do what.
var roles = map[Role][]Action{
	Reader:     {Pull},
	NodeRole:   {Pull},
	Developer:  {Pull, Push, Overwrite, Attach, DeleteOwn, Request, AuditOwn},
	CIRole:     {Pull, Push, Overwrite, Attach, Request, AuditOwn},
	Maintainer: {Pull, Push, Overwrite, Attach, DeleteOwn, Delete, Request, Approve, Promote, Govern, Appoint, Administer, AuditOwn, Audit},
	DomainLead: {Pull, Request, Approve, Promote, ApproveLast, PromoteLast, Govern, Appoint, Administer, AuditOwn, Audit},
	Auditor:    {AuditOwn, Audit},
	Admin:      Actions[len(everybodys):],
}

// appoints says which roles the holders of Administer may give to others. Nobody gives what would make the other more than oneself.
var appoints = map[Role][]Role{
	Maintainer: {Reader, NodeRole, Developer, CIRole, Maintainer},
	DomainLead: {Reader, NodeRole, Developer, CIRole, Maintainer, DomainLead},
	Admin:      {Reader, NodeRole, Developer, CIRole, Maintainer, DomainLead, Auditor, Admin},
}

// Roles returns all roles, sorted by name.
func Roles() []Role { return slices.Sorted(maps.Keys(roles)) }

// Valid tells whether there is such a role.
func (r Role) Valid() bool { return roles[r] != nil }

// Actions returns what the role includes, in the order of the table; the slice is the caller's.
func (r Role) Actions() []Action { return slices.Clone(roles[r]) }

// Includes tells whether the role includes an action.
func (r Role) Includes(a Action) bool {
	return roles[r] != nil && (slices.Contains(everybodys, a) || slices.Contains(roles[r], a))
}
