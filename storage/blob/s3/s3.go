// Package s3 keeps content in a bucket of Amazon S3 or of a server that speaks its protocol.
//
//	s, err := s3.Open(ctx, s3.Config{Bucket: "registry", Region: "eu-central-1"})
//	err = s.Check(ctx) // does the bucket answer?
//
//	<prefix>/blobs/sha256/7d/7d1f…                     content under its digest
//	<prefix>/uploads/<name>/<number>-<start>-<crc32c>  a piece of what is still being received
//	<prefix>/quarantine/sha256-7d1f…                   what was found damaged, for an operator to look at, or to delete
//	<prefix>/backups/entrepot-20260510T120000Z.backup  a backup of the index (see [Backups])
//
// # How an upload lies in the bucket
//
// Parts of an S3 multipart upload cannot be read before all of it is there. But who appends must find an upload again after a crash, on another
// machine, at any byte, and clients of a pull-through proxy read it while it grows. So an upload is a row of objects of its own: each Append
// adds pieces, and Commit lets the server copy them together into their final place (one copy for a single piece, UploadPartCopy for several),
// without their bytes passing through this process again. The final key only ever appears with all its bytes.
//
// Everything that is known of an upload is in the keys of its pieces: one listing tells it, so that any replica may go on where another one
// stopped, and nothing in the memory of a process is needed. A key tells what writing the piece meant: "drop what lies at start and beyond, and
// put this there". Numbers grow, by the clock if that is ahead, and whoever reads the upload plays the writes in their order (see [replay]). So a
// write that S3 carries out late, after its writer gave it up, is recognised: it comes before what was written instead of it.
// A piece of no bytes means just "drop": an Append whose writes failed leaves one, so that none of them is counted later.
//
// A piece is not smaller than the 5 MiB that S3 asks of a part to copy, except the last: a next Append takes that up in its own first one. Pieces
// that had to be smaller, since memory was short, pass through this process at Commit.
//
// The copy costs nothing on this side, but it costs time. Who knows the digest from the start, and needs neither to resume nor to be followed, does without
// any upload: [Store.Place] writes content in its place, with one request if it is small. It is an offer beside the contract of package blob.
//
// # Promises
//
//   - What Append counted is in the bucket, and is found by every replica. kill -9 at any moment loses none of it.
//   - After Commit the content is readable in its whole length. S3 checks a CRC32C of every piece when it arrives; that of a copy, or its MD5, is
//     compared with the piece's, if S3 tells it. What a killed Commit leaves is listed by Uploads, as is an unfinished upload, and Abort removes it.
//   - All calls of Append, Commit and Place together hold no more than Config.Memory of content in memory, whatever their number; who needs more waits in line.
//     Besides, each running Append and Place has half a MiB to read into, and while memory is short pieces become smaller.
//   - Requests are repeated a few times, with growing pauses. A connection on which nothing moves for Config.Stall is given up, and a download
//     that breaks goes on where it stood. What fails all the same because S3 does not answer is [ErrUnavailable].
//   - Within one process, Resume reads what a running Append has received and not yet sent from its memory: who follows is not behind.
//
// It needs a bucket that answers consistently, as S3 does since 2020: what was written is listed. Versioning of the bucket is of no use and makes
// deleted content stay. A lifecycle rule that aborts incomplete multipart uploads after some days does no harm; one that expires objects does.
package s3

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/semaphore"

	"github.com/entrepot/entrepot/storage/blob"
)

// Store is a [blob.Store] in a bucket, a [blob.Linker] and a [blob.Quarantiner]. It is safe for concurrent use, also by many processes over one bucket and prefix.
type Store struct {
	cfg      Config
	client   *s3.Client
	composer *s3.Client // for what S3 may need long for
	links    *s3.PresignClient
	memory   *memory
	places   *semaphore.Weighted // how many Place calls may run
	log      *slog.Logger

	copiedWhole int64 // the most that Quarantine copies in one request

	mu      sync.Mutex
	growing map[string]*growing // by upload: what an Append of this process is receiving just now
}

var (
	_ blob.Store       = (*Store)(nil)
	_ blob.Linker      = (*Store)(nil)
	_ blob.Quarantiner = (*Store)(nil)
)

// Open returns the store of a bucket. It asks S3 nothing, so that a server can start while S3 is away: Check asks. An error is a fault in cfg or
// in the files and variables that the AWS configuration is read from.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	s := &Store{cfg: cfg, memory: newMemory(cfg.Memory), log: cfg.Log, copiedWhole: copiedWhole, growing: map[string]*growing{}}
	s.places = semaphore.NewWeighted(max(1, cfg.Memory/2/minPart))
	if err := s.newClients(ctx); err != nil {
		return nil, fmt.Errorf("open S3 store: %w", err)
	}
	return s, nil
}

// Check asks for the bucket once, and tells in one line what is wrong with it and what to do.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Stall)
	defer cancel()
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.cfg.Bucket, Prefix: aws.String(s.prefix()), MaxKeys: aws.Int32(1),
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("S3 bucket %s at %s does not answer: %s: %w", s.cfg.Bucket, s.cfg.place(), advice(err), classify(err))
}

// now is when something happens, for the numbers of writes.
func (s *Store) now() time.Time { return s.cfg.Now() }
