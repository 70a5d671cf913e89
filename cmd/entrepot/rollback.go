package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func rollbackVerb(a *app) *cobra.Command {
	var m moveFlags
	var to string
	cmd := &cobra.Command{
		Use:   "rollback COMPONENT@PLACE",
		Short: "Deploy the version again that was deployed at a place before",
		Long: `Deploy the version again that was deployed at a place before, or another one that was there earlier. It may go back to a version that is not
known good any more.`,
		Example: `  entrepot rollback cloud/dmp/ms-ingestion@cloud.prod --reason 'the import is slow'
  entrepot rollback cloud/dmp/ms-ingestion cloud.prod --to 1.0.1`,
		Args: takes(1, 2),
	}
	c := a.clientFlags(cmd)
	m.register(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the version to go back to (otherwise the one before)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, place, err := componentAt(args, c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		asked := m.order(cmd, r)
		asked.Version, asked.At = to, place.Tag()
		doing := fmt.Sprintf("roll back %s at %s", r.name, place)
		if to != "" {
			doing += " to " + printable(to)
		}
		return a.move(cmd, c, r, place, "/rollbacks", asked, m.output, doing)
	}
	return cmd
}
