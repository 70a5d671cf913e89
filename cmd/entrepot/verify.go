package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
)

func verifyVerb(a *app) *cobra.Command {
	var config, data string
	var repair, peer bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything that is stored and check every digest",
		Long: `Read everything that is stored and check every digest, every tag, what repositories hold, and the journal's chain. The server must be stopped.
Each problem is one line; with any, the exit status is 1. Nothing is changed, unless --repair is said.

With --repair the index is made to agree with itself: what follows from manifests, tags and content that are there is written anew, and what contradicts them
goes. Each change is one line. Content that is missing is listed with the images that it hits; push these again. No blob, manifest or tag is removed. Then
everything is read once more, and the exit status tells what is left.

With --peer besides, all content is scrubbed before that, as fast as possible: what is damaged is put aside, and what is damaged or missing comes from the places
that scrub.peer of the configuration names, which are only read. What was stored within gc.delay before is left for another time.`,
		Example: "  entrepot verify\n  entrepot verify --repair --data /var/lib/entrepot\n  ENTREPOT_SCRUB_PEER_DISK=/mnt/backup entrepot verify --repair --peer",
		Args:    takes(0, 0),
	}
	storeFlags(a, cmd, &config, &data)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if peer && !repair {
			return misuse(cmd, "--peer is for --repair: without it, nothing is changed")
		}
		c, err := storeConfig(a, config, data)
		if err != nil {
			return err
		}
		_, index, _ := c.paths()
		if _, err := os.Stat(index); err != nil && !c.shared() {
			return fmt.Errorf("there is no store: %w; name its folder with data, --data or ENTREPOT_DATA", err)
		}
		log := newLog(c.Log, a.stderr)
		var peers []registry.Peer
		if peer {
			if peers, err = openPeers(cmd.Context(), c.Scrub.Peer, log); err == nil && len(peers) == 0 {
				err = errors.New("no peer is known; name one with scrub.peer in the configuration, or a folder with ENTREPOT_SCRUB_PEER_DISK")
			}
			if err != nil {
				return err
			}
		}
		s, err := openStore(cmd.Context(), c, log)
		if err != nil {
			return err
		}
		defer s.close()
		problems, err := a.verify(cmd.Context(), s)
		if err == nil && repair {
			var healed bool
			if len(peers) > 0 {
				if healed, err = a.heal(cmd.Context(), s, c, peers, log); err != nil {
					return err
				}
			}
			var changed int
			if changed, err = a.repair(cmd.Context(), s); err == nil && (changed > 0 || healed) {
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
	cmd.Flags().BoolVar(&peer, "peer", false, "with --repair: bring what is damaged or missing from the places that scrub.peer names")
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

// heal scrubs, and tells whether anything is otherwise than before.
func (a *app) heal(ctx context.Context, s *store, c Config, peers []registry.Peer, log *slog.Logger) (bool, error) {
	reg, err := registry.Open(ctx, s.registryConfig(c, log))
	if err != nil {
		return false, err
	}
	done, err := reg.Scrub(ctx, registry.ScrubOptions{Peers: peers, Found: func(d registry.Damage) { a.printDamages([]registry.Damage{d}) }})
	if err != nil {
		return false, err
	}
	fmt.Fprintf(a.stdout, "scrub: %s\n", scrubSteps(done))
	return done.Damaged+done.Healed > 0, nil
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
