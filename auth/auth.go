// Package auth says who asks and what they may do.
//
// Every protected thing goes through one decision, [Policy].Allow, taken once, at the door (registry/api):
//
//	if err := policy.Allow(ctx, who, auth.Push, "cloud/dmp/ms-ingestion"); err != nil { … }
//
// The rooms below the doors know nothing of it. So far there is one kind of caller, the anonymous one, and one policy, [Anonymous].
package auth

import (
	"context"
	"fmt"
)

// Identity is who asks. The zero value is the anonymous caller.
type Identity struct {
	Kind string // "user", "robot", …; empty for the anonymous
	Name string
}

func (i Identity) String() string {
	if i.Kind == "" {
		return "anonymous"
	}
	return i.Kind + ":" + i.Name
}

// Action is what somebody wants to do with a repository (or, for List and Audit, with the registry).
type Action string

// The actions. Each route names the one it needs.
const (
	Enter  Action = "enter"  // ask whether there is a registry at all
	Pull   Action = "pull"   // read content
	Push   Action = "push"   // store content, move tags
	Delete Action = "delete" // remove content and tags
	List   Action = "list"   // see which repositories exist
	Audit  Action = "audit"  // read the journal
)

// Policy decides.
type Policy interface {
	// Allow returns nil if who may do it on the repository named (empty for the registry itself), else a [Refusal]. Any other error is a
	// fault, and then nothing is allowed.
	Allow(ctx context.Context, who Identity, do Action, on string) error
}

// Refusal is a decision against the caller.
type Refusal struct {
	Who    Identity
	Do     Action
	On     string
	Login  bool   // logging in could help
	Reason string // for the caller to read
}

func (r *Refusal) Error() string {
	if r.On == "" {
		return fmt.Sprintf("%s may not %s: %s", r.Who, r.Do, r.Reason)
	}
	return fmt.Sprintf("%s may not %s %s: %s", r.Who, r.Do, r.On, r.Reason)
}

// Anonymous is the policy of a registry that knows nobody: it gives everyone the same rights.
type Anonymous string

// What everyone may do.
const (
	Nothing    Anonymous = "none"
	PullOnly   Anonymous = "pull"
	Everything Anonymous = "full"
)

// Allow implements Policy.
func (a Anonymous) Allow(_ context.Context, who Identity, do Action, on string) error {
	switch {
	case a == Everything:
		return nil
	case a == PullOnly && (do == Enter || do == Pull || do == List):
		return nil
	case a == PullOnly:
		return &Refusal{Who: who, Do: do, On: on, Reason: "this registry is read-only for everyone (auth.anonymous: pull)"}
	}
	return &Refusal{Who: who, Do: do, On: on, Login: true, Reason: "this registry admits nobody (auth.anonymous: none)"}
}
