package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
)

func promoteVerb(a *app) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:   "promote COMPONENT[@VERSION] PLACE",
		Short: "Deploy a version of a component at a place",
		Long: `Deploy a version of a component at a place, such as cloud.prod. Without VERSION the latest one that is known good is taken; another place in
its stead (COMPONENT@cloud.staging) means the version that is deployed there.

The version must be known good, its metadata.yaml must allow the place, and what it needs must be deployed there. All that speaks against it is
said at once.`,
		Example: `  entrepot promote cloud/dmp/ms-ingestion@1.0.3 cloud.prod --reason 'fixes the import'
  entrepot promote cloud/dmp/ms-ingestion@cloud.staging cloud.prod --expect 1.0.2`,
		Args: takes(2, 2),
	}
	c := a.clientFlags(cmd)
	m.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := parseComponent(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		place, err := artifacts.ParsePlace(args[1])
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		number := ""
		if r.ref == "" {
			number, err = c.latest(cmd, r)
		} else if number, err = c.number(cmd.Context(), r); err != nil {
			err = explainAll(err, "promote %s", r)
		}
		if err != nil {
			return err
		}
		asked := m.order(cmd, r)
		asked.Version, asked.To = number, place.Tag()
		return a.move(cmd, c, r, place, "/promotions", asked, m.output, fmt.Sprintf("promote %s %s to %s", r.name, printable(number), place))
	}
	return cmd
}
