package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
)

// copyOptions are the flags of cp.
type copyOptions struct {
	referrers bool
	allTags   bool
	platform  string
}

func cpVerb(a *app) *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "cp SRC DST",
		Short: "Copy images and artifacts between registries, OCI layouts and archives",
		Long: `Copy images and artifacts between registries, OCI layouts and archives.

SRC and DST are references, or one of
  oci:DIR[:TAG|@DIGEST]            an OCI image layout in a folder
  oci-archive:FILE[:TAG|@DIGEST]   an OCI image layout in a tar file
  docker-archive:FILE[:REPO:TAG]   what docker save writes and docker load reads; one image

A reference DST without a tag takes the tag of SRC. Content keeps its digest wherever it goes; from a docker-archive that came from
docker save, layers are taken as they are and the manifest is made anew. Nothing is sent that DST has, and within one registry
nothing is sent at all.`,
		Example: `  entrepot cp docker.io/library/alpine:3.20 mirror/alpine:3.20
  entrepot cp -r cloud/app:1.0 registry.example.com/cloud/app:1.0
  entrepot cp --all-tags cloud/app registry.example.com/cloud/app
  entrepot cp docker-archive:app.tar cloud/app:1.0`,
		Args: takes(2, 2),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.referrers, "referrers", "r", false, "also copy what refers to it: signatures, SBOMs, documents, and what refers to those")
	f.BoolVar(&o.allTags, "all-tags", false, "copy every tag of SRC")
	f.StringVar(&o.platform, "platform", "", "copy only this platform of an index (OS/ARCH[/VARIANT]); into a docker-archive, linux/"+runtime.GOARCH+" by itself")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		src, err := parseEndpoint(args[0], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		dst, err := parseEndpoint(args[1], c.server())
		if err != nil {
			return misuse(cmd, "%v", err)
		}
		if err := o.suit(src, dst); err != nil {
			return misuse(cmd, "%v", err)
		}
		return explain(a.copy(cmd.Context(), c, src, dst, o), "copy %s to %s", src, dst)
	}
	return cmd
}

// suit says whether such a copy makes sense at all.
func (o copyOptions) suit(src, dst endpoint) error {
	if o.allTags {
		switch {
		case src.ref() != "" || dst.ref() != "":
			return errors.New("--all-tags copies whole repositories; leave away the tags of SRC and DST")
		case src.kind == dockerArchive || dst.kind == dockerArchive:
			return errors.New("--all-tags does not go with a docker-archive, which holds one image")
		case o.platform != "":
			return errors.New("--all-tags copies tags as they are; leave away --platform")
		}
	}
	if o.platform != "" {
		if _, err := parsePlatform(o.platform); err != nil {
			return err
		}
	}
	if dst.kind == dockerArchive && o.referrers {
		return errors.New("a docker-archive has no place for referrers; use an oci-archive")
	}
	return nil
}

func (a *app) copy(ctx context.Context, c *client, src, dst endpoint, o copyOptions) (err error) {
	from, err := c.openOrigin(ctx, src)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := c.openTarget(dst)
	if err != nil {
		return err
	}
	// A target that was not committed removes what it has begun.
	defer func() { err = errors.Join(err, to.Close()) }()

	p := newProgress(a.stderr)
	defer p.close()
	job := &copier{from: from, to: to, referrers: o.referrers, progress: p, lanes: copiers, seen: map[digest.Digest]bool{}}
	if dst.isArchive() {
		job.lanes = 1 // a tar file is written from front to back
	}
	tags := []string{src.ref()}
	if o.allTags {
		if tags, err = from.Tags(ctx); err != nil {
			return err
		}
		if len(tags) == 0 {
			return errors.New("there are no tags")
		}
	}
	var results []string
	for _, tag := range tags {
		if o.allTags && o.referrers && fallbackTag.MatchString(tag) {
			continue // the list of referrers of a registry without their API; -r makes it anew where it is needed
		}
		root, name, err := from.Find(ctx, tag)
		if err != nil {
			return explain(err, "find %s", orOnly(tag))
		}
		if root, err = o.choose(ctx, from, root, dst); err != nil {
			return err
		}
		if name, err = dst.nameFor(src, name, root); err != nil {
			return err
		}
		if err := job.copy(ctx, root, name); err != nil {
			return err
		}
		results = append(results, fmt.Sprintf("%s %s", dst.with(name), root.Digest))
	}
	if err := to.Commit(); err != nil {
		return err
	}
	p.close()
	for _, line := range results {
		fmt.Fprintln(a.stdout, line)
	}
	return nil
}

func orOnly(tag string) string {
	if tag == "" {
		return "the image"
	}
	return tag
}

var fallbackTag = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64,128}$`)

// choose picks one platform of an index when that is what is wanted, and says at once what a docker-archive cannot hold.
func (o copyOptions) choose(ctx context.Context, from fetcher, root ocispec.Descriptor, dst endpoint) (ocispec.Descriptor, error) {
	if dst.kind != dockerArchive && (o.platform == "" || !isIndexType(root.MediaType)) {
		return root, nil
	}
	m, err := readManifest(ctx, from, root)
	if err != nil {
		return root, err
	}
	if m.isIndex() {
		if root, err = o.pick(m); err != nil || dst.kind != dockerArchive {
			return root, err
		}
		if m, err = readManifest(ctx, from, root); err != nil {
			return root, err
		}
	}
	if dst.kind == dockerArchive && !m.isImage() {
		return root, errors.New("only an image can go into a docker-archive; use an oci-archive for other artifacts")
	}
	return root, nil
}

func readManifest(ctx context.Context, from fetcher, d ocispec.Descriptor) (*manifest, error) {
	content, err := fetchBytes(ctx, from, d, manifestLimit)
	if err != nil {
		return nil, err
	}
	return parseManifest(content)
}

// pick returns the index's manifest for the wanted platform.
func (o copyOptions) pick(index *manifest) (ocispec.Descriptor, error) {
	wanted := &ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH}
	if o.platform != "" {
		wanted, _ = parsePlatform(o.platform) // judged when the flags were
	}
	var there []string
	for _, d := range index.Manifests {
		if fits(d.Platform, wanted) {
			return d, nil
		}
		if p := platformName(d.Platform); p != "" {
			there = append(there, p)
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("there is no %s; choose with --platform among %s", platformName(wanted), strings.Join(there, ", "))
}
