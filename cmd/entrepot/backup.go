package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
)

func backupVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "backup -o FILE [HOST]",
		Short: "Save a server's index, as it is at one moment",
		Long: `Save a server's index, as it is at one moment, while it serves. It takes the right to manage the registry.

The file has repositories, tags, manifests, components, accounts, grants and the keys that sign apt suites: keep it as you keep those. It also lists what content the
index needs. Content itself lies in the store of content: save that behind the index, with the means of its medium. An index in PostgreSQL is saved like one in a file.

A server makes backups by itself, too, as backup: in its configuration says.`,
		Example: "  entrepot backup -o registry.backup registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "the new file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if output == "" {
			return misuse(cmd, "name the new file with -o")
		}
		if len(args) == 1 {
			c.flag = args[0]
		}
		server := c.server()
		s, err := c.backup(cmd.Context(), server, output)
		if err != nil {
			return explainAll(err, "back up %s", printable(server))
		}
		fmt.Fprintf(a.stdout, "saved %d rows as of %s in %s; they need %d contents (%s)\n",
			s.Rows, s.Made.Format(time.RFC3339), printable(output), s.Contents.Number, humanSize(s.Contents.Bytes))
		return nil
	}
	return cmd
}

// backup has a server make a backup, and checks it while it comes. The file has its name when it is whole and on disk; one that is there is not written over.
func (c *client) backup(ctx context.Context, server, path string) (s registrytransfer.Summary, err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = fmt.Errorf("there is a file %s already; choose another name", printable(path))
		}
		return s, err
	}
	if _, err := c.open(); err != nil {
		return s, err
	}
	ctx, still := watchUpload(ctx, standstill)
	defer still.stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(server, "/api/v1/backups"), strings.NewReader("{}"))
	if err != nil {
		return s, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.sendOwn(req)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if err := refused(res); err != nil {
		return s, err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // with the mode 0600
	if err != nil {
		return s, err
	}
	defer os.Remove(draft.Name()) // does nothing once it has its name
	s, err = registrytransfer.ReadBackup(ctx, io.TeeReader(still.over(res.Body), draft), nil, nil)
	if err == nil {
		err = draft.Sync()
	}
	if closed := draft.Close(); err == nil {
		err = closed
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStandstill) {
		err = cause
	}
	if err == nil {
		err = os.Rename(draft.Name(), path)
	}
	if err == nil {
		err = registrytransfer.SyncFolder(filepath.Dir(path))
	}
	return s, err
}
