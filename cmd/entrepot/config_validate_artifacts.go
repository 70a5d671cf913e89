package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
)

func (j *judge) artifacts(a Artifacts) {
	if a.StaleBuild < 0 {
		j.wrong("artifacts.staleBuild", "%s is less than nothing; 0s lets no build be stale", formatDuration(a.StaleBuild))
	}
	for i, pattern := range a.BaseImages {
		if _, err := path.Match(pattern, "x"); err != nil || pattern == "" {
			j.wrong(fmt.Sprintf("artifacts.baseImages[%d]", i), "%q is no pattern; write it like python:3.*-alpine", pattern)
		}
	}
	for i, label := range a.RequiredLabels {
		if label == "" {
			j.wrong(fmt.Sprintf("artifacts.requiredLabels[%d]", i), "no label is named")
		}
	}
	for _, rule := range slices.Sorted(maps.Keys(a.Rules)) {
		at := "artifacts.rules." + rule
		if !artifacts.KnownRule(rule) {
			j.wrong(at, "there is no rule %q%s", rule, didYouMean(rule, knownRules()))
			continue
		}
		j.oneOf(at, a.Rules[rule], document.Levels()...)
	}
	for i, env := range a.LastEnvironments {
		if _, err := artifacts.ParsePlace("x." + env); err != nil {
			j.wrong(fmt.Sprintf("artifacts.lastEnvironments[%d]", i), "%q is no environment; write it in lower-case letters, digits and dashes, as prod", env)
		}
	}
	if v := a.Apt.ValidFor; v != 0 && v < time.Hour {
		j.wrong("artifacts.apt.validFor", "%s is too short; at least 1h, or 0s for ever", formatDuration(v))
	}
	j.oneOf("artifacts.apt.algorithm", a.Apt.Algorithm, "ed25519", "rsa4096")
}

// knownRules are the names of all rules that may be given a level.
func knownRules() []string {
	all := artifacts.OwnRules()
	for _, kind := range document.Kinds() {
		for _, r := range document.Rules(kind) {
			if !r.Fatal {
				all = append(all, r.ID)
			}
		}
	}
	return all
}
