package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/kv"
)

func restoreVerb(a *app) *cobra.Command {
	var config, data string
	var incomplete bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Build a new index from a backup",
		Long: `Build a new index from what entrepot backup saved, in the place that the configuration names, be it a file or PostgreSQL. Nothing is written over: move a former
index away first. The whole backup is checked before anything is written.

Then everything that the index needs is looked up in the store of content. What is missing is listed, and the index is not finished, so that no server starts on it: put
the content in its place and run the same again, or use --incomplete. Afterwards entrepot verify reads all content.`,
		Example: "  entrepot restore registry.backup --config config.yml",
		Args:    takes(1, 1),
	}
	storeFlags(a, cmd, &config, &data)
	cmd.Flags().BoolVar(&incomplete, "incomplete", false, "finish the index also if content is missing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := storeConfig(a, config, data)
		if err != nil {
			return err
		}
		if _, err := os.Stat(args[0]); err != nil {
			return err
		}
		s, err := openStore(cmd.Context(), c, newLog(c.Log, a.stderr))
		if errors.Is(err, kv.ErrBusy) {
			return fmt.Errorf("%w; stop the server first", err)
		}
		if err != nil {
			return err
		}
		done, err := registrytransfer.Restore(cmd.Context(), registrytransfer.Restoration{
			Open: func() (io.ReadCloser, error) { return os.Open(args[0]) }, Index: s.index, Blobs: s.blobs, Incomplete: incomplete,
			Tell: a.tellTransfer(), Found: a.foundProblem,
		})
		if closed := s.close(); err == nil {
			err = closed
		}
		switch {
		case errors.Is(err, registrytransfer.ErrIncomplete) && incomplete:
			return fmt.Errorf("%d contents are missing; the index is finished without them", done.Missing)
		case errors.Is(err, registrytransfer.ErrIncomplete):
			return fmt.Errorf("%d contents are missing, so the index is not finished: put them in their place and run the same again, or finish it without them with --incomplete", done.Missing)
		case err != nil:
			return fmt.Errorf("restore %s: %w", printable(args[0]), err)
		}
		fmt.Fprintf(a.stdout, "restored %d rows as of %s; all %d contents are there\n", done.Rows, done.Made.Format(time.RFC3339), done.Contents.Number)
		return nil
	}
	return cmd
}
