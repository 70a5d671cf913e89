// Package auth says who asks and what they may do.
//
// Every protected thing goes through one decision, [Policy].Allow, taken once, at the door (package door):
//
//	if err := policy.Allow(ctx, who, auth.Push, "cloud/dmp/ms-ingestion"); err != nil { … }
//
// An [Identity] is who asks: a user, a robot, a CI job, a workload, a node, or nobody in particular. A [Role] is a set of actions; a [Grant]
// gives one to somebody on a path and everything below it; [Rules] are all the grants that hold just now, and the one policy there is. What nobody
// granted is refused.
//
// Who somebody is comes from a [Provider]: auth/account (users, robots and their secrets in the index), auth/htpasswd, auth/ldap, auth/oidc,
// auth/gitlab. auth/token signs the short-lived tokens that clients then show; auth/login puts all of them together, with caches and limits.
// auth/api is the door to it. The rooms below the doors know nothing of all this.
package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The kinds of caller.
const (
	User     = "user"     // a person
	Robot    = "robot"    // a service account of this registry
	CI       = "ci"       // a job, vouched for by the issuer of its token
	Workload = "workload" // a program somewhere, vouched for in the same way
	Node     = "node"     // a machine that runs what is deployed
)

// Kinds are those that grants can name; besides them there is [Caller].
var Kinds = []string{User, Robot, CI, Workload, Node}

// Identity is who asks. The zero value is the anonymous caller. It is a value: whoever holds one does not change its slices.
type Identity struct {
	Kind   string   // one of the kinds, or Caller; empty for the anonymous
	Name   string   // unique among its kind: "alice", "ci-dmp"; of one whom a provider vouches for "alice@corp", "<subject>@gitlab"
	Groups []string // as the provider said at login

	// Grants come with the credential itself, beside those that Rules know: what an issuer's claims are bound to. Their Who is empty.
	Grants []Grant

	// Scope is what the credential is cut down to, whatever its owner may do. Nil cuts nothing.
	Scope Scope

	// Via names the credential that all this rests on, so that it can be withdrawn; see account.Store.Alive. Empty: it just ends with its time.
	Via string

	// Until is when the credential ends that was shown, if that is a token with an end: nothing that is given for it lasts longer. Zero: no such bound.
	Until time.Time

	// Secret is what a [Caller] shows to the upstream; nobody else has one.
	Secret Secret
}

func (i Identity) String() string {
	if i.Kind == "" {
		return "anonymous"
	}
	return i.Kind + ":" + i.Name
}

// Anonymous tells whether nobody in particular asks.
func (i Identity) Anonymous() bool { return i.Kind == "" }

// names are what grants may call the identity by.
func (i Identity) names(yield func(string) bool) {
	if !yield(Anyone) || i.Kind == "" || !yield(i.String()) {
		return
	}
	for _, g := range i.Groups {
		if !yield("group:" + g) {
			return
		}
	}
}

// Credentials are what a request shows of who asks.
type Credentials struct {
	Authorization string // the header
	Session       string // the cookie of a browser, of a request that a page of ours has sent; no other secret is looked at here
	Remote        string // the client's address, without its port
}

// Provider knows whom a name and a secret belong to.
type Provider interface {
	// Login returns who it is that gave this name and secret, and until when that may be believed without asking again. It returns
	// ErrUnknown if neither the name nor the kind of secret is its own (then another provider is asked), ErrWrong if they are but
	// do not match, and any other error if it cannot tell; that never contains the secret.
	Login(ctx context.Context, name, secret string) (Identity, time.Time, error)
}

var (
	// ErrUnknown says that a provider has nothing to say about a name or a kind of secret.
	ErrUnknown = errors.New("not known to this provider")
	// ErrWrong says that a secret is wrong, has ended or was withdrawn. It may be wrapped with a reason for the operator's log.
	ErrWrong = errors.New("wrong credentials")
)

// Policy decides.
type Policy interface {
	// Allow returns nil if who may do it on the repository or path named (empty for the registry itself), else a [Refusal]. Any other
	// error is a fault, and then nothing is allowed.
	Allow(ctx context.Context, who Identity, do Action, on string) error
}

// Refusal is a decision against the caller.
type Refusal struct {
	Who    Identity
	Do     Action
	On     string
	Login  bool   // nobody in particular asked; logging in could help
	Narrow bool   // the token was cut down to less, its owner may: another token could help
	Hidden bool   // who may not even know what is there: the answer is the one for what does not exist
	Reason string // for the caller to read, unless it is Hidden
}

func (r *Refusal) Error() string {
	if r.On == "" {
		return fmt.Sprintf("%s may not %s: %s", r.Who, r.Do, r.Reason)
	}
	return fmt.Sprintf("%s may not %s %s: %s", r.Who, r.Do, r.On, r.Reason)
}

// Scope is a list of accesses that a token is cut down to. An empty one that is not nil leaves nothing but proving who one is.
type Scope []Access

// Access is one line of a scope, in the form of Docker's token protocol.
type Access struct {
	Type    string   `json:"type"`    // "repository" or "registry"
	Name    string   `json:"name"`    // the repository; with "/**" behind it, everything below as well. Of type registry: "catalog"
	Actions []string `json:"actions"` // pull, push, delete or *
}

// Lists tells whether a token cut down to s may be told that a repository exists, given that it covers List: one that names repositories is told of
// those, any other of all that its owner may pull from.
func (s Scope) Lists(repo string) bool {
	return !slices.ContainsFunc(s, func(a Access) bool { return a.Type == "repository" }) || s.Covers(Pull, repo)
}

// Covers tells whether a token cut down to s may be used for an action. Knock and Enter are always covered.
func (s Scope) Covers(do Action, on string) bool {
	if s == nil || do == Knock || do == Enter {
		return true
	}
	word := do.word()
	return slices.ContainsFunc(s, func(a Access) bool {
		var names bool
		switch a.Type {
		case "repository":
			names = on != "" && (a.Name == on || wide(a.Name) && Path(a.Name).Covers(on))
		case "registry":
			names = on == "" && a.Name == "catalog" && do == List
		}
		return names && (slices.Contains(a.Actions, word) || slices.Contains(a.Actions, "*"))
	})
}
