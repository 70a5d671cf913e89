package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// hold lets repo read the blob, and records it unless it already could.
func (r *Registry) hold(ctx context.Context, tx kv.Tx, repo string, d digest.Digest, size int64, e journal.Event) error {
	if _, err := tx.Get(ctx, keyHold(repo, d)); !errors.Is(err, kv.ErrNotFound) {
		return err
	}
	putHold(tx, repo, d, size, r.now())
	e.Repo, e.Digest, e.Size, e.Result = repo, string(d), size, "ok"
	journal.Append(ctx, tx, e)
	return nil
}

func putHold(tx kv.Tx, repo string, d digest.Digest, size int64, since time.Time) {
	tx.Put(keyHold(repo, d), strconv.AppendInt(append(strconv.AppendInt(nil, size, 10), '\t'), since.UnixMilli(), 10))
	tx.Put(keyHeld(d, repo), nil)
}

func dropHold(tx kv.Tx, repo string, d digest.Digest) {
	tx.Delete(keyHold(repo, d))
	tx.Delete(keyHeld(d, repo))
}

// Blob tells of a blob that repo may read; another repository's right to it is of no use.
func (r *Registry) Blob(ctx context.Context, repo string, d digest.Digest) (blob.Info, error) {
	if err := checkName(repo); err != nil {
		return blob.Info{}, err
	}
	if err := checkDigest(d); err != nil {
		return blob.Info{}, err
	}
	row, err := r.index.Get(ctx, keyHold(repo, d))
	if errors.Is(err, kv.ErrNotFound) {
		return blob.Info{}, r.whyUnknown(ctx, repo, d)
	}
	if err != nil {
		return blob.Info{}, fault(err, "look up blob %s of %s", d, repo)
	}
	size, err := strconv.ParseInt(fields(string(row))[0], 10, 64)
	if err != nil {
		return blob.Info{}, fault(errRow, "look up blob %s of %s", d, repo)
	}
	return blob.Info{Digest: d, Size: size}, nil
}

func blobUnknown(repo string, d digest.Digest) error {
	return &Error{Code: BlobUnknown, Detail: map[string]string{"name": repo, "digest": string(d)}}
}

// Rely records that a client was told that the blob is here, so that it will skip its upload: from now on a sweeper lets the blob be for a
// while. It costs a write only if the last one is old.
func (r *Registry) Rely(ctx context.Context, d digest.Digest) error {
	row, err := r.index.Get(ctx, keyBlob(d))
	if err == nil {
		var s stock
		if s, err = parseStock(row); err == nil && r.now().Sub(s.touched) < r.touchEvery() {
			return nil
		}
	}
	if errors.Is(err, kv.ErrNotFound) {
		return &Error{Code: BlobUnknown, Detail: map[string]string{"digest": string(d)}}
	}
	if err != nil {
		return fault(err, "look up blob %s", d)
	}
	return fault(r.index.Update(ctx, func(tx kv.Tx) error {
		return touch(ctx, tx, d, r.now())
	}), "touch blob %s", d)
}

func touch(ctx context.Context, tx kv.Tx, d digest.Digest, now time.Time) error {
	row, err := tx.Get(ctx, keyBlob(d))
	if err != nil {
		return err
	}
	s, err := parseStock(row)
	if err != nil {
		return err
	}
	s.touched = now
	tx.Put(keyBlob(d), s.row())
	return nil
}

// OpenBlob opens a blob that repo may read.
func (r *Registry) OpenBlob(ctx context.Context, repo string, d digest.Digest) (blob.Info, io.ReadSeekCloser, error) {
	info, err := r.Blob(ctx, repo, d)
	if err != nil {
		return info, nil, err
	}
	content, err := r.openContent(ctx, info)
	return info, content, fault(err, "open blob %s", d)
}

