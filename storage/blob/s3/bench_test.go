//go:build backends

package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/entrepot/entrepot/storage/blob/s3"
	"github.com/entrepot/entrepot/storage/blob/s3/s3test"
)

const benchSize = 256 << 20

// BenchmarkPush measures pushes of 256 MiB against the plainest multipart upload of the same bytes to the same server, turn by turn, and tells the share
// of the plain one's speed that is reached. The mark is 0.8 where no copy is needed.
func BenchmarkPush(b *testing.B) {
	server := s3test.Start(b)
	cfg := configFor(server, server.Bucket(b))
	cfg.PartSize, cfg.Memory = 0, 0
	s, plain := open(b, cfg), server.Client(server.Endpoint)
	content := noise(1, benchSize)
	d := digest.FromBytes(content)
	for what, push := range map[string]func(i int) error{
		"append and commit": func(i int) error {
			name := fmt.Sprint("upload-", i)
			if _, err := s.Append(ctx, name, 0, bytes.NewReader(content)); err != nil {
				return err
			}
			return s.Commit(ctx, name, d)
		},
		"place": func(int) error {
			_, err := s.Place(ctx, d, bytes.NewReader(content))
			return err
		},
	} {
		b.Run(what, func(b *testing.B) {
			var plainTime, ours []time.Duration
			for i := 0; b.Loop(); i++ {
				plainTime = append(plainTime, timed(b, func() error { return pushPlain(plain, cfg.Bucket, content, 16<<20, 4) }))
				ours = append(ours, timed(b, func() error { return push(i) }))
			}
			p, o := median(plainTime), median(ours)
			b.ReportMetric(p.Seconds(), "plain-s")
			b.ReportMetric(o.Seconds(), "ours-s")
			b.ReportMetric(p.Seconds()/o.Seconds(), "ratio")
		})
	}
}

func timed(b *testing.B, do func() error) time.Duration {
	began := time.Now()
	if err := do(); err != nil {
		b.Fatal(err)
	}
	return time.Since(began)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// pushPlain uploads content as a program would that does nothing else: parts at once, nothing kept of a try.
func pushPlain(client *sdk.Client, bucket string, content []byte, partSize, parallel int) error {
	key := aws.String("plain")
	out, err := client.CreateMultipartUpload(ctx, &sdk.CreateMultipartUploadInput{Bucket: &bucket, Key: key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (len(content)+partSize-1)/partSize)
	group := errgroup.Group{}
	group.SetLimit(parallel)
	for i := range parts {
		group.Go(func() error {
			number := int32(i + 1)
			part, err := client.UploadPart(ctx, &sdk.UploadPartInput{
				Bucket: &bucket, Key: key, UploadId: out.UploadId, PartNumber: &number,
				Body: bytes.NewReader(content[i*partSize : min(len(content), (i+1)*partSize)]),
			})
			if err == nil {
				parts[i] = types.CompletedPart{PartNumber: &number, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	_, err = client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: key, UploadId: out.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// BenchmarkMemory pushes 16 uploads of 256 MiB at once and tells how much more memory was in use meanwhile.
func BenchmarkMemory(b *testing.B) {
	const uploads = 16
	server := s3test.Start(b)
	cfg := configFor(server, server.Bucket(b))
	cfg.PartSize, cfg.Memory = 16<<20, 128<<20
	s := open(b, cfg)
	before := inUse()
	var most uint64
	for b.Loop() {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-stop:
					return
				case <-tick.C:
					most = max(most, inUse())
				}
			}
		}()
		var group sync.WaitGroup
		for i := range uploads {
			group.Go(func() {
				if err := pushZeros(s, fmt.Sprint("upload-", i), benchSize); err != nil {
					b.Error(err)
				}
			})
		}
		group.Wait()
		close(stop)
		<-stopped
	}
	grown := int64(most) - int64(before)
	b.SetBytes(uploads * benchSize)
	b.ReportMetric(float64(grown)/(1<<20), "MiB-more")
	if allowed := cfg.Memory + uploads<<20 + 64<<20; grown > allowed {
		b.Fatalf("%d MiB more in use, want at most %d", grown>>20, allowed>>20)
	}
}

func inUse() uint64 {
	var now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&now)
	return now.HeapAlloc
}

// pushZeros pushes content that costs nothing to make, under a digest that is made up: drivers do not hash.
func pushZeros(s *s3.Store, name string, size int64) error {
	if _, err := s.Append(ctx, name, 0, io.LimitReader(zero{}, size)); err != nil {
		return err
	}
	return s.Commit(ctx, name, digest.FromString(name))
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { return len(p), nil }

// noise returns bytes that follow from seed and look like nothing.
func noise(seed byte, size int) []byte {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{seed}).Read(content)
	return content
}
