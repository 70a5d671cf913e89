package s3

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/blob"
)

// Place stores content whose digest is known in one go, and in its place: no upload, no copy, and one request for what fits into a part. It is for
// who needs neither to resume nor to be followed, as a push in a single request. The content appears when src has ended, or not at all: src is the one
// that compares it with d, and returns an error in place of its end if it does not match. That error comes back as it is. Place returns how
// many bytes it read.
func (s *Store) Place(ctx context.Context, d digest.Digest, src io.Reader) (int64, error) {
	if err := firstOf(ctx.Err(), blob.CheckDigest(d)); err != nil {
		return 0, fmt.Errorf("place content: %w", err)
	}
	// A part that is too short cannot be sent, whoever waits for its memory. So these hold half of it at most.
	if err := s.places.Acquire(ctx, 1); err != nil {
		return 0, fmt.Errorf("place content %s: %w", d, err)
	}
	defer s.places.Release(1)
	p := s.newPlacing(ctx, s.blobKey(d))
	defer p.cancel()
	srcErr, err := p.receive(ctx, src)
	if err = p.finish(srcErr, err); err != nil {
		return p.end, fmt.Errorf("place content %s: %w", d, err)
	}
	if srcErr != nil {
		return p.end, srcErr
	}
	if err := s.confirm(ctx, d, p.end); err != nil {
		return p.end, fmt.Errorf("place content %s: %w", d, err)
	}
	return p.end, nil
}

// placing is one Place on its way.
type placing struct {
	intake
	ctx    context.Context
	cancel context.CancelFunc
	key    string
	whole  bool // the parcel that is sent is all there is

	begin sync.Once
	id    *string // of the multipart upload, if there is one
	began error

	mu   sync.Mutex
	done map[int32]types.CompletedPart
}

func (s *Store) newPlacing(ctx context.Context, key string) *placing {
	p := &placing{intake: s.newIntake(&growing{}, minPart), key: key, done: map[int32]types.CompletedPart{}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.deliver = p.sendPart
	go p.relieve()
	return p
}

// sendPart sends a parcel as a part, or as the whole.
func (p *placing) sendPart(content *parcel, number int64) (piece, error) {
	became := piece{start: content.start, size: content.size}
	if p.whole {
		_, err := p.s.put(p.ctx, p.key, content, types.StorageClass(p.s.cfg.StorageClass))
		return became, err
	}
	if number > maxParts {
		return became, fmt.Errorf("it has more than %d parts; use a larger part size", maxParts)
	}
	p.begin.Do(func() { p.id, p.began = p.s.createMultipart(p.ctx, p.key, types.ChecksumAlgorithmCrc32c) })
	if p.began != nil {
		return became, p.began
	}
	part, err := p.s.putPart(p.ctx, p.key, p.id, int32(number), content, types.ChecksumAlgorithmCrc32c)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[int32(number)] = part
	return became, err
}

// finish makes the content appear, or sees to it that nothing is left.
func (p *placing) finish(srcErr, err error) error {
	p.halt()
	if srcErr != nil || err != nil {
		p.cancel() // nobody wants what is on its way
		p.drop()
		p.sending.Wait()
	} else {
		err = p.finishWell()
	}
	if p.id == nil || srcErr == nil && err == nil {
		return err
	}
	if left := p.s.abandon(p.ctx, p.key, p.id); left != nil {
		p.s.log.Warn("a multipart upload is left over, until it is listed as an unfinished upload", "key", p.key, "err", left)
	}
	return err
}

func (p *placing) finishWell() error {
	if p.number == 0 { // nothing was sent, and nobody looks
		p.whole = true
	}
	if p.whole && p.current == nil {
		_, err := p.s.put(p.ctx, p.key, &parcel{}, types.StorageClass(p.s.cfg.StorageClass))
		return err
	}
	p.sendLast()
	p.sending.Wait()
	if p.failed != nil || p.whole {
		return p.failed
	}
	parts := make([]types.CompletedPart, len(p.done))
	for number, part := range p.done {
		parts[number-1] = part
	}
	return p.s.completeMultipart(p.ctx, p.key, p.id, parts, p.end)
}
