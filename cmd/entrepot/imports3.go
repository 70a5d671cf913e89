package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/pflag"

	"github.com/entrepot/entrepot/registry/importer"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/s3"
)

// importBucket is a bucket in which a distribution registry keeps everything.
type importBucket struct {
	url              string // s3://BUCKET/PREFIX
	endpoint, region string
	pathStyle        bool

	bucket, prefix string // of url
	set            *pflag.FlagSet
}

// flags defines the flags that name a bucket. Secrets have none: everybody on a machine can read what a program was called with.
func (b *importBucket) flags(a *app, f *pflag.FlagSet) {
	b.set = f
	f.StringVar(&b.url, "from-s3", "", "the bucket in which a distribution registry keeps everything, as s3://BUCKET/ROOTDIRECTORY")
	f.StringVar(&b.endpoint, "s3-endpoint", cmp.Or(a.getenv("AWS_ENDPOINT_URL_S3"), a.getenv("AWS_ENDPOINT_URL")),
		"the server of --from-s3, if it is not Amazon's: its URL (AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL)")
	f.StringVar(&b.region, "s3-region", cmp.Or(a.getenv("AWS_REGION"), a.getenv("AWS_DEFAULT_REGION")), "the region of --from-s3 (AWS_REGION)")
	f.BoolVar(&b.pathStyle, "s3-path-style", false, "put the bucket into the path of addresses and not into the name of the host; with another server than Amazon's it is true unless told otherwise")
	for _, name := range []string{"s3-endpoint", "s3-region"} {
		f.Lookup(name).DefValue = "" // help and manual are the same everywhere
	}
}

// check judges the flags.
func (b *importBucket) check() error {
	if b.url == "" {
		if b.set.Changed("s3-endpoint") || b.set.Changed("s3-region") || b.set.Changed("s3-path-style") {
			return errors.New("--s3-endpoint, --s3-region and --s3-path-style go with --from-s3")
		}
		return nil
	}
	rest, found := strings.CutPrefix(b.url, "s3://")
	b.bucket, b.prefix, _ = strings.Cut(rest, "/")
	if !found || b.bucket == "" || strings.ContainsAny(b.bucket, "@:?#") {
		return errors.New("--from-s3: write it as s3://BUCKET or s3://BUCKET/PREFIX; the server has a flag of its own, and keys come from the environment")
	}
	if !b.set.Changed("s3-path-style") {
		at, err := url.Parse(b.endpoint)
		b.pathStyle = err == nil && b.endpoint != "" && !strings.HasSuffix(at.Hostname(), ".amazonaws.com")
	}
	return nil
}

// open opens what a registry keeps in the bucket.
func (b *importBucket) open(ctx context.Context, a *app) (*importer.Folder, error) {
	bucket, err := s3.OpenFolder(ctx, s3.Config{
		Bucket: b.bucket, Prefix: b.prefix, Endpoint: b.endpoint, Region: b.region, PathStyle: b.pathStyle, Log: newLog(Log{Level: "warn", Format: "text"}, a.stderr),
	})
	if err != nil {
		return nil, fmt.Errorf("--from-s3: %w", err)
	}
	folder, err := importer.NewFolder(ctx, bucket)
	switch {
	case errors.Is(err, importer.ErrNoFolder):
		return nil, fmt.Errorf("%s holds no data of a distribution registry: %w; name the rootdirectory of its s3 storage behind the bucket", b.url, err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", b.url, err)
	}
	return folder, nil
}

// importPasses is passing, for stores and buckets as well.
func importPasses(err error) bool { return errors.Is(err, blob.ErrUnavailable) || passing(err) }
