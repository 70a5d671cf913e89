package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/deb"
)

func debVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deb",
		Short: "Push Debian packages, and look into them",
	}
	group(cmd)
	cmd.AddCommand(a.debPush(), a.debShow(), a.debRotate())
	return cmd
}

func (a *app) debPush() *cobra.Command {
	var to, number string
	cmd := &cobra.Command{
		Use:   "push FILE.deb… --to COMPONENT",
		Short: "Push Debian packages as a version of a component",
		Long: `Push Debian packages as a version of a component: the one of --version, otherwise the one that each package says itself.

apt finds a package in the suite of a place when its version has been promoted there. All files are tried; the exit status is 1 if one failed.`,
		Example: "  entrepot deb push build/*.deb --to cloud/dmp/ms-ingestion --version 1.0.3",
		Args:    takes(1, -1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the component whose they are")
	cmd.Flags().StringVar(&number, "version", "", "the version that they are of (otherwise what each package says)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if to == "" {
			return misuse(cmd, "name the component that they are of with --to")
		}
		r, err := parseComponent(to, c.server())
		if err != nil {
			return misuse(cmd, "--to: %v", err)
		}
		if r.ref != "" {
			if number != "" && number != r.ref {
				return misuse(cmd, "--to says version %s and --version %s", printable(r.ref), printable(number))
			}
			number = r.ref
		}
		q := url.Values{}
		if number != "" {
			is, ok := versionNumber(number)
			if !ok {
				return misuse(cmd, "%s is no version; write it as 1.0.2", printable(number))
			}
			q.Set("version", is)
		}
		u := upload{client: c, app: a, ref: r, path: "/apt/upload/" + r.name + "/", query: q, mediaType: artifacts.TypeDebPackage}
		return u.all(cmd.Context(), args)
	}
	return cmd
}

// debContent is what a package says of itself.
type debContent struct {
	File     string     `json:"file"` // as its name should be
	Size     int64      `json:"size"`
	SHA256   string     `json:"sha256"`
	Control  debControl `json:"control"`
	Warnings []string   `json:"warnings,omitempty"`
}

// debControl is the control fields in their order.
type debControl []deb.Field

// MarshalJSON makes an object of them.
func (c debControl) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range c {
		name, err := rawJSON(f.Name)
		if err != nil {
			return nil, err
		}
		value, err := rawJSON(f.Value)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (a *app) debShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "show FILE.deb",
		Short:   "Show what a Debian package on this machine says of itself",
		Example: "  entrepot deb show build/ms-ingestion_1.0.3_amd64.deb",
		Args:    takes(1, 1),
	}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		found, err := readDeb(args[0])
		if err != nil {
			return fmt.Errorf("show %s: %w", printable(args[0]), err)
		}
		if output != asTable {
			return a.printAs(output, found)
		}
		for _, f := range append(found.Control, deb.Field{Name: "Filename", Value: found.File},
			deb.Field{Name: "Size", Value: strconv.FormatInt(found.Size, 10)}, deb.Field{Name: "SHA256", Value: found.SHA256}) {
			for i, line := range strings.Split(f.Value, "\n") {
				if i == 0 {
					line = f.Name + ": " + line
				}
				fmt.Fprintln(a.stdout, strings.TrimRight(printable(line), " "))
			}
		}
		for _, w := range found.Warnings {
			fmt.Fprintln(a.stderr, printable(w))
		}
		return nil
	}
	formatFlag(cmd, &output)
	return cmd
}

func readDeb(name string) (found debContent, err error) {
	f, err := os.Open(name)
	if err != nil {
		return found, err
	}
	defer f.Close()
	d, err := describeFile(f, artifacts.TypeDebPackage)
	if err != nil {
		return found, err
	}
	pkg, err := deb.Read(f, deb.Limits{})
	if err != nil {
		return found, err
	}
	found = debContent{File: pkg.Control.Filename(), Size: d.Size, SHA256: d.Digest.Encoded(), Control: pkg.Control.Fields}
	for _, w := range pkg.Control.Warnings {
		found.Warnings = append(found.Warnings, w.Error())
	}
	return found, nil
}

func (a *app) debRotate() *cobra.Command {
	var revoke bool
	cmd := &cobra.Command{
		Use:   "rotate-keys",
		Short: "Let a new key sign the apt suites",
		Long: `Let a new key sign the apt suites. The old one signs beside it for 90 days; hosts must run the setup script again in that time, which fetches
the new key as well.

With --revoke the old ones are gone at once, as after a key was stolen: hosts refuse the suites until they have run the setup script again.`,
		Args: takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&revoke, "revoke", false, "have no other key sign any more")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		query := url.Values{"revoke": {strconv.FormatBool(revoke)}}
		if err := c.exchange(cmd.Context(), http.MethodPost, server, "/apt/keys/rotate", query, "", nil, func(*http.Response) error { return nil }); err != nil {
			return explain(err, "rotate the keys of the apt suites of %s", server)
		}
		fmt.Fprintf(a.stdout, "a new key signs the apt suites; on each host, run the setup script of %s again\n", server)
		return nil
	}
	return cmd
}
