package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/entrepot/entrepot/storage/blob"
)

// reopenings is how often in a row a download that breaks is taken up again without a byte having come.
const reopenings = 4

// download reads an object from an offset on, up to an end, and goes on where it stood when the connection breaks. It reads one object: if another has
// taken its place meanwhile, it fails.
type download struct {
	s    *Store
	ctx  context.Context
	key  string
	at   int64
	end  int64 // -1: to the object's end
	etag string
	body io.ReadCloser
	left int // tries
}

// download opens an object at once, so that who reads goes on when it is deleted. An offset at or beyond the end gives an empty reader.
func (s *Store) download(ctx context.Context, key string, from, end int64) (*download, error) {
	d := &download{s: s, ctx: ctx, key: key, at: from, end: end, left: reopenings}
	if err := d.open(); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *download) open() error {
	input := &s3.GetObjectInput{Bucket: &d.s.cfg.Bucket, Key: &d.key}
	switch {
	case d.end >= 0:
		input.Range = aws.String(fmt.Sprintf("bytes=%d-%d", d.at, d.end-1))
	case d.at > 0:
		input.Range = aws.String(fmt.Sprintf("bytes=%d-", d.at))
	}
	if d.etag != "" {
		input.IfMatch = &d.etag
	}
	out, err := d.s.client.GetObject(d.ctx, input)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		d.body, d.end = http.NoBody, d.at
		return nil
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", d.key, classify(err))
	}
	if input.Range != nil && out.ContentRange == nil {
		out.Body.Close()
		return fmt.Errorf("get %s: the server does not know ranges", d.key)
	}
	d.body, d.etag = out.Body, aws.ToString(out.ETag)
	if out.ContentLength != nil {
		d.end = d.at + *out.ContentLength
	}
	return nil
}

// Read implements [io.Reader].
func (d *download) Read(b []byte) (int, error) {
	for {
		if d.end >= 0 && d.at >= d.end {
			return 0, io.EOF
		}
		n, err := d.body.Read(b)
		if d.at += int64(n); n > 0 {
			d.left = reopenings
			return n, nil
		}
		if err == nil {
			return 0, nil
		}
		if err == io.EOF && d.end < 0 {
			return 0, io.EOF
		}
		if err := d.reopen(err); err != nil {
			return 0, err
		}
	}
}

// reopen takes up a download that broke off with cause. Each try has the pauses of its request's own repetitions.
func (d *download) reopen(cause error) error {
	if cause == io.EOF {
		cause = io.ErrUnexpectedEOF
	}
	d.body.Close()
	if err := d.ctx.Err(); err != nil {
		return err
	}
	if d.left == 0 {
		return fmt.Errorf("get %s: broke off at byte %d: %w", d.key, d.at, classify(cause))
	}
	d.left--
	if err := d.open(); err != nil {
		d.body = http.NoBody
		if errors.Is(err, blob.ErrNotFound) {
			return err
		}
		return fmt.Errorf("%w, after it broke off at byte %d: %w", err, d.at, cause)
	}
	d.s.log.Debug("download from S3 was taken up again", "key", d.key, "at", d.at, "err", cause)
	return nil
}

// Close implements [io.Closer].
func (d *download) Close() error { return d.body.Close() }
