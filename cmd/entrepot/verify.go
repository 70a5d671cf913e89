package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
)

func verifyVerb(a *app) *cobra.Command {
	var config, data string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything that is stored and check every digest",
		Long: `Read everything that is stored and check every digest, every tag, what repositories hold, and the journal's chain. The server must be stopped.
Each problem is one line; with any, the exit status is 1. Nothing is changed.`,
		Args: takes(0, 0),
	}
	storeFlags(a, cmd, &config, &data)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := storeConfig(a, config, data)
		if err != nil {
			return err
		}
		_, index, _ := c.paths()
		if _, err := os.Stat(index); err != nil && !c.shared() {
			return fmt.Errorf("there is no store: %w; name its folder with data, --data or ENTREPOT_DATA", err)
		}
		s, err := openStore(cmd.Context(), c, newLog(c.Log, a.stderr))
		if err != nil {
			return err
		}
		defer s.close()
		problems := 0
		seen, err := registry.Verify(cmd.Context(), s.blobs, s.index, func(problem string) {
			problems++
			fmt.Fprintln(a.stdout, problem)
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "read %d blobs, %d manifests, %d tags, %d events: %d bytes\n", seen.Blobs, seen.Manifests, seen.Tags, seen.Events, seen.Bytes)
		if problems > 0 {
			return fmt.Errorf("%d problems were found", problems)
		}
		return nil
	}
	return cmd
}
