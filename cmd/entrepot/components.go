package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// componentRow is a component in the server's list.
type componentRow struct {
	Name     string            `json:"name"`
	Latest   string            `json:"latest"`
	Team     string            `json:"team"`
	Deployed map[string]string `json:"deployed"` // versions by place
}

func componentsVerb(a *app) *cobra.Command {
	var output string
	var filter componentFilter
	cmd := &cobra.Command{
		Use:   "components [TEXT]",
		Short: "List the components, with their latest versions and where they are deployed",
		Long: `List the components, with their latest versions and where they are deployed: all of them, or those with TEXT in their names.

A component is what is versioned and deployed by itself: DOMAIN/GROUP/SERVICE. Its latest version is the highest one that is known good.
The filters ask what that version is.`,
		Example: `  entrepot components
  entrepot components ingest --team infra
  entrepot components --group cloud/dmp --level deny
  entrepot components --label tier=edge --at 2026-05-10`,
		Args: takes(0, 1),
	}
	c := a.clientFlags(cmd)
	filter.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := filter.query(cmd)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			q.Set("q", args[0])
		}
		server := c.server()
		items, more, err := c.list(cmd.Context(), server, "/components", q, filter.limit)
		if err != nil {
			return explainAll(err, "list the components of %s", server)
		}
		return printItems(a, output, items, more, []string{"COMPONENT", "LATEST", "TEAM", "DEPLOYED"}, func(one componentRow) []string {
			var places []string
			for _, place := range slices.Sorted(maps.Keys(one.Deployed)) {
				places = append(places, place+" "+one.Deployed[place])
			}
			return []string{one.Name, orDash(one.Latest), orDash(one.Team), orDash(strings.Join(places, ", "))}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
