package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/registry"
	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

func reindexVerb(a *app) *cobra.Command {
	var config, data string
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Build the index anew from content",
		Long: `Build the index anew from content, when the index was lost or damaged. The server must be stopped.

All content is read and checked. Repositories, tags and the journal come back from the journal's copies among the content, which a running server
writes every minute and when it stops. Accounts and grants, how things came to be deployed and the keys that sign apt suites are taken over from the former
index, as far as that can be read: they are nowhere else. Without it what is deployed is told by domain tags, and hosts must be set up for apt again. It is
kept beside the new one with the time in its name.`,
		Args: takes(0, 0),
	}
	storeFlags(a, cmd, &config, &data)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := storeConfig(a, config, data)
		if err != nil {
			return err
		}
		return a.reindex(cmd, c)
	}
	return cmd
}

func storeFlags(a *app, cmd *cobra.Command, config, data *string) {
	cmd.Flags().StringVar(config, "config", a.getenv("ENTREPOT_CONFIG"), "configuration file")
	cmd.Flags().StringVar(data, "data", "", "folder that everything is kept in, instead of the configured one")
}

func storeConfig(a *app, config, data string) (Config, error) {
	c, err := loadConfig(config, a.environ)
	if err != nil {
		return c, err
	}
	if data != "" {
		c.Data = data
	}
	return c, c.validate()
}

func (a *app) reindex(cmd *cobra.Command, c Config) (err error) {
	if c.shared() {
		return errors.New("reindex writes a file: run it with index.postgres.url left out, and move what it made into an empty database with entrepot migrate")
	}
	_, path, _ := c.paths()
	var former kv.View // nil: there is none to take anything from
	// Holding the former index keeps a server out; one that is damaged cannot be held, nor served.
	if _, err := os.Stat(path); err == nil {
		before, err := bolt.Open(path, bolt.Options{})
		if errors.Is(err, kv.ErrBusy) {
			return fmt.Errorf("%w; stop the server first", err)
		}
		if err == nil {
			defer before.Close()
			former = before
		}
	}
	blobs, _, err := openBlobs(cmd.Context(), c, newLog(c.Log, a.stderr))
	if err != nil {
		return err
	}
	building := path + ".new"
	if err := os.Remove(building); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove what an earlier try left: %w", err)
	}
	index, err := bolt.Open(building, bolt.Options{})
	if err != nil {
		return err
	}
	problems := 0
	done, err := registry.Reindex(cmd.Context(), blobs, index, func(problem string) {
		problems++
		fmt.Fprintln(a.stderr, "entrepot: "+problem)
	})
	if err == nil {
		if lost := account.Carry(cmd.Context(), former, index); lost != nil {
			fmt.Fprintf(a.stderr, "entrepot: %v; if the configuration names nobody, the next start makes an admin\n", lost)
		}
		if lost := artifacts.Carry(cmd.Context(), former, index); lost != nil {
			fmt.Fprintf(a.stderr, "entrepot: %v; what is deployed is told by its domain tags alone, without how it came there\n", lost)
		}
	}
	if closed := index.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(building)
		return fmt.Errorf("build the index anew: %w; the former one is untouched", err)
	}
	kept := path + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(path, kept); os.IsNotExist(err) {
		kept = ""
	} else if err != nil {
		return err
	}
	if err := os.Rename(building, path); err != nil {
		return err
	}
	if err := registrytransfer.SyncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "index built: %d blobs, %d manifests, %d tags, %d events", done.Blobs, done.Manifests, done.Tags, done.Events)
	if !done.Until.IsZero() {
		fmt.Fprintf(a.stdout, ", up to %s", done.Until.UTC().Format(time.RFC3339))
	}
	fmt.Fprintln(a.stdout)
	if kept != "" {
		fmt.Fprintf(a.stdout, "the former index is kept as %s\n", kept)
	}
	if problems > 0 {
		return fmt.Errorf("%d things could not be brought back", problems)
	}
	return nil
}
