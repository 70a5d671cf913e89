package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func placesVerb(a *app) *cobra.Command {
	var output, at string
	cmd := &cobra.Command{
		Use:   "places [PLACE]",
		Short: "List the places where anything is deployed, or what is deployed at one",
		Long: `List the places where anything is deployed, or what is deployed at one.

A place is an environment of a domain: cloud.prod. It begins with the first promotion to it. Each has an apt suite of what is deployed there.`,
		Example: "  entrepot places\n  entrepot places cloud.prod\n  entrepot places cloud.prod --at 2026-05-10",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&at, "at", "", "what was deployed at "+momentHelp)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, q := c.server(), url.Values{}
		if at != "" {
			t, err := moment(at, time.Now())
			if err != nil {
				return misuse(cmd, "--at: %v", err)
			}
			if len(args) == 0 {
				return misuse(cmd, "--at says when something was deployed; name the place, too")
			}
			q.Set("at", t)
		}
		if len(args) == 0 {
			return a.listPlaces(cmd, c, server, output)
		}
		place, err := artifacts.ParsePlace(args[0])
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		items, more, err := c.list(cmd.Context(), server, "/places/"+place.Tag(), q, 0)
		if err != nil {
			return explainAll(noPlace(err), "list what is deployed at %s", place)
		}
		return printItems(a, output, items, more, []string{"COMPONENT", "VERSION", "SINCE", "BY", "REASON"}, func(d artifacts.Deployed) []string {
			return []string{d.Component, d.Version, when(d.Since, "-"), d.By, orDash(d.Reason)}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}

// noPlace is err for somebody who has named a place.
func noPlace(err error) error {
	return missing{err, "a place begins with the first promotion to it; list those there are with: entrepot places"}
}

func (a *app) listPlaces(cmd *cobra.Command, c *client, server, output string) error {
	var p page
	if err := c.get(cmd.Context(), server, "/places", nil, &p); err != nil {
		return explainAll(err, "list the places of %s", server)
	}
	type placeRow struct {
		Place string `json:"place"`
		Suite string `json:"suite"`
		Last  bool   `json:"last"`
	}
	return printItems(a, output, p.Items, false, []string{"PLACE", "APT SUITE", "LAST"}, func(one placeRow) []string {
		return []string{one.Place, one.Suite, yesNo(one.Last)}
	})
}
