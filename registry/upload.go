package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

// busyWait is how long a request waits for another one that writes the same upload: a client that lost its connection may be back
// before the server has noticed.
const busyWait = 5 * time.Second

// statusWait is how long asking for an upload's status waits for whoever writes it.
const statusWait = time.Second

// Upload is a blob being received. Its id works in its own repository only, and for who began it only.
type Upload struct {
	ID    string // a UUID
	Size  int64  // bytes received
	Began time.Time
}

// upload is an upload's row.
type upload struct {
	Upload
	algorithm digest.Algorithm
	touched   time.Time
	by        string // who began it; nobody else may go on with it
	state     []byte // of the hash over all received bytes; empty: they have to be hashed anew
	inRow     bool   // the bytes lie in the row itself, not in the blob store
	bytes     []byte
	fetched   bool // it comes from another registry, not from a client; such uploads have no rows

	claim
}

// action is what the journal calls what an upload ends in.
func (u *upload) action() string {
	if u.fetched {
		return "blob.fetch"
	}
	return "blob.push"
}

func (u *upload) row() []byte {
	place := "store"
	if u.inRow {
		place = "row"
	}
	b := make([]byte, 0, 256+len(u.bytes))
	b = append(append(b, u.algorithm...), '\t')
	b = append(strconv.AppendInt(b, u.Size, 10), '\t')
	b = append(strconv.AppendInt(b, u.Began.UnixMilli(), 10), '\t')
	b = append(strconv.AppendInt(b, u.touched.UnixMilli(), 10), '\t')
	b = append(append(b, place...), '\t')
	b = append(base64.RawStdEncoding.AppendEncode(b, u.state), '\t')
	b = append(b, field(u.by)...)
	b = u.claim.append(b)
	return append(append(b, '\n'), u.bytes...)
}

