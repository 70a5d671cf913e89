package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func withdrawVerb(a *app) *cobra.Command {
	var m moveFlags
	cmd := &cobra.Command{
		Use:     "withdraw COMPONENT@PLACE",
		Short:   "Let no version of a component be deployed at a place any more",
		Long:    `Let no version of a component be deployed at a place any more. Its versions stay where they are, and can be promoted again.`,
		Example: "  entrepot withdraw cloud/dmp/ms-ingestion@ran.staging --reason 'moved to cloud'",
		Args:    takes(1, 2),
	}
	c := a.clientFlags(cmd)
	m.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, place, err := componentAt(args, c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		asked := m.order(cmd, r)
		asked.At = place.Tag()
		return a.move(cmd, c, r, place, "/withdrawals", asked, m.output, fmt.Sprintf("withdraw %s from %s", r.name, place))
	}
	return cmd
}
