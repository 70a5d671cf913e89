package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func historyVerb(a *app) *cobra.Command {
	var output, at, by, since string
	var limit int
	cmd := &cobra.Command{
		Use:     "history [COMPONENT]",
		Short:   "List who promoted, rolled back or withdrew what, the last one first",
		Example: "  entrepot history cloud/dmp/ms-ingestion\n  entrepot history --at cloud.prod --since 7d\n  entrepot history --by user:alice",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "only at this place, such as cloud.prod")
	f.StringVar(&by, "by", "", "only by this one, such as user:alice")
	f.StringVar(&since, "since", "", "not before "+momentHelp)
	f.IntVar(&limit, "limit", 100, "no more than so many; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server, q := c.server(), url.Values{}
		set := func(name, value string) {
			if value != "" {
				q.Set(name, value)
			}
		}
		if len(args) == 1 {
			r, err := parseComponentAlone(args[0], server)
			if err != nil {
				return misuse(cmd, "%v", err)
			}
			server = r.server
			set("component", r.name)
		}
		if at != "" {
			place, err := artifacts.ParsePlace(at)
			if err != nil {
				return misuse(cmd, "--at: %v", err)
			}
			set("place", place.Tag())
		}
		from, err := moment(since, time.Now())
		if err != nil {
			return misuse(cmd, "--since: %v", err)
		}
		if limit < 0 {
			return misuse(cmd, "--limit %d is less than none", limit)
		}
		set("since", from)
		set("by", by)
		items, more, err := c.list(cmd.Context(), server, "/promotions", q, limit)
		if err != nil {
			return explainAll(err, "list promotions of %s", server)
		}
		head := []string{"WHEN", "WHAT", "COMPONENT", "PLACE", "FROM", "TO", "BY", "REASON"}
		return printItems(a, output, items, more, head, func(m artifacts.Move) []string {
			return []string{when(m.When, "-"), string(m.Kind), m.Component, m.Tag(), orDash(m.From), orDash(m.To), m.By, orDash(m.Reason)}
		})
	}
	formatFlag(cmd, &output)
	return cmd
}
