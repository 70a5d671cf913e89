package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/entrepot/entrepot/storage/blob"
)

// Folder reads what another program keeps in a bucket, as files in folders: a slash in a key divides them. It writes nothing. A name is a key without the
// prefix, with slashes between its parts and none at its ends. What is not there is [fs.ErrNotExist]; what fails because S3 does not answer is [ErrUnavailable].
//
//	f, err := s3.OpenFolder(ctx, s3.Config{Bucket: "old", Prefix: "registry"})
//	for e, err := range f.List(ctx, "docker/registry/v2/repositories") { … }
type Folder struct {
	store  *Store // only for its clients: no key is made by its rules
	prefix string // "", or with a slash at its end
}

// OpenFolder returns what lies under cfg.Prefix in cfg.Bucket, and asks S3 nothing. The prefix may hold whatever a key may, but control characters and empty or
// dotted parts. Of the rest of cfg counts what says where the bucket is, who asks, and how long.
func OpenFolder(ctx context.Context, cfg Config) (*Folder, error) {
	prefix := strings.Trim(cfg.Prefix, "/")
	if prefix != "" {
		if !readablePrefix(prefix) {
			return nil, fmt.Errorf("open S3 folder: prefix %.80q: use slashes between parts that are not empty and not dots, without control characters, and at most %d bytes", prefix, maxPrefix)
		}
		prefix += "/"
	}
	cfg.Prefix = ""
	store, err := Open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open S3 folder: %w", errors.Unwrap(err))
	}
	return &Folder{store: store, prefix: prefix}, nil
}

// readablePrefix tells whether what lies under a prefix can be asked for.
func readablePrefix(prefix string) bool {
	if len(prefix) > maxPrefix || !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, unicode.IsControl) {
		return false
	}
	for part := range strings.SplitSeq(prefix, "/") {
		if strings.Trim(part, ".") == "" {
			return false
		}
	}
	return true
}

// String tells where the folder is.
func (f *Folder) String() string {
	return "prefix " + strings.TrimSuffix("/"+f.prefix, "/") + "/ of " + f.store.cfg.String()
}

// Close ends the use of the folder.
func (f *Folder) Close() error { return nil }

// maxEmpty is how many pages in a row may tell of nothing.
const maxEmpty = 1000

// List yields what lies right below a place, a page at a time. A key may be a file and a folder at once, and then is yielded twice; names are as the keys have them,
// and may be empty. The first error ends it. A place in which nothing lies is [fs.ErrNotExist].
func (f *Folder) List(ctx context.Context, place string) iter.Seq2[fs.DirEntry, error] {
	return func(yield func(fs.DirEntry, error) bool) {
		prefix := f.prefix + place + "/"
		pages := s3.NewListObjectsV2Paginator(f.store.client, &s3.ListObjectsV2Input{
			Bucket: &f.store.cfg.Bucket, Prefix: &prefix, Delimiter: aws.String("/"),
			EncodingType: types.EncodingTypeUrl, // else a key with a character that XML lacks would spoil the whole page
		}, func(o *s3.ListObjectsV2PaginatorOptions) { o.StopOnDuplicateToken = true })
		any, empty := false, 0
		for pages.HasMorePages() {
			some, marked, err := f.page(ctx, pages, prefix)
			any = any || marked || len(some) > 0
			if empty++; len(some) > 0 {
				empty = 0
			}
			if err == nil && empty > maxEmpty {
				err = fmt.Errorf("%w: the list does not end", ErrUnavailable)
			}
			if err != nil {
				yield(nil, fmt.Errorf("list %s* in %s: %s: %w", prefix, f.store.cfg, toRead(err), classify(err)))
				return
			}
			for _, e := range some {
				if !yield(e, nil) {
					return
				}
			}
		}
		if !any {
			yield(nil, fmt.Errorf("list %s*: there is nothing: %w", prefix, fs.ErrNotExist))
		}
	}
}

// page reads the next page of a list. It tells too whether the place is marked by an object of its own, as some tools do for folders.
func (f *Folder) page(ctx context.Context, pages *s3.ListObjectsV2Paginator, prefix string) (all []entry, marked bool, err error) {
	within, cancel := f.within(ctx)
	defer cancel()
	page, err := pages.NextPage(within)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, false, err
	}
	for _, below := range page.CommonPrefixes {
		if name, ok := named(below.Prefix, prefix, page.EncodingType); ok {
			all = append(all, entry{strings.TrimSuffix(name, "/"), true})
		}
	}
	for _, object := range page.Contents {
		name, ok := named(object.Key, prefix, page.EncodingType)
		switch {
		case ok && name == "":
			marked = true
		case ok:
			all = append(all, entry{name, false})
		}
	}
	return all, marked, nil
}

// toRead is advice for who only reads.
func toRead(err error) string {
	if code(err) == "AccessDenied" {
		return "these credentials may not list it; grant s3:ListBucket and s3:GetObject"
	}
	return advice(err)
}

// named returns what a key is called under a prefix, and false for one that nobody asked for.
func named(key *string, prefix string, encoding types.EncodingType) (string, bool) {
	name := aws.ToString(key)
	if encoding == types.EncodingTypeUrl {
		decoded, err := url.QueryUnescape(name)
		if err != nil {
			return "", false
		}
		name = decoded
	}
	return strings.CutPrefix(name, prefix)
}

// Read returns an object's bytes, and of a longer one the first most of them.
func (f *Folder) Read(ctx context.Context, name string, most int64) ([]byte, error) {
	within, cancel := f.within(ctx)
	defer cancel()
	in, _, err := f.Open(within, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	b, err := io.ReadAll(io.LimitReader(in, most))
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return b, classify(err)
}

// Open opens an object's bytes, and tells how many they are. They can be read until ctx ends, and are those of one object: one that takes its place meanwhile is
// an error. [Store.Duplicate] takes what it returns.
func (f *Folder) Open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	key := f.prefix + name
	d, err := f.store.download(ctx, key, 0, -1)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, 0, fmt.Errorf("there is no %s: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, 0, err
	}
	if d.end < 0 {
		d.Close()
		return nil, 0, fmt.Errorf("get %s: the server does not tell how long it is", key)
	}
	return d, d.end, nil
}

// within bounds a request whose answer is short, with its repetitions. Only who reads content may take as long as content comes.
func (f *Folder) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(f.store.cfg.Attempts)*f.store.cfg.Stall)
}

// entry is a part of a key, as an [fs.DirEntry].
type entry struct {
	name   string
	folder bool
}

func (e entry) Name() string { return e.name }
func (e entry) IsDir() bool  { return e.folder }

func (e entry) Type() fs.FileMode {
	if e.folder {
		return fs.ModeDir
	}
	return 0
}

// Info is not told: it would cost a request.
func (e entry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
