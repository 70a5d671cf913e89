package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func depsVerb(a *app) *cobra.Command {
	var output, at string
	cmd := &cobra.Command{
		Use:   "deps COMPONENT[@REF]",
		Short: "List what a version needs, and whether there is what will do",
		Long: `List what a version needs according to its metadata.yaml, and whether there is what will do: a version that is known good, or with --at the one
that is deployed at that place.

REF is a version (1.0.2), a place (cloud.prod: what is deployed there), latest, or commit- and a commit. Without it the version is meant that is
deployed at the place of --at, and without that the latest.`,
		Example: "  entrepot deps cloud/dmp/ms-ingestion\n  entrepot deps cloud/dmp/ms-ingestion@1.0.3 --at cloud.prod",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&at, "at", "", "what is deployed at this place counts, such as cloud.prod")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := parseComponent(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		q := url.Values{}
		if at != "" {
			place, err := artifacts.ParsePlace(at)
			if err != nil {
				return misuse(cmd, "--at: %v", err)
			}
			q.Set("place", place.Tag())
		}
		if r.ref == "" && at != "" {
			r.ref = at
		}
		if r.ref != "" {
			number, err := c.number(cmd.Context(), r)
			if err != nil {
				return explainAll(err, "list what %s needs", r)
			}
			q.Set("version", number)
		}
		var p page
		if err := c.get(cmd.Context(), r.server, r.path()+"/dependencies", q, &p); err != nil {
			return explainAll(err, "list what %s needs", r)
		}
		return printItems(a, output, p.Items, false, []string{"NEEDS", "COMPONENT", "MET", "BY"}, func(d artifacts.Dependency) []string {
			return []string{d.Text, orDash(d.Needs), yesNo(d.Met), orDash(d.By)}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}

func rdepsVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "rdeps COMPONENT",
		Short:   "List the versions of others that need a component",
		Example: "  entrepot rdeps cloud/dmp/common-utils",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := parseComponentAlone(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		items, more, err := c.list(cmd.Context(), r.server, r.path()+"/dependents", nil, 0)
		if err != nil {
			return explainAll(err, "list what needs %s", r)
		}
		return printItems(a, output, items, more, []string{"COMPONENT", "VERSION", "NEEDS", "MET", "BY"}, func(d artifacts.Dependency) []string {
			return []string{d.Component, d.Version, d.Text, yesNo(d.Met), orDash(d.By)}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}
