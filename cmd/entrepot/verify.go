package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
)

func verifyVerb(a *app) *cobra.Command {
	var config, data string
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything that is stored and check every digest",
		Long: `Read everything that is stored and check every digest, every tag, what repositories hold, and the journal's chain. The server must be stopped.
Each problem is one line; with any, the exit status is 1. Nothing is changed, unless --repair is said.

With --repair the index is made to agree with itself: what follows from manifests, tags and content that are there is written anew, and what contradicts them
goes. Each change is one line. Content that is missing is listed with the images that it hits; push these again. No blob, manifest or tag is removed. Then
everything is read once more, and the exit status tells what is left.`,
		Example: "  entrepot verify\n  entrepot verify --repair --data /var/lib/entrepot",
		Args:    takes(0, 0),
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
		problems, err := a.verify(cmd.Context(), s)
		if err == nil && repair {
			var changed int
			if changed, err = a.repair(cmd.Context(), s); err == nil && changed > 0 {
				problems, err = a.verify(cmd.Context(), s)
			}
		}
		if err != nil {
			return err
		}
		if problems > 0 {
			return fmt.Errorf("%d problems were found", problems)
		}
		return nil
	}
	cmd.Flags().BoolVar(&repair, "repair", false, "make the index agree with itself, and list what content is missing")
	return cmd
}

// verify reads everything, and returns how many problems there are.
func (a *app) verify(ctx context.Context, s *store) (problems int, err error) {
	seen, err := registry.Verify(ctx, s.blobs, s.index, func(problem string) {
		problems++
		fmt.Fprintln(a.stdout, problem)
	})
	if err != nil {
		return problems, err
	}
	fmt.Fprintf(a.stdout, "read %d blobs, %d manifests, %d tags, %d events: %d bytes\n", seen.Blobs, seen.Manifests, seen.Tags, seen.Events, seen.Bytes)
	return problems, nil
}

// repair returns how many rows it changed.
func (a *app) repair(ctx context.Context, s *store) (int, error) {
	done, err := registry.Repair(ctx, s.blobs, s.index, func(line string) { fmt.Fprintln(a.stdout, "repair: "+line) })
	if err != nil {
		return done.Changed, err
	}
	fmt.Fprintf(a.stdout, "changed %d rows of the index; %d things are lost\n", done.Changed, done.Lost)
	return done.Changed, nil
}
