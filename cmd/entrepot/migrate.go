package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/kv"
)

func migrateVerb(a *app) *cobra.Command {
	var config, data, to string
	var contentOnly bool
	var options registrytransfer.Config
	cmd := &cobra.Command{
		Use:   "migrate --to FILE",
		Short: "Copy a whole registry to other stores",
		Long: `Copy a whole registry from the stores of one configuration to those of another: from files to S3, from a file to PostgreSQL, and back.

With --content-only the content is copied, which is the long part, while the server goes on. Then stop the server and run it without: what came since is copied,
and the index. A server on PostgreSQL may go on in that step too if nobody pushes; a source that changes is found out, and nothing is finished.

Every content is hashed on its way; what does not match is told and not copied. What is there already is compared by its size, and with --verify read. When it is
interrupted, run it again: it goes on. The target's index must be empty, or begun by the same migration, and no server starts on it before it is finished.`,
		Example: "  entrepot migrate --config disk.yml --to s3.yml --content-only\n  entrepot migrate --config disk.yml --to s3.yml",
		Args:    takes(0, 0),
	}
	storeFlags(a, cmd, &config, &data)
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "configuration file of the target")
	f.BoolVar(&contentOnly, "content-only", false, "copy content, and nothing of the index")
	f.BoolVar(&options.Verify, "verify", false, "also read the content that the target has already")
	f.BoolVar(&options.Incomplete, "incomplete", false, "finish the target also if content is missing")
	f.IntVar(&options.Workers, "workers", 4, "how many contents are copied at once")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if to == "" {
			return misuse(cmd, "name the target's configuration with --to")
		}
		if options.Workers < 1 || options.Workers > 256 {
			return misuse(cmd, "--workers is a number from 1 to 256")
		}
		source, err := storeConfig(a, config, data)
		if err != nil {
			return fmt.Errorf("read the source's configuration: %w", err)
		}
		target, err := loadConfig(to, withoutStores(a.environ))
		if err == nil {
			err = target.validate()
		}
		if err != nil {
			return fmt.Errorf("read the target's configuration: %w", err)
		}
		if contentOnly {
			return a.migrateContent(cmd.Context(), source, target, options)
		}
		return a.migrate(cmd.Context(), source, target, options)
	}
	return cmd
}

// withoutStores leaves out what the environment says of the source: the target is what its file says.
func withoutStores(environ []string) (rest []string) {
	for _, v := range environ {
		if !strings.HasPrefix(v, "ENTREPOT_") {
			rest = append(rest, v)
		}
	}
	return rest
}

// migrateContent copies content alone. The source's server may be at work.
func (a *app) migrateContent(ctx context.Context, source, target Config, t registrytransfer.Config) (err error) {
	if err := source.exists(); err != nil {
		return err
	}
	t.Log = newLog(source.Log, a.stderr)
	if t.From, _, err = openBlobs(ctx, source, t.Log); err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	if t.To, _, err = openBlobs(ctx, target, t.Log); err != nil {
		return fmt.Errorf("open the target: %w", err)
	}
	t.Tell, t.Found = a.tellTransfer(), a.foundProblem
	done, err := registrytransfer.Contents(ctx, t)
	a.printTransferred(done)
	if errors.Is(err, registrytransfer.ErrIncomplete) {
		return fmt.Errorf("%d contents are wrong in the source; entrepot verify tells what needs them", done.Wrong)
	}
	return unfinished(err)
}

// migrate copies everything. The source's file is held meanwhile, so that no server writes to it.
func (a *app) migrate(ctx context.Context, source, target Config, t registrytransfer.Config) error {
	if source.indexPlace() == target.indexPlace() {
		return fmt.Errorf("both configurations have their index in %s; there is nothing to migrate, or --content-only is meant", source.indexPlace())
	}
	if err := source.exists(); err != nil {
		return err
	}
	t.Log = newLog(source.Log, a.stderr)
	from, err := openStore(ctx, source, t.Log)
	if errors.Is(err, kv.ErrBusy) {
		return fmt.Errorf("open the source: %w; stop its server first, or copy its content meanwhile with --content-only", err)
	}
	if err != nil {
		return fmt.Errorf("open the source: %w", err)
	}
	defer from.close()
	into, err := openStore(ctx, target, t.Log)
	if err != nil {
		return fmt.Errorf("open the target: %w", err)
	}
	t.From, t.FromIndex, t.To, t.ToIndex = from.blobs, from.index, into.blobs, into.index
	t.Name = source.contentPlace() + " and " + source.indexPlace()
	t.Tell, t.Found = a.tellTransfer(), a.foundProblem
	done, err := registrytransfer.Migrate(ctx, t)
	if closed := into.close(); err == nil {
		err = closed
	}
	a.printTransferred(done)
	if errors.Is(err, registrytransfer.ErrIncomplete) {
		if t.Incomplete {
			return fmt.Errorf("%d contents are missing; the target is finished without them", done.Wrong)
		}
		return fmt.Errorf("%d contents are missing, so the target is not finished: mend the source and run the same again, or finish it without them with --incomplete", done.Wrong)
	}
	if err != nil {
		return unfinished(err)
	}
	fmt.Fprintf(a.stdout, "index: %d rows, with the sum %s in the source and in the target\nthe target is finished: start the server with its configuration\n", done.Rows, done.Sum)
	return nil
}

// unfinished says how to go on behind an error.
func unfinished(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; what was copied stays, and the same again goes on", err)
}

// exists refuses a source that was never made. To open it would make it.
func (c Config) exists() error {
	content, index, _ := c.paths()
	for _, place := range []struct {
		here bool
		path string
	}{{c.Storage.S3.Bucket == "", filepath.Join(content, "blobs")}, {c.Index.Postgres.URL == "", index}} {
		if !place.here {
			continue
		}
		if _, err := os.Stat(place.path); err != nil {
			return fmt.Errorf("there is no store: %w; name its folder with data, --data or ENTREPOT_DATA", err)
		}
	}
	return nil
}

// contentPlace names where content is kept, without secrets.
func (c Config) contentPlace() string {
	if o := c.Storage.S3; o.Bucket != "" {
		return fmt.Sprintf("bucket %s/%s at %s", o.Bucket, o.Prefix, printable(withoutUser(cmp.Or(o.Endpoint, o.Region, "Amazon"))))
	}
	content, _, _ := c.paths()
	return "folder " + absolute(content)
}

// indexPlace names where the index is kept, without secrets.
func (c Config) indexPlace() string {
	if c.Index.Postgres.URL != "" {
		return "PostgreSQL " + printable(strings.TrimSuffix(withoutUser(c.Index.Postgres.URL)+" "+c.Index.Postgres.Schema, " "))
	}
	_, index, _ := c.paths()
	return "file " + absolute(index)
}

// withoutUser leaves of a URL what tells where something is.
func withoutUser(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		if strings.ContainsAny(raw, "=@") { // a PostgreSQL connection in words, with its password
			return "of its own"
		}
		return raw
	}
	return u.Host + u.Path
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
