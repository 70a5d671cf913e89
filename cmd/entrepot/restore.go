package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/kv"
)

// restoring is how the verb was called.
type restoring struct {
	config, data string
	incomplete   bool
	fromBucket   bool
	list         bool
}

func restoreVerb(a *app) *cobra.Command {
	var o restoring
	cmd := &cobra.Command{
		Use:   "restore FILE | --from-bucket [NAME]",
		Short: "Build a new index from a backup",
		Long: `Build a new index from what entrepot backup saved, or a server by its schedule, in the place that the configuration names, be it a file or PostgreSQL. Nothing is
written over: move a former index away first. The whole backup is checked before anything is written.

With --from-bucket it is one of those that a server put into the bucket of its content (backup.to: bucket): the newest, or the one with that NAME. --list tells which
there are.

Then everything that the index needs is looked up in the store of content. What is missing is listed, and the index is not finished, so that no server starts on it: put
the content in its place and run the same again, or use --incomplete. Afterwards entrepot verify reads all content.

Nothing is written to the store of content, so that a restoration can be tried beside a registry that serves; but only one server may ever write there. The journal
tells that the index was restored: once a server has run on it, what happened behind the backup is given up, also should the index be built from content some day.`,
		Example: "  entrepot restore registry.backup --config config.yml\n  entrepot restore --list --config config.yml\n" +
			"  entrepot restore --from-bucket --config config.yml\n  entrepot restore --from-bucket entrepot-20260510T120000Z.backup --config config.yml",
		Args: takes(0, 1),
	}
	storeFlags(a, cmd, &o.config, &o.data)
	cmd.Flags().BoolVar(&o.incomplete, "incomplete", false, "finish the index also if content is missing")
	cmd.Flags().BoolVar(&o.fromBucket, "from-bucket", false, "take the newest backup in the bucket of content, or the one that is named")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the backups in the bucket of content, the newest first, and restore none")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case o.list && len(args) > 0:
			return misuse(cmd, "--list takes no name")
		case !o.list && !o.fromBucket && len(args) == 0:
			return misuse(cmd, "name the file of a backup, or take one from the bucket with --from-bucket")
		}
		c, err := storeConfig(a, o.config, o.data)
		if err != nil {
			return err
		}
		if o.list {
			return a.listBackups(cmd.Context(), c)
		}
		name := ""
		if len(args) == 1 {
			name = args[0]
		}
		return a.restore(cmd.Context(), c, o, name)
	}
	return cmd
}

// backupsOf returns where a bucket of content holds backups.
func backupsOf(blobs blob.Store) (registrytransfer.Shelf, error) {
	bucket, ok := blobs.(*s3.Store)
	if !ok {
		return nil, errors.New("content is not in a bucket: set storage.s3.bucket to the one with the backups, or name the file of a backup")
	}
	return bucket.Backups(), nil
}

func (a *app) listBackups(ctx context.Context, c Config) error {
	if c.Storage.S3.Bucket == "" {
		_, err := backupsOf(nil)
		return err
	}
	blobs, _, err := openBlobs(ctx, c, newLog(c.Log, a.stderr))
	if err != nil {
		return err
	}
	shelf, err := backupsOf(blobs)
	if err != nil {
		return err
	}
	names, err := registrytransfer.Kept(ctx, shelf)
	if err != nil {
		return err
	}
	for _, name := range names {
		made, _ := registrytransfer.MadeAt(name)
		fmt.Fprintf(a.stdout, "%s  %s\n", name, when(made, ""))
	}
	if len(names) == 0 {
		fmt.Fprintf(a.stderr, "there are no backups in %s\n", shelf)
	}
	return nil
}

// restore builds a new index from a file, or from what lies in the bucket; without a name from the newest there.
func (a *app) restore(ctx context.Context, c Config, o restoring, name string) error {
	if !o.fromBucket {
		if _, err := os.Stat(name); err != nil {
			return err
		}
	}
	s, err := openStore(ctx, c, newLog(c.Log, a.stderr))
	if errors.Is(err, kv.ErrBusy) {
		return fmt.Errorf("%w; stop the server first", err)
	}
	if err != nil {
		return err
	}
	var done registrytransfer.Restored
	name, open, err := s.backup(ctx, o, name)
	if err == nil {
		done, err = registrytransfer.Restore(ctx, registrytransfer.Restoration{
			Open: open, Index: s.index, Blobs: s.blobs, Incomplete: o.incomplete, Tell: a.tellTransfer(), Found: a.foundProblem,
		})
	}
	if closed := s.close(); err == nil {
		err = closed
	}
	switch {
	case errors.Is(err, registrytransfer.ErrIncomplete) && o.incomplete:
		return fmt.Errorf("%d contents are missing; the index is finished without them", done.Missing)
	case errors.Is(err, registrytransfer.ErrIncomplete):
		return fmt.Errorf("%d contents are missing, so the index is not finished: put them in their place and run the same again, or finish it without them with --incomplete", done.Missing)
	case err != nil:
		return fmt.Errorf("restore %s: %w", printable(name), err)
	}
	fmt.Fprintf(a.stdout, "restored %d rows as of %s from %s; all %d contents are there\n", done.Rows, done.Made.Format(time.RFC3339), printable(name), done.Contents.Number)
	return nil
}

// backup returns the name of the backup that is meant, and what opens it.
func (s *store) backup(ctx context.Context, o restoring, name string) (string, func() (io.ReadCloser, error), error) {
	if !o.fromBucket {
		return name, func() (io.ReadCloser, error) { return os.Open(name) }, nil
	}
	shelf, err := backupsOf(s.blobs)
	if err != nil {
		return "a backup", nil, err
	}
	if name == "" {
		names, err := registrytransfer.Kept(ctx, shelf)
		if err == nil && len(names) == 0 {
			err = fmt.Errorf("there are none in %s", shelf)
		}
		if err != nil {
			return "a backup", nil, err
		}
		name = names[0]
	}
	return name, func() (io.ReadCloser, error) { return shelf.Open(ctx, name) }, nil
}