// openContent opens bytes wherever they lie, whoever holds them.
func (r *Registry) openContent(ctx context.Context, info blob.Info) (io.ReadSeekCloser, error) {
	if info.Size <= smallBlob {
		data, err := r.index.Get(ctx, keyData(info.Digest))
		if err == nil {
			return inMemory{bytes.NewReader(data)}, nil
		}
		if !errors.Is(err, kv.ErrNotFound) {
			return nil, err
		}
	}
	rc, err := r.blobs.Open(ctx, info.Digest, 0)
	if err != nil {
		return nil, err
	}
	if f, ok := rc.(io.ReadSeekCloser); ok {
		return f, nil
	}
	return &reopening{ctx: ctx, store: r.blobs, info: info, rc: rc}, nil
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// reopening seeks in content of a store that only reads onwards, by opening it anew where it is wanted. It does so when it is read, not
// before: whoever serves a file seeks to its end and back first, only to learn its size.
type reopening struct {
	ctx   context.Context
	store blob.Reader
	info  blob.Info
	rc    io.ReadCloser
	at    int64 // where rc stands
	pos   int64 // where the next Read is to begin
}

func (o *reopening) Read(p []byte) (n int, err error) {
	if o.rc == nil || o.at != o.pos {
		if err := o.Close(); err != nil {
			return 0, err
		}
		if o.rc, err = o.store.Open(o.ctx, o.info.Digest, o.pos); err != nil {
			return 0, err
		}
	}
	n, err = o.rc.Read(p)
	o.pos += int64(n)
	o.at = o.pos
	return n, err
}

func (o *reopening) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.pos
	case io.SeekEnd:
		offset += o.info.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	o.pos = offset
	return offset, nil
}

func (o *reopening) Close() error {
	if o.rc == nil {
		return nil
	}
	rc := o.rc
	o.rc = nil
	return rc.Close()
}

// Mount lets repo read a blob that another repository holds, without its bytes passing again (distribution-spec, "Mounting a blob from
// another repository"). from may be empty: then any repository will do that may, the caller's knowledge of who may read what, agrees to. It tells
// whether there was one.
func (r *Registry) Mount(ctx context.Context, repo string, d digest.Digest, from string, may func(repo string) bool) (bool, error) {
	if err := checkName(repo); err != nil {
		return false, err
	}
	if err := checkDigest(d); err != nil {
		return false, err
	}
	if from != "" {
		if !ValidName(from) || !may(from) {
			return false, nil
		}
	} else {
		source, err := r.holder(ctx, d, may)
		if err != nil || source == "" {
			return false, err
		}
		from = source
	}
	info, err := r.Blob(ctx, from, d)
	if code := Code(err); code == BlobUnknown || code == BlobDamaged {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = r.index.Update(ctx, func(tx kv.Tx) error {
		if _, err := tx.Get(ctx, keyHold(from, d)); err != nil {
			return err // it went in this moment
		}
		if err := touch(ctx, tx, d, r.now()); err != nil {
			return err
		}
		return r.hold(ctx, tx, repo, d, info.Size, journal.Event{Action: "blob.mount", From: from})
	})
	if errors.Is(err, kv.ErrNotFound) {
		return false, nil
	}
	return err == nil, fault(err, "mount blob %s from %s into %s", d, from, repo)
}

// holder finds a repository that holds d and that may admits, among the first hundred.
func (r *Registry) holder(ctx context.Context, d digest.Digest, may func(string) bool) (string, error) {
	prefix := of(prefixBlob, string(d))
	from, to := kv.Prefix(prefix)
	looked := 0
	for pair, err := range r.index.Scan(ctx, from, to) {
		if err != nil {
			return "", fault(err, "look for blob %s", d)
		}
		if repo := strings.TrimPrefix(pair.Key, prefix); may(repo) {
			return repo, nil
		}
		if looked++; looked == 100 {
			break
		}
	}
	return "", nil
}

// DeleteBlob takes the blob from repo. Other repositories that hold it keep it.
func (r *Registry) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	info, err := r.Blob(ctx, repo, d)
	if err != nil {
		return err
	}
	return fault(r.index.Update(ctx, func(tx kv.Tx) error {
		if _, err := tx.Get(ctx, keyHold(repo, d)); err != nil {
			if errors.Is(err, kv.ErrNotFound) {
				return blobUnknown(repo, d)
			}
			return err
		}
		dropHold(tx, repo, d)
		journal.Append(ctx, tx, journal.Event{Action: "blob.delete", Repo: repo, Digest: string(d), Size: info.Size, Result: "ok"})
		return nil
	}), "delete blob %s of %s", d, repo)
}
