package auth

import (
	"slices"
	"strings"
)

// Action is what somebody wants to do with a repository, with a path, or with the registry.
type Action string

// The actions. Each route names the one it needs.
const (
	Knock Action = "knock" // what everybody may: ask how to log in, and do so
	Enter Action = "enter" // ask whether there is a registry at all, and who one is
	List  Action = "list"  // see which repositories exist, as far as one may pull from them

	Pull      Action = "pull"       // read content
	Push      Action = "push"       // store content, set new tags
	Overwrite Action = "overwrite"  // let a tag name something else
	Attach    Action = "attach"     // store what refers to content: documents, signatures
	DeleteOwn Action = "delete-own" // remove scratch tags that one has set oneself, and manifests under nothing but such tags
	Delete    Action = "delete"     // remove content and tags

	Request     Action = "request"      // ask for a promotion
	Approve     Action = "approve"      // agree to somebody else's request for an environment before the last
	Promote     Action = "promote"      // move a domain tag of an environment before the last
	ApproveLast Action = "approve-last" // the same for the last environment (prod)
	PromoteLast Action = "promote-last"

	Govern     Action = "govern"     // set policies and owners
	Appoint    Action = "appoint"    // manage robots and grants at all: on the registry, whoever may administer some path
	Administer Action = "administer" // manage robots and grants on a path
	Manage     Action = "manage"     // manage the registry itself: users and keys
	AuditOwn   Action = "audit-own"  // read what one has done oneself in the journal
	Audit      Action = "audit"      // read the journal
)

// Actions are all of them, the weaker of each kind first.
var Actions = []Action{
	Knock, Enter, List, Pull, Push, Overwrite, Attach, DeleteOwn, Delete,
	Request, Approve, Promote, ApproveLast, PromoteLast, Govern, Appoint, Administer, Manage, AuditOwn, Audit,
}

// Valid tells whether there is such an action.
func (a Action) Valid() bool { return slices.Contains(Actions, a) }

// word is what Docker's token protocol calls the action: pull, push or delete, and besides, as a word of our own, promote: a token that may push is not one
// that may say what is deployed. Whatever else the protocol has no word for goes with push if it makes something, and with * otherwise.
func (a Action) word() string {
	switch a {
	case Pull, List:
		return "pull"
	case Push, Overwrite, Attach:
		return "push"
	case Delete, DeleteOwn:
		return "delete"
	case Promote, PromoteLast:
		return "promote"
	}
	return "*"
}

// Scope returns what a client asks the token service for to be allowed the action on a repository ("" is the registry): the token protocol's scope. Whoever
// pushes pulls as well. It is empty if no scope is needed.
func (a Action) Scope(on string) string {
	switch {
	case a == Knock || a == Enter:
		return ""
	case on == "" && a == List:
		return "registry:catalog:*"
	case on == "":
		return ""
	case strings.ContainsFunc(on, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' || c == ':' }):
		return "" // no repository has such a name
	}
	switch word := a.word(); word {
	case "push", "promote":
		return "repository:" + on + ":pull," + word
	default:
		return "repository:" + on + ":" + word
	}
}
