package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
	"github.com/entrepot/entrepot/artifacts/intake"
)

// shelf is what documents belong to: a version of a component, or a group.
type shelf struct {
	server string
	ref    componentRef // of a version
	number string
	group  string // otherwise
}

// shelfOf reads what a document of a kind belongs to.
func (c *client) shelfOf(text string, kind document.Kind) (s shelf, err error) {
	ofGroup := kind == document.KindOwnership || kind == document.KindPolicy
	if host, name, ok := parseGroup(text, c.server()); ok {
		if !ofGroup {
			return s, fmt.Errorf("%s is of a version, and %s is a group; write COMPONENT@VERSION", fileOf(kind), name)
		}
		return shelf{server: host, group: name}, nil
	}
	r, number, err := parseComponentVersion(text, c.server())
	if ofGroup {
		return s, fmt.Errorf("%s is of a group, and %s is none; write DOMAIN/GROUP, as cloud/dmp", fileOf(kind), printable(text))
	}
	return shelf{server: r.server, ref: r, number: number}, err
}

func (s shelf) String() string {
	if s.group != "" {
		return s.group
	}
	return s.ref.String()
}

// path is where a document is in the API; format is that of a manifest.yaml.
func (s shelf) path(kind document.Kind, format string) string {
	switch {
	case s.group != "":
		return componentsAPI + "/groups/" + s.group + "/" + fileOf(kind)
	case kind == document.KindManifest:
		return componentsAPI + s.ref.version(s.number) + "/" + format + "/" + fileOf(kind)
	}
	return componentsAPI + s.ref.version(s.number) + "/" + fileOf(kind)
}

// fileOf is the name of a document's file.
func fileOf(kind document.Kind) string { return string(kind) + ".yaml" }

func (a *app) documentPut() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "put COMPONENT@VERSION|GROUP FILE…",
		Short: "Attach documents to a version, or give a group its own",
		Long: `Attach documents to a version (manifest.yaml, metadata.yaml), or give a group its own (ownership.yaml, policy.yaml). The name of a file says
which document it is, and a manifest.yaml which format it describes.

What is wrong with a document is said line by line, and nothing of it is kept; entrepot validate looks without putting. All files are tried; the
exit status is 1 if one failed.`,
		Example: "  entrepot document put cloud/dmp/ms-ingestion@1.0.3 manifest.yaml metadata.yaml\n  entrepot document put cloud/dmp ownership.yaml",
		Args:    takes(2, -1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "", "the format that a manifest.yaml describes: docker, deb or generic (otherwise the one that it names)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkFormat(format); err != nil {
			return misuse(cmd, "%v", err)
		}
		shelves := map[document.Kind]shelf{}
		for _, file := range args[1:] {
			kind, ok := document.KindOf(filepath.ToSlash(file))
			if !ok || kind == document.KindComponents || kind == document.KindDomain {
				return misuse(cmd, "%s is no document to be put; name it manifest.yaml, metadata.yaml, ownership.yaml or policy.yaml", printable(file))
			}
			var err error
			if shelves[kind], err = c.shelfOf(args[0], kind); err != nil {
				return misuse(cmd, "%v", err)
			}
		}
		return a.each(cmd.Context(), args[1:], func(file string) error {
			kind, _ := document.KindOf(filepath.ToSlash(file))
			return a.putDocument(cmd.Context(), c, shelves[kind], kind, file, format)
		})
	}
	return cmd
}

func (a *app) putDocument(ctx context.Context, c *client, at shelf, kind document.Kind, file, format string) error {
	text, err := readDocument(file, kind)
	if err == nil && kind == document.KindManifest {
		if format == "" {
			format = formatSaid(text)
		}
		format, err = c.formatOf(ctx, at.ref, at.number, format)
	}
	var kept intake.Kept
	if err == nil {
		err = c.exchange(ctx, http.MethodPut, at.server, at.path(kind, format), nil, "application/yaml", text, func(res *http.Response) error {
			return readJSON(io.LimitReader(res.Body, answerLimit), &kept)
		})
	}
	if err != nil {
		return explainDocument(noVersion(err, at.ref), file, "put %s to %s", printable(file), at)
	}
	said := "put %s to %s: %s\n"
	if kept.Same {
		said = "%s of %s is there already: %s\n"
	}
	fmt.Fprintf(a.stdout, said, fileOf(kind), at, printable(kept.Digest.String()))
	if at.group == "" {
		for _, f := range c.warnings(ctx, at, kind, format) {
			f.File = file
			fmt.Fprintln(a.stderr, oneLine(findingLine(f)))
		}
	}
	return nil
}

// warnings are what is not as it should be with a document of a version, although it was taken.
func (c *client) warnings(ctx context.Context, at shelf, kind document.Kind, format string) []artifacts.Finding {
	var s versionState
	if c.state(ctx, at.ref, at.number, &s) != nil {
		return nil // it was put, and that is what was asked for
	}
	if kind == document.KindMetadata {
		format = "metadata"
	}
	return s.Documents[format].Findings
}

// formatSaid is the format that a manifest.yaml names; empty: none that there is.
func formatSaid(text []byte) string {
	doc, _ := document.Parse(document.KindManifest, text)
	if m, ok := doc.(*document.Manifest); ok && checkFormat(m.Format) == nil {
		return m.Format
	}
	return ""
}

// readDocument reads a file that is no longer than a document may be.
func readDocument(file string, kind document.Kind) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readDocumentFrom(f, kind)
}

func readDocumentFrom(r io.Reader, kind document.Kind) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(kind.MaxSize())+1))
	if err == nil && len(text) > kind.MaxSize() {
		return nil, errors.New("it is longer than " + humanSize(int64(kind.MaxSize())) + ", and a " + fileOf(kind) + " never is")
	}
	return text, err
}
