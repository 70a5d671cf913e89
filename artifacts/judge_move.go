package artifacts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/storage/kv"
)

// judgement is what was found out about an order that may be followed.
type judgement struct {
	was      Deployed // what is there now; without a version if nothing is
	to       Version  // what is to be there; without a version if nothing is
	former   []string // what the place remembers afterwards
	findings []named  // what is not as it should be, and is let pass
	packages bool     // whether the place's apt suite changes
	same     bool     // whether it is so already
}

// judgeMove tells whether an order may be followed, by rows alone, so that it can do so within a transaction.
func (k *Catalog) judgeMove(ctx context.Context, v kv.View, o Order) (j judgement, err error) {
	if j.was, err = read[Deployed](ctx, v, keyDeployed(o.Place, o.Component)); err != nil && !errors.Is(err, ErrUnknown) {
		return j, err
	}
	if o.Expect != nil && *o.Expect != j.was.Version {
		return j, o.refuse(Changed, Reason{"promotion.expected", j.was.says() + ", and not " + orNothing(*o.Expect), "look again at what is deployed, and decide anew"})
	}
	if o.Kind == Withdrawal {
		if j.was.Version == "" {
			return j, o.refuse(NotThere, Reason{"promotion.nothing", "nothing of it is deployed there", ""})
		}
	} else if o, err = o.back(j.was); err != nil {
		return j, err
	}
	if o.Version != "" {
		if j.to, err = read[Version](ctx, v, keyVersion(o.Component, o.Version)); errors.Is(err, ErrUnknown) {
			return j, o.refuse(NotThere, Reason{"promotion.version", "there is no version " + o.Version + " of " + o.Component, "push it first"})
		} else if err != nil {
			return j, err
		}
		if o.Version == j.was.Version {
			j.same = true
			return j, nil
		}
	}
	j.former = formerOf(o.Kind, j.was, o.Version)
	if j.packages, err = k.changesSuite(ctx, v, o, j); err != nil {
		return j, err
	}
	reasons, err := k.reasons(ctx, v, o, j)
	if err != nil {
		return j, err
	}
	var against []Reason
	for _, r := range reasons {
		// What was there before may come back, good or not; what others rely on is left broken by force alone.
		dependence := strings.HasPrefix(r.Rule, "promotion.depend")
		if dependence && o.Force || !dependence && o.Kind != Promotion {
			j.findings = append(j.findings, r)
		} else {
			against = append(against, r.Reason)
		}
	}
	if len(against) > 0 {
		return j, o.refuse(AgainstIt, against...)
	}
	return j, nil
}

// back gives a rollback the version that it goes back to.
func (o Order) back(was Deployed) (Order, error) {
	if o.Kind != Rollback {
		return o, nil
	}
	switch {
	case was.Version == "":
		return o, o.refuse(NotThere, Reason{"rollback.nothing", "nothing of it is deployed there", "promote a version"})
	case len(was.Former) == 0:
		return o, o.refuse(NotThere, Reason{"rollback.first", "no other version was deployed there before " + was.Version, "promote a version, or withdraw this one"})
	case o.Version == "":
		o.Version = was.Former[0]
	case !slices.Contains(was.Former, o.Version) && o.Version != was.Version:
		return o, o.refuse(NotThere, Reason{"rollback.never", o.Version + " was not deployed there before", "choose one of " + strings.Join(was.Former, ", ") + ", or promote it"})
	}
	return o, nil
}

func (d Deployed) says() string {
	if d.Version == "" {
		return "nothing is deployed there"
	}
	return fmt.Sprintf("%s is deployed there, by %s at %s", d.Version, d.By, d.Since.UTC().Format("2006-01-02 15:04:05Z"))
}

func orNothing(version string) string {
	if version == "" {
		return "nothing"
	}
	return version
}

// reasons are all that speaks against a move.
func (k *Catalog) reasons(ctx context.Context, v kv.View, o Order, j judgement) (all []named, err error) {
	if j.to.Version != "" {
		s, err := k.stateOf(ctx, v, j.to)
		if err != nil {
			return nil, err
		}
		for _, r := range append(s.against(), s.misplaced(o.Place)...) {
			all = append(all, named{r, ""})
		}
		if m := s.metadata(); m != nil {
			unmet, err := k.unmetBy(ctx, v, j.to, m.Dependencies, o.Place, o.May)
			if err != nil {
				return nil, err
			}
			all = append(all, unmet...)
		}
	}
	broken, err := k.broken(ctx, v, o.Component, j.to.Version, o.Place, o.May)
	return append(all, broken...), err
}

// against are the reasons why a version is not known good.
func (s State) against() (all []Reason) {
	for _, f := range s.Findings {
		if f.Level == Deny || strings.HasSuffix(f.Rule, ".missing") {
			field := ""
			if f.Field != "" {
				field = ": " + f.Field
			}
			all = append(all, Reason{"promotion.good", s.Version.Version + " is not known good: " + f.File + field + " " + f.Problem, f.Fix})
		}
	}
	if len(all) == 0 && !s.Good {
		all = append(all, Reason{"promotion.good", s.Version.Version + " is not known good", "attach its documents: manifest.yaml, metadata.yaml, and the group's ownership.yaml"})
	}
	return all
}

// misplaced are the reasons why a version's metadata.yaml does not allow a place.
func (s State) misplaced(at Place) (all []Reason) {
	m := s.metadata()
	if m == nil {
		return nil
	}
	if !slices.Contains(m.Domains, at.Domain) {
		all = append(all, Reason{"promotion.domain", fmt.Sprintf("its metadata.yaml allows the domains %s, and not %s", strings.Join(m.Domains, ", "), at.Domain),
			"push a version whose metadata.yaml lists " + at.Domain})
	}
	if !slices.Contains(m.Environments, at.Environment) {
		all = append(all, Reason{"promotion.environment", fmt.Sprintf("its metadata.yaml allows the environments %s, and not %s", strings.Join(m.Environments, ", "), at.Environment),
			"push a version whose metadata.yaml lists " + at.Environment})
	}
	return all
}
