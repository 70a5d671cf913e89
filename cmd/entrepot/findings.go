package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

// findingRow is a finding with the version that it is about.
type findingRow struct {
	Component string `json:"component"`
	Version   string `json:"version"`
	artifacts.Finding
}

func findingsVerb(a *app) *cobra.Command {
	var output, level, rule string
	cmd := &cobra.Command{
		Use:   "findings [COMPONENT[@VERSION]]",
		Short: "List what is wrong with versions, and what to do about it",
		Long: `List what is wrong with versions, and what to do about it: with all of them, those of a component, or one.

What is denied was there before the rule, or came before what it is about, and keeps its version from being known good. What is warned about does not.`,
		Example: "  entrepot findings\n  entrepot findings cloud/dmp/ms-ingestion@1.0.3\n  entrepot findings --level deny",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&level, "level", "", "only those of this level: deny or warn")
	cmd.Flags().StringVar(&rule, "rule", "", "only those of this rule, such as version.metadata.missing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if level != "" && level != string(artifacts.Deny) && level != string(artifacts.Warn) {
			return misuse(cmd, "--level %q is neither deny nor warn", level)
		}
		r := componentRef{server: c.server()}
		if len(args) == 1 {
			var err error
			if r, err = parseComponent(args[0], r.server); err != nil {
				return misuse(cmd, "%v", err)
			}
		}
		items, err := c.findings(cmd.Context(), r, level, rule)
		if err != nil {
			what := "versions of " + r.server
			if r.name != "" {
				what = r.String()
			}
			return explainAll(err, "list what is wrong with %s", what)
		}
		return printItems(a, output, items, false, []string{"VERSION", "LEVEL", "WHERE", "WHAT"}, func(f findingRow) []string {
			where := f.File
			if f.Line > 0 {
				where += fmt.Sprintf(":%d:%d", f.Line, max(f.Column, 1))
			}
			return []string{f.Component + "@" + f.Version, string(f.Level), where, findingText(f.Finding)}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}

// findings asks for those of all versions, of a component's, or of one.
func (c *client) findings(ctx context.Context, r componentRef, level, rule string) ([]json.RawMessage, error) {
	if r.ref != "" {
		return c.findingsOf(ctx, r, level, rule)
	}
	q := url.Values{}
	if level != "" {
		q.Set("level", level)
	}
	if rule != "" {
		q.Set("rule", rule)
	}
	path := "/findings"
	if r.name != "" {
		path = r.path() + path
	}
	items, _, err := c.list(ctx, r.server, path, q, 0)
	return items, err
}

// findingsOf picks them out of all that is known of a version.
func (c *client) findingsOf(ctx context.Context, r componentRef, level, rule string) ([]json.RawMessage, error) {
	number, err := c.number(ctx, r)
	if err != nil {
		return nil, err
	}
	var s versionState
	if err := c.state(ctx, r, number, &s); err != nil {
		return nil, err
	}
	items := []json.RawMessage{}
	for _, f := range s.Findings {
		if level != "" && string(f.Level) != level || rule != "" && f.Rule != rule {
			continue
		}
		one, err := rawJSON(findingRow{r.name, number, f})
		if err != nil {
			return nil, err
		}
		items = append(items, one)
	}
	return items, nil
}
