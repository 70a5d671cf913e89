package main

import (
	"context"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/retain"
)

// openRetention returns the rules by which tags and manifests are kept. Nothing runs yet.
func openRetention(c Config, k *components, reg *registry.Registry) (*retain.Retention, error) {
	return retain.New(retain.Config{
		Registry: reg, Index: k.index, Rules: retentionRules(c.Retention), Every: c.GC.Every, Grace: c.GC.Grace, Stays: k.stays, Log: k.log,
	})
}

func retentionRules(all []RetentionEntry) []retain.Rule {
	rules := make([]retain.Rule, len(all))
	for i, e := range all {
		rules[i] = retain.Rule(e)
	}
	return rules
}

// stays tells why something must stay whatever the rules say: since it is mirrored, or by what is known of components.
func (k *components) stays(ctx context.Context, repo, tag string, s registry.Stored) (string, error) {
	if k.mirrors != nil && tag != "" && k.mirrors.Keeps(repo, tag) {
		return "it is mirrored", nil
	}
	return k.catalog.Stays(ctx, repo, tag, s)
}
