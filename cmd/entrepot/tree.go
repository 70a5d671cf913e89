package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
)

// A tree is drawn for people: beyond these bounds it says that there is more.
const (
	treeDepth = 10
	treeSize  = 1000
)

// branch is a manifest in a tree.
type branch struct {
	Digest       digest.Digest `json:"digest"`
	MediaType    string        `json:"mediaType"`
	ArtifactType string        `json:"artifactType,omitempty"`
	Kind         string        `json:"kind,omitempty"`
	Platform     string        `json:"platform,omitempty"`
	Size         int64         `json:"size"` // of the content of this manifest alone
	Note         string        `json:"note,omitempty"`
	Manifests    []*branch     `json:"manifests,omitempty"` // an index's own
	Referrers    []*branch     `json:"referrers,omitempty"` // whose subject is this manifest
}

func treeVerb(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "tree REF",
		Short: "Draw a manifest with what it holds and what refers to it",
		Long: `Draw a manifest with the manifests that it holds (an index) and those that refer to it: signatures, SBOMs, documents.

Without a tag and a digest, the tag latest is meant.`,
		Example: "  entrepot tree cloud/app:1.0",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, s, d, err := c.find(cmd, args[0], "draw")
		if err != nil {
			return err
		}
		root, err := (&gardener{from: s, path: map[digest.Digest]bool{}}).grow(cmd.Context(), d, 0)
		if err != nil {
			return explain(err, "draw %s", ref)
		}
		if output == "json" {
			return a.printJSON(root)
		}
		fmt.Fprintf(a.stdout, "%s  %s\n", ref, root.label())
		root.draw(a.stdout, "")
		return nil
	}
	outputFlag(cmd, &output)
	return cmd
}

// referring is content that also knows what refers to it.
type referring interface {
	fetcher
	Referrers(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error)
}

type gardener struct {
	from  referring
	path  map[digest.Digest]bool // from the root to here; content that names itself would otherwise grow for ever
	count int
}

func (g *gardener) grow(ctx context.Context, d ocispec.Descriptor, depth int) (*branch, error) {
	b := &branch{Digest: d.Digest, MediaType: d.MediaType, ArtifactType: d.ArtifactType, Platform: platformName(d.Platform), Size: d.Size}
	g.count++
	switch {
	case g.path[d.Digest]:
		b.Note = "shown above"
	case depth >= treeDepth, g.count > treeSize:
		b.Note = "not followed further"
	case !isManifestType(d.MediaType):
		b.Note = "no manifest"
	}
	if b.Note != "" {
		return b, nil
	}
	g.path[d.Digest] = true
	defer delete(g.path, d.Digest)

	content, err := fetchBytes(ctx, g.from, d, manifestLimit)
	if isAbsent(err) && depth > 0 {
		b.Note = "absent"
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	b.Kind, b.Size = kindOf(content), m.size()
	if t := m.typeOf(); t != "" {
		b.ArtifactType = t
	}
	for _, child := range m.Manifests {
		grown, err := g.grow(ctx, child, depth+1)
		if err != nil {
			return nil, err
		}
		b.Manifests = append(b.Manifests, grown)
	}
	referrers, err := g.from.Referrers(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, r := range referrers {
		grown, err := g.grow(ctx, r, depth+1)
		if err != nil {
			return nil, err
		}
		b.Referrers = append(b.Referrers, grown)
	}
	return b, nil
}

func (b *branch) label() string {
	words := []string{short(b.Digest)}
	for _, w := range []string{b.Platform, b.ArtifactType} {
		if w != "" {
			words = append(words, w)
		}
	}
	if b.Platform == "" && b.ArtifactType == "" && b.Kind != "" {
		words = append(words, b.Kind)
	}
	if b.Note == "" && len(b.Manifests) == 0 {
		words = append(words, humanSize(b.Size))
	}
	if b.Note != "" {
		words = append(words, "("+b.Note+")")
	}
	return printable(strings.Join(words, "  "))
}

// draw writes what grows on b: its manifests first, then its referrers, which an arrow marks.
func (b *branch) draw(w io.Writer, indent string) {
	for i, child := range append(append([]*branch{}, b.Manifests...), b.Referrers...) {
		fork, below := "├── ", "│   "
		if i == len(b.Manifests)+len(b.Referrers)-1 {
			fork, below = "└── ", "    "
		}
		mark := ""
		if i >= len(b.Manifests) {
			mark = "◄ "
		}
		fmt.Fprintln(w, indent+fork+mark+child.label())
		child.draw(w, indent+below)
	}
}
