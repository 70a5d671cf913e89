package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
	"oras.land/oras-go/v2/errdef"
)

// inspection is what inspect says of a manifest.
type inspection struct {
	Reference    string            `json:"reference"`
	Digest       digest.Digest     `json:"digest"`
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Kind         string            `json:"kind"`
	Size         int64             `json:"size"`         // of the content
	ManifestSize int64             `json:"manifestSize"` // of the manifest itself
	Subject      digest.Digest     `json:"subject,omitempty"`
	Platforms    []string          `json:"platforms,omitempty"`
	Created      *time.Time        `json:"created,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Manifests    []part            `json:"manifests,omitempty"`
	Layers       []part            `json:"layers,omitempty"`
}

// part is a layer, or a manifest of an index.
type part struct {
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	MediaType string        `json:"mediaType"`
	Platform  string        `json:"platform,omitempty"`
	Title     string        `json:"title,omitempty"`
}

func inspectVerb(a *app) *cobra.Command {
	var output string
	var raw bool
	cmd := &cobra.Command{
		Use:   "inspect REF",
		Short: "Say what a tag or digest holds",
		Long: `Say what a tag or digest holds: its digest, types, size, platforms, labels, annotations and layers.

Without a tag and a digest, the tag latest is meant.`,
		Example: "  entrepot inspect cloud/app:1.0\n  entrepot inspect --raw cloud/app:1.0 | sha256sum",
		Args:    takes(1, 1),
	}
	c := a.clientFlags(cmd)
	cmd.Flags().BoolVar(&raw, "raw", false, "print the manifest exactly as it is kept")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ref, s, d, err := c.find(cmd, args[0], "inspect")
		if err != nil {
			return err
		}
		content, err := fetchBytes(cmd.Context(), s, d, manifestLimit)
		if err != nil {
			return explain(err, "inspect %s", ref)
		}
		if raw {
			_, err := a.stdout.Write(content)
			return err
		}
		i, err := inspect(cmd.Context(), s, d, content)
		if err != nil {
			return explain(err, "inspect %s", ref)
		}
		i.Reference = ref.String()
		if output == "json" {
			return a.printJSON(i)
		}
		return a.printInspection(i)
	}
	outputFlag(cmd, &output)
	return cmd
}

func inspect(ctx context.Context, from fetcher, d ocispec.Descriptor, content []byte) (*inspection, error) {
	m, err := parseManifest(content)
	if err != nil {
		return nil, err
	}
	i := &inspection{
		Digest:       d.Digest,
		MediaType:    d.MediaType,
		ArtifactType: m.typeOf(),
		Kind:         kindOf(content),
		ManifestSize: int64(len(content)),
		Annotations:  m.Annotations,
	}
	if m.Subject != nil {
		i.Subject = m.Subject.Digest
	}
	for _, l := range slices.Concat(m.Layers, m.Blobs) {
		i.Layers = append(i.Layers, partOf(l))
	}
	for _, c := range m.Manifests {
		i.Manifests = append(i.Manifests, partOf(c))
		if p := platformName(c.Platform); p != "" && p != "unknown/unknown" && !slices.Contains(i.Platforms, p) {
			i.Platforms = append(i.Platforms, p)
		}
	}
	if i.Size, err = weigh(ctx, from, m); err != nil {
		return nil, err
	}
	if m.isImage() {
		if err := i.addImage(ctx, from, *m.Config); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// addImage adds what only an image's configuration knows.
func (i *inspection) addImage(ctx context.Context, from fetcher, config ocispec.Descriptor) error {
	content, err := fetchBytes(ctx, from, config, configLimit)
	if err != nil {
		return err
	}
	var image ocispec.Image
	if err := json.Unmarshal(content, &image); err != nil {
		return fmt.Errorf("the image's configuration is not readable: %w", err)
	}
	i.Created, i.Labels = image.Created, image.Config.Labels
	if p := platformName(&image.Platform); p != "" {
		i.Platforms = []string{p}
	}
	return nil
}

func partOf(d ocispec.Descriptor) part {
	return part{Digest: d.Digest, Size: d.Size, MediaType: d.MediaType, Platform: platformName(d.Platform), Title: d.Annotations[ocispec.AnnotationTitle]}
}

func (a *app) printInspection(i *inspection) error {
	rows := [][]string{
		{"Reference:", i.Reference},
		{"Digest:", i.Digest.String()},
		{"Kind:", i.Kind},
		{"Media type:", i.MediaType},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("Artifact type:", i.ArtifactType)
	add("Subject:", i.Subject.String())
	add("Size:", humanSize(i.Size))
	add("Platforms:", strings.Join(i.Platforms, ", "))
	if i.Created != nil {
		add("Created:", i.Created.UTC().Format(time.RFC3339))
	}
	if err := a.table(rows); err != nil {
		return err
	}
	for _, section := range []struct {
		name   string
		values map[string]string
	}{{"Labels", i.Labels}, {"Annotations", i.Annotations}} {
		if len(section.values) == 0 {
			continue
		}
		fmt.Fprintf(a.stdout, "%s:\n", section.name)
		for _, k := range slices.Sorted(maps.Keys(section.values)) {
			fmt.Fprintf(a.stdout, "  %s=%s\n", printable(k), printable(section.values[k]))
		}
	}
	for _, section := range []struct {
		name  string
		parts []part
	}{{"Manifests", i.Manifests}, {"Layers", i.Layers}} {
		if len(section.parts) == 0 {
			continue
		}
		fmt.Fprintf(a.stdout, "%s:\n", section.name)
		var lines [][]string
		for _, p := range section.parts {
			lines = append(lines, []string{"  " + p.Digest.String(), humanSize(p.Size), p.MediaType, p.Platform + p.Title})
		}
		if err := a.table(lines); err != nil {
			return err
		}
	}
	return nil
}

// isAbsent says whether err means that there is no such content.
func isAbsent(err error) bool { return errors.Is(err, errdef.ErrNotFound) }
