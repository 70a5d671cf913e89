package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// tagRow is what the long list says of a tag.
type tagRow struct {
	Tag       string        `json:"tag"`
	Digest    digest.Digest `json:"digest"`
	MediaType string        `json:"mediaType"`
	Kind      string        `json:"kind"`
	Size      int64         `json:"size"` // of the content, without the manifests
}

func tagsVerb(a *app) *cobra.Command {
	var output string
	var long bool
	cmd := &cobra.Command{
		Use:     "tags REPO",
		Short:   "List the tags of a repository",
		Example: "  entrepot tags cloud/app\n  entrepot tags -l registry.example.com/cloud/app",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVarP(&long, "long", "l", false, "also print each tag's digest, size and kind")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, err := parseRepository(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		s, err := c.store(ref)
		if err != nil {
			return explain(err, "list tags of %s", ref)
		}
		tags, err := s.Tags(cmd.Context())
		if err != nil {
			return explain(err, "list tags of %s", ref)
		}
		if long {
			rows, err := tagRows(cmd.Context(), s, tags)
			if err != nil {
				return explain(err, "list tags of %s", ref)
			}
			if output == "json" {
				return a.printJSON(rows)
			}
			var lines [][]string
			for _, r := range rows {
				lines = append(lines, []string{r.Tag, r.Digest.String(), humanSize(r.Size), r.Kind})
			}
			return a.table(lines)
		}
		if output == "json" {
			return a.printJSON(append([]string{}, tags...))
		}
		for _, t := range tags {
			fmt.Fprintln(a.stdout, printable(t))
		}
		return nil
	}
	outputFlag(cmd, &output)
	return cmd
}

// tagRows looks at what each tag names, a few at a time.
func tagRows(ctx context.Context, s *remoteStore, tags []string) ([]tagRow, error) {
	rows := make([]tagRow, len(tags))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copiers)
	for i, tag := range tags {
		g.Go(func() error {
			d, err := s.Resolve(ctx, tag)
			if err != nil {
				return explain(err, "look at tag %s", tag)
			}
			content, err := fetchBytes(ctx, s, d, manifestLimit)
			if err != nil {
				return explain(err, "look at tag %s", tag)
			}
			m, err := parseManifest(content)
			if err != nil {
				return explain(err, "look at tag %s", tag)
			}
			size, err := weigh(ctx, s, m)
			if err != nil {
				return explain(err, "look at tag %s", tag)
			}
			rows[i] = tagRow{Tag: tag, Digest: d.Digest, MediaType: d.MediaType, Kind: kindOf(content), Size: size}
			return nil
		})
	}
	return rows, g.Wait()
}

// weigh returns the size of a manifest's content. An index weighs what its manifests do, each blob once; a manifest that the
// registry does not have (an index may be kept in part) weighs nothing.
func weigh(ctx context.Context, from fetcher, m *manifest) (int64, error) {
	if !m.isIndex() {
		return m.size(), nil
	}
	var total int64
	seen := map[digest.Digest]bool{}
	for _, d := range m.Manifests {
		if seen[d.Digest] || !isManifestType(d.MediaType) {
			continue
		}
		seen[d.Digest] = true
		content, err := fetchBytes(ctx, from, d, manifestLimit)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return 0, err
		}
		child, err := parseManifest(content)
		if err != nil {
			return 0, err
		}
		for _, b := range child.parts() {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				total += b.Size
			}
		}
	}
	return total, nil
}
