package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/entrepot/entrepot/storage/blob"
)

// Backups are files beside the content, under <prefix>/backups/. Each has a name of its own, and appears whole or not at all. They are no content: nothing links to
// them, and no sweeper sees them.
type Backups struct{ s *Store }

// Backups returns what the store's bucket holds of backups.
func (s *Store) Backups() *Backups { return &Backups{s} }

// maxName is the longest name of a backup, in bytes.
const maxName = 100

// String tells where they are.
func (b *Backups) String() string { return "bucket " + b.s.cfg.Bucket + ", " + b.prefix() }

func (b *Backups) prefix() string { return b.s.prefix() + "backups/" }

// key returns where a name lies.
func (b *Backups) key(name string) (string, error) {
	if !validName(name) {
		return "", fmt.Errorf("%.120q is not the name of a backup: it has letters, digits, '.', '_' and '-', at most %d of them", name, maxName)
	}
	return b.prefix() + name, nil
}

// validName tells whether a name is a part of a key by itself.
func validName(name string) bool {
	return name != "" && len(name) <= maxName && plainPrefix(name) && !strings.Contains(name, "/")
}

// Put keeps what src has to its end under a name that nothing has: otherwise it is fs.ErrExist. If it fails, nothing is under the name; only if S3 cannot be reached to
// make sure of that, there may be, and then all of it. src's own error comes back wrapped. What a killed Put has left, which nobody sees and the bucket's
// owner pays for, goes with a later one, when it is older than Config.Leftover.
func (b *Backups) Put(ctx context.Context, name string, src io.Reader) error {
	key, err := b.key(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("put backup: %w", err)
	}
	b.tidy(ctx)
	_, err = b.size(ctx, key)
	switch {
	case err == nil:
		err = fmt.Errorf("there is one already: %w", fs.ErrExist)
	case errors.Is(err, fs.ErrNotExist):
		err = b.put(ctx, key, src)
	}
	if err != nil {
		return fmt.Errorf("put backup %s: %w", name, err)
	}
	return nil
}

func (b *Backups) put(ctx context.Context, key string, src io.Reader) error {
	if err := b.s.places.Acquire(ctx, 1); err != nil { // as Place does
		return err
	}
	defer b.s.places.Release(1)
	p := b.s.newPlacing(ctx, key)
	defer p.cancel()
	srcErr, err := p.receive(ctx, src)
	if err = firstOf(p.finish(srcErr, err), srcErr); srcErr != nil {
		return err // it did not come to its end, so nothing was asked to appear
	}
	if err == nil {
		var size int64
		if size, err = b.size(ctx, key); err == nil && size != p.end {
			err = fmt.Errorf("S3 took %d bytes and shows %d", p.end, size)
		}
	}
	if err != nil { // it may have appeared all the same
		last, cancel := b.s.detached(ctx)
		defer cancel()
		err = errors.Join(err, b.s.remove(last, []string{key}))
	}
	return err
}

// size returns how many bytes are under a key, or fs.ErrNotExist.
func (b *Backups) size(ctx context.Context, key string) (int64, error) {
	out, err := b.s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.s.cfg.Bucket, Key: &key})
	if err != nil {
		return 0, absent(classify(err))
	}
	return aws.ToInt64(out.ContentLength), nil
}

// absent adds what files say where S3 says that there is nothing.
func absent(err error) error {
	if errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// tidy aborts what killed calls of Put have left.
func (b *Backups) tidy(ctx context.Context) {
	oldest := b.s.now().Add(-b.s.cfg.Leftover)
	for m, err := range b.s.multiparts(ctx, "", b.prefix()) {
		if err != nil {
			b.s.log.Warn("look for what killed backups have left; the next one does", "err", err)
			return
		}
		name, ours := strings.CutPrefix(aws.ToString(m.Key), b.prefix())
		if !ours {
			return // keys are in order
		}
		if !validName(name) || aws.ToTime(m.Initiated).After(oldest) {
			continue
		}
		if err := b.s.abandon(ctx, *m.Key, m.UploadId); err != nil {
			b.s.log.Warn("remove what a killed backup has left; the next one does", "err", err)
		}
	}
}

// Open reads a backup until ctx ends; fs.ErrNotExist if there is none. What breaks goes on where it stood, and never with the bytes of another one.
func (b *Backups) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	key, err := b.key(name)
	if err != nil {
		return nil, fmt.Errorf("open backup: %w", err)
	}
	d, err := b.s.download(ctx, key, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("open backup %s: %w", name, absent(err))
	}
	return d, nil
}

// List yields the names of what is there, in their order. Keys that are not of this package are passed over.
func (b *Backups) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for object, err := range b.s.objects(ctx, b.prefix()) {
			if err != nil {
				yield("", fmt.Errorf("list backups: %w", err))
				return
			}
			name := strings.TrimPrefix(aws.ToString(object.Key), b.prefix())
			if validName(name) && !yield(name, nil) {
				return
			}
		}
	}
}

// Delete removes a backup. That there is none is no error.
func (b *Backups) Delete(ctx context.Context, name string) error {
	key, err := b.key(name)
	if err == nil {
		err = b.s.remove(ctx, []string{key})
	}
	if err != nil {
		return fmt.Errorf("delete backup: %w", err)
	}
	return nil
}