func parseUpload(id string, row []byte) (*upload, error) {
	line, rest, found := bytes.Cut(row, []byte{'\n'})
	f := fields(string(line))
	size, err1 := strconv.ParseInt(f[1], 10, 64)
	began, err2 := strconv.ParseInt(f[2], 10, 64)
	touched, err3 := strconv.ParseInt(f[3], 10, 64)
	state, err4 := base64.RawStdEncoding.DecodeString(f[5])
	claim, err5 := parseClaim(string(line))
	if !found || errors.Join(err1, err2, err3, err4, err5) != nil || size < 0 || f[4] == "row" && size != int64(len(rest)) {
		return nil, errRow
	}
	return &upload{Upload: Upload{id, size, time.UnixMilli(began)}, algorithm: digest.Algorithm(f[0]), touched: time.UnixMilli(touched),
		by: f[6], state: state, inRow: f[4] == "row", bytes: rest, claim: claim}, nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Begin begins an upload (distribution-spec, "Pushing a blob in chunks"). The algorithm is the one of the digest to come; a guess that
// turns out wrong costs a second reading of the bytes. Empty means sha256.
func (r *Registry) Begin(ctx context.Context, repo string, a digest.Algorithm) (Upload, error) {
	if err := checkName(repo); err != nil {
		return Upload{}, err
	}
	if a == "" {
		a = digest.SHA256
	}
	h, err := newHash(a, nil)
	if err != nil {
		return Upload{}, err
	}
	now := r.now()
	u := &upload{Upload: Upload{ID: newUUID(), Began: now}, algorithm: a, touched: now, by: journal.Who(ctx).Name, state: hashState(h), inRow: true}
	return u.Upload, r.saveUpload(ctx, repo, u)
}

// Upload tells how far an upload has come. A request whose client just broke off gets a moment to record what it had received.
func (r *Registry) Upload(ctx context.Context, repo, id string) (Upload, error) {
	if unlock, ok := r.writing.lock(ctx, keyUpload(repo, id), statusWait); ok {
		unlock()
	}
	u, err := r.rested(ctx, repo, id, statusWait)
	if err != nil {
		return Upload{}, err
	}
	return u.Upload, nil
}

// Append receives a chunk. It must begin where the upload ends: offset is checked if it is not negative, and RangeInvalid tells where
// that is. A length that is not negative is what the client announced: fewer bytes are SizeInvalid. Whatever arrived before an error is kept and counted, so that
// the client may resume behind it. It returns the upload's size.
func (r *Registry) Append(ctx context.Context, repo, id string, offset, length int64, src io.Reader) (int64, error) {
	ctx, u, unlock, err := r.lockUpload(ctx, repo, id)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := u.at(offset); err != nil {
		return u.Size, err
	}
	_, err = r.receiveBounded(ctx, repo, u, length, src)
	return u.Size, r.rest(ctx, repo, u, err)
}

// rest records how far an upload has come after err, which may be nil, and returns what the client is told.
func (r *Registry) rest(ctx context.Context, repo string, u *upload, err error) error {
	switch {
	case errors.Is(err, errGone):
		r.dropUpload(ctx, repo, u)
		return uploadUnknown(u.ID)
	case Code(err) == QuotaExceeded:
		r.dropUpload(ctx, repo, u)
		return err
	}
	// The client may be gone, what it sent is not.
	if saved := r.saveUpload(context.WithoutCancel(ctx), repo, u); saved != nil {
		if err != nil {
			r.log.Error("keep what was received", "repo", repo, "upload", u.ID, "err", saved)
			return err
		}
		return saved
	}
	return err
}

// Finish receives the rest, if any (src may be nil), and turns the upload into the blob d of repo. Content that does not match is
// DigestInvalid and the upload is gone.
func (r *Registry) Finish(ctx context.Context, repo, id string, offset, length int64, src io.Reader, d digest.Digest) error {
	if err := checkDigest(d); err != nil {
		return err
	}
	ctx, u, unlock, err := r.lockUpload(ctx, repo, id)
	if err != nil {
		return err
	}
	defer unlock()
	if err := u.at(offset); err != nil {
		return err
	}
	if u.Size == 0 {
		u.algorithm, u.state = d.Algorithm(), nil // nothing was hashed yet: now the algorithm is known
	}
	var h hash.Hash
	if err = r.room(ctx, repo, d, u.Size+max(length, 0)); err == nil {
		h, err = r.receiveBounded(ctx, repo, u, length, src)
	}
	if err == nil && (h == nil || u.algorithm != d.Algorithm()) {
		h, err = r.rehash(ctx, u, d.Algorithm())
	}
	if err != nil {
		return r.rest(ctx, repo, u, err)
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d {
		r.dropUpload(ctx, repo, u)
		return mismatch(d, got, u.Size)
	}
	err = r.keep(ctx, repo, d, u)
	if err == nil || Code(err) == QuotaExceeded {
		r.dropUpload(ctx, repo, u)
	}
	return err
}

// PutBlob stores a blob whose digest is known from the start, in one step (distribution-spec, "Single POST").
func (r *Registry) PutBlob(ctx context.Context, repo string, d digest.Digest, length int64, src io.Reader) error {
	if err := checkName(repo); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	if err := r.room(ctx, repo, d, max(length, 0)); err != nil {
		return err
	}
	u := &upload{Upload: Upload{ID: blob.Named(newUUID(), d)}, algorithm: d.Algorithm(), inRow: true}
	if placer, ok := r.blobs.(blob.Placer); ok && length > smallBlob {
		return r.place(ctx, placer, repo, d, u, length, src)
	}
	h, err := r.receiveBounded(ctx, repo, u, length, src)
	if err == nil && h == nil {
		h, err = r.rehash(ctx, u, d.Algorithm())
	}
	if err == nil {
		if got := digest.NewDigest(d.Algorithm(), h); got != d {
			err = mismatch(d, got, u.Size)
		}
	}
	if err == nil {
		err = r.keep(ctx, repo, d, u)
	}
	if !u.inRow {
		r.abort(ctx, u.stored()) // also when it went well: of a blob that was here before, the bytes are not needed again
	}
	return err
}

// Cancel ends an upload and forgets what was received.
func (r *Registry) Cancel(ctx context.Context, repo, id string) error {
	ctx, u, unlock, err := r.lockUpload(ctx, repo, id)
	if err != nil {
		return err
	}
	defer unlock()
	r.dropUpload(ctx, repo, u)
	return nil
}

func mismatch(want, got digest.Digest, size int64) error {
	return &Error{Code: DigestInvalid, Detail: map[string]any{"expected": want, "received": got, "size": size,
		"hint": "the bytes that arrived are not the ones the digest names; push the blob again"}}
}

// at refuses a chunk that does not begin where the upload ends.
func (u *upload) at(offset int64) error {
	if offset < 0 || offset == u.Size {
		return nil
	}
	return &Error{Code: RangeInvalid, Detail: map[string]any{"offset": u.Size,
		"hint": fmt.Sprintf("chunks arrive in order: the next one begins at byte %d", u.Size)}}
}

// receive takes src to the end of the upload and brings u up to date. The hash it returns is over all received bytes, or nil if
// they have to be read again for it. Small uploads stay in u itself; one that outgrows it moves to the blob store.
func (r *Registry) receive(ctx context.Context, u *upload, length int64, src io.Reader) (hash.Hash, error) {
	u.touched = r.now()
	h, err := newHash(u.algorithm, u.state)
	if err != nil {
		return nil, err
	}
	if len(u.state) == 0 && u.Size > 0 {
		if h, err = r.rehash(ctx, u, u.algorithm); err != nil {
			return nil, err
		}
	}
	if src == nil {
		return h, nil
	}
	had := u.Size
	in := &hashing{src: src, h: h, asItComes: u.fetched}
	if u.inRow {
		var more []byte
		more, err = io.ReadAll(io.LimitReader(in, smallBlob-int64(len(u.bytes))))
		all := append(u.bytes[:len(u.bytes):len(u.bytes)], more...)
		if reserved(all) {
			in.Close()
			return nil, errReserved()
		}
		u.bytes, u.Size = all, int64(len(all))
		if err != nil {
			err = &brokenSource{err}
		} else if u.Size == smallBlob { // perhaps there is more: reading on tells
			err = r.spill(ctx, u, in)
		}
	} else {
		err = r.append(ctx, u, u.Size, in)
	}
	in.Close()
	u.state = nil
	if had+in.n == u.Size { // else the store kept less than passed through the hash
		u.state = hashState(h)
	} else {
		h = nil
	}
	if err == nil && length >= 0 && u.Size-had != length {
		err = &Error{Code: SizeInvalid, Detail: map[string]any{"announced": length, "received": u.Size - had, "offset": u.Size}}
	}
	return h, err
}

// spill moves an upload from its row to the blob store, with what src still brings; if that is nothing it stays.
func (r *Registry) spill(ctx context.Context, u *upload, src io.Reader) error {
	var first [1]byte
	if _, err := io.ReadFull(src, first[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return &brokenSource{err}
	}
	had := u.bytes
	u.inRow, u.bytes = false, nil
	err := r.append(ctx, u, 0, io.MultiReader(bytes.NewReader(had), bytes.NewReader(first[:]), src))
	if u.Size < int64(len(had)) { // the store did not even take what was here before
		r.abort(ctx, u.stored())
		u.inRow, u.bytes, u.Size = true, had, int64(len(had))
	}
	return err
}

// append hands src to the blob store. Faults of the source and of the store are told apart: the first are the client's.
func (r *Registry) append(ctx context.Context, u *upload, offset int64, src io.Reader) error {
	watched := &watchedSource{src: src, asItComes: u.fetched}
	size, err := r.blobs.Append(ctx, u.stored(), offset, watched)
	if errors.Is(err, blob.ErrUploadUnknown) {
		return errGone
	}
	u.Size = size
	if errors.Is(err, blob.ErrUploadShort) { // a power cut took what was not synced; the client can send it again
		return u.at(offset)
	}
	if err != nil && watched.err != nil && errors.Is(err, watched.err) {
		return &brokenSource{err}
	}
	return fault(err, "receive upload %s", u.ID)
}

// errGone says that an upload's bytes are no longer there.
var errGone = errors.New("the upload's bytes are gone")

// brokenSource is a fault of whoever sends.
type brokenSource struct{ error }

func (e *brokenSource) Unwrap() error { return e.error }

// Interrupted tells whether err is a fault of the reader that content came from: the client went away or broke off.
func Interrupted(err error) bool {
	var b *brokenSource
	return errors.As(err, &b)
}

type watchedSource struct {
	src       io.Reader
	asItComes bool // others follow it
	err       error
}

// Read fills p if it can: whole buffers make whole, aligned writes. What others follow is passed on as it comes.
func (w *watchedSource) Read(p []byte) (n int, err error) {
	for n < len(p) && err == nil && !(w.asItComes && n > 0) {
		var m int
		m, err = w.src.Read(p[n:])
		n += m
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// rehash reads all received bytes again.
func (r *Registry) rehash(ctx context.Context, u *upload, a digest.Algorithm) (hash.Hash, error) {
	h, err := newHash(a, nil)
	if err != nil {
		return nil, err
	}
	if u.inRow {
		h.Write(u.bytes)
		return h, nil
	}
	src, err := r.blobs.Resume(ctx, u.stored(), 0)
	if errors.Is(err, blob.ErrUploadUnknown) {
		return nil, errGone
	}
	if err != nil {
		return nil, fault(err, "read upload %s again", u.ID)
	}
	defer src.Close()
	n, err := io.Copy(h, src)
	if err == nil && n != u.Size {
		err = io.ErrUnexpectedEOF
	}
	return h, fault(err, "read upload %s again", u.ID)
}

// lockUpload makes an upload this request's own until the function that it returns is called. What is done with it is done under the context that it returns.
func (r *Registry) lockUpload(ctx context.Context, repo, id string) (context.Context, *upload, func(), error) {
	if err := checkName(repo); err != nil {
		return ctx, nil, nil, err
	}
	unlock, ok := r.writing.lock(ctx, keyUpload(repo, id), busyWait)
	if !ok {
		return ctx, nil, nil, busy(id)
	}
	if !r.shared {
		u, err := r.loadUpload(ctx, repo, id)
		if err != nil {
			unlock()
		}
		return ctx, u, unlock, err
	}
	if err := checkUploadID(repo, id); err != nil {
		unlock()
		return ctx, nil, nil, err
	}
	ctx, u, end, err := r.claimUpload(ctx, repo, id)
	if err != nil {
		unlock()
		return ctx, nil, nil, err
	}
	return ctx, u, func() { end(); unlock() }, nil
}

func checkUploadID(repo, id string) error {
	if !ValidName(repo) || len(id) != 36 || strings.ContainsAny(id, "!/") {
		return uploadUnknown(id)
	}
	return nil
}

func (r *Registry) loadUpload(ctx context.Context, repo, id string) (*upload, error) {
	if err := checkUploadID(repo, id); err != nil {
		return nil, err
	}
	return readUpload(ctx, r.uploads, repo, id)
}

func uploadUnknown(id string) error {
	return &Error{Code: BlobUploadUnknown, Detail: map[string]string{"upload": clip(id),
		"hint": "it was finished, cancelled, has expired, or belongs to another repository or to somebody else; begin a new one"}}
}

// saveUpload records an upload, and gives back the claim on it. One that was lost is Busy, and nothing is recorded.
func (r *Registry) saveUpload(ctx context.Context, repo string, u *upload) error {
	err := r.uploads.Update(ctx, func(tx kv.Tx) error {
		if u.holder != "" {
			if _, err := ownUpload(ctx, tx, repo, u.ID, u.holder); err != nil {
				return err
			}
		}
		given := *u
		given.claim = given.given()
		tx.Put(keyUpload(repo, u.ID), given.row())
		return nil
	})
	if errors.Is(err, errHeld) {
		return busy(u.ID)
	}
	if err == nil {
		u.holder = ""
	}
	return fault(err, "record upload %s of %s", u.ID, repo)
}

// dropUpload forgets an upload, unless it has become somebody else's. What it fails to remove expires.
func (r *Registry) dropUpload(ctx context.Context, repo string, u *upload) {
	ctx = context.WithoutCancel(ctx)
	if !r.shared && !u.inRow {
		r.abort(ctx, u.stored())
	}
	err := r.uploads.Update(ctx, func(tx kv.Tx) error {
		if r.shared {
			if _, err := ownUpload(ctx, tx, repo, u.ID, u.holder); err != nil {
				return err
			}
		}
		tx.Delete(keyUpload(repo, u.ID))
		return nil
	})
	if errors.Is(err, errHeld) {
		return
	}
	if err != nil {
		r.log.Warn("forget upload", "repo", repo, "upload", u.ID, "err", err)
		return
	}
	if r.shared && !u.inRow {
		r.abort(ctx, u.stored())
	}
	u.holder = ""
}

func (r *Registry) abort(ctx context.Context, name string) {
	if err := r.blobs.Abort(context.WithoutCancel(ctx), name); err != nil {
		r.log.Warn("remove upload's bytes", "upload", name, "err", err)
	}
}
