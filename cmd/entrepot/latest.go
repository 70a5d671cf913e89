package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func latestVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "latest COMPONENT",
		Short: "Print the latest version of a component that is known good, and nothing else",
		Long: `Print the latest version of a component that is known good, and nothing else. Pre-releases do not count. The exit status is 1 if there is
none.`,
		Example: "  entrepot latest cloud/dmp/ms-ingestion\n  entrepot cp cloud/dmp/ms-ingestion:$(entrepot latest cloud/dmp/ms-ingestion) oci:out",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := parseComponentAlone(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		latest, err := c.latest(cmd, r)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, printable(latest))
		return nil
	}
	return cmd
}

// latest returns the latest version of a component that is known good. Its errors say what was being done.
func (c *client) latest(cmd *cobra.Command, r componentRef) (string, error) {
	var found componentRow
	if err := c.get(cmd.Context(), r.server, r.path(), nil, &found); err != nil {
		return "", explainAll(err, "find the latest version of %s", r.name)
	}
	if found.Latest == "" {
		return "", fmt.Errorf("no version of %s is known good yet; see what is missing with: entrepot findings %s", r.name, r.name)
	}
	return found.Latest, nil
}
