package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/document"
)

func documentVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "document",
		Short: "Draft, put and get the documents of versions and groups",
		Long: `Draft, put and get the documents of versions and groups.

A version has a manifest.yaml for each of its formats, which says how that was built, and one metadata.yaml, which says what it needs and where it
may be deployed. A group (DOMAIN/GROUP) has an ownership.yaml and may have a policy.yaml.`,
	}
	group(cmd)
	cmd.AddCommand(a.documentDraft(), a.documentPut(), a.documentGet())
	return cmd
}

func (a *app) documentDraft() *cobra.Command {
	var format, into string
	var metadata bool
	cmd := &cobra.Command{
		Use:   "draft COMPONENT@VERSION",
		Short: "Write what the registry knows for a manifest.yaml or a metadata.yaml; the rest is for people",
		Example: `  entrepot document draft cloud/dmp/ms-ingestion@1.0.3 -o manifest.yaml
  entrepot document draft cloud/dmp/ms-ingestion@1.0.3 --metadata -o metadata.yaml`,
		Args: takes(1, 1),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.StringVar(&format, "format", "", "of which format of the version: docker, deb or generic (needed if it has several)")
	f.BoolVar(&metadata, "metadata", false, "a metadata.yaml, not a manifest.yaml")
	f.StringVarP(&into, "output", "o", "", "write it to this file, which must not be there yet, not to standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, number, err := parseComponentVersion(args[0], c.server())
		if err == nil {
			err = checkFormat(format)
		}
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		if metadata && format != "" {
			return misuse(cmd, "a metadata.yaml is of the whole version; leave away --format")
		}
		file := "/draft/metadata.yaml"
		if !metadata {
			if format, err = c.formatOf(cmd.Context(), r, number, format); err != nil {
				return explainAll(err, "draft a manifest.yaml of %s", r)
			}
			file = "/draft/" + format + "/manifest.yaml"
		}
		text, err := c.text(cmd.Context(), r.server, componentsAPI+r.version(number)+file, nil)
		if err != nil {
			return explainAll(noVersion(err, r), "draft a %s of %s", path.Base(file), r)
		}
		if into == "" {
			_, err := a.stdout.Write(text)
			return err
		}
		return writeNew(into, text)
	}
	return cmd
}

// writeNew writes a file that is not there yet: what somebody has written by hand is not to be lost.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("write %s: it is there already; choose another name, or remove it", printable(name))
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func checkFormat(format string) error {
	if format != "" && !slices.Contains(formatNames, format) {
		return fmt.Errorf("--format %q is none of %s", format, strings.Join(formatNames, ", "))
	}
	return nil
}

// formatOf is the format that was said, or the only one that a version has.
func (c *client) formatOf(ctx context.Context, r componentRef, number, said string) (string, error) {
	if said != "" {
		return said, nil
	}
	var s versionState
	if err := c.state(ctx, r, number, &s); err != nil {
		return "", err
	}
	var has []string
	for _, format := range formatNames {
		if _, ok := s.Formats[artifacts.Kind(format)]; ok {
			has = append(has, format)
		}
	}
	if len(has) == 1 {
		return has[0], nil
	}
	return "", fmt.Errorf("the version has %s; say which is meant with --format", strings.Join(has, " and "))
}

func (a *app) documentGet() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "get COMPONENT@VERSION|GROUP NAME",
		Short: "Print a document exactly as it was pushed",
		Example: `  entrepot document get cloud/dmp/ms-ingestion@1.0.3 docker/manifest.yaml
  entrepot document get cloud/dmp/ms-ingestion@1.0.3 metadata.yaml
  entrepot document get cloud/dmp ownership.yaml`,
		Args: takes(2, 2),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().StringVar(&format, "format", "", "of which format of the version a manifest.yaml is (needed if it has several)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if folder, _, ok := strings.Cut(args[1], "/"); ok && format == "" {
			format = folder
		}
		kind, ok := document.KindOf(strings.TrimSuffix(path.Base(args[1]), ".yaml") + ".yaml")
		if !ok || kind == document.KindComponents || kind == document.KindDomain {
			return misuse(cmd, "%q is no document; there are manifest.yaml and metadata.yaml of versions, and ownership.yaml and policy.yaml of groups", args[1])
		}
		if err := checkFormat(format); err != nil {
			return misuse(cmd, "%v", err)
		}
		at, err := c.shelfOf(args[0], kind)
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		if kind == document.KindManifest {
			if format, err = c.formatOf(cmd.Context(), at.ref, at.number, format); err != nil {
				return explainAll(err, "get %s of %s", fileOf(kind), at)
			}
		}
		text, err := c.text(cmd.Context(), at.server, at.path(kind, format), nil)
		if err != nil {
			return explainAll(err, "get %s of %s", fileOf(kind), at)
		}
		_, err = a.stdout.Write(text)
		return err
	}
	return cmd
}
