package oidc

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// When an issuer is asked again.
const (
	pause = 10 * time.Second // not sooner after the last answer or failure, whatever is shown here
	renew = time.Hour        // then it may have withdrawn a key
	keep  = 24 * time.Hour   // what it said longer ago is not believed any more
)

// published is what an issuer publishes, kept as long as it is good. Whoever is content with what is known never waits for the issuer.
type published struct {
	get func() (*document, error)
	now func() time.Time
	log *slog.Logger

	known atomic.Pointer[document] // the last answer
	mu    sync.Mutex
	last  *question // the one that is being asked, or was last
}

// question is the issuer being asked. What follows done may be read when that is closed.
type question struct {
	done  chan struct{}
	ended time.Time
	got   *document
	err   error
}

// document returns what the issuer publishes if enough is content with it; else, or if that is too old, what it publishes now, or in the last few
// seconds. An error says that it cannot be told.
func (p *published) document(ctx context.Context, enough func(*document) bool) (*document, error) {
	if d := p.known.Load(); d != nil && enough(d) {
		age := p.now().Sub(d.at)
		if age >= renew {
			p.ask()
		}
		if age < keep {
			return d, nil
		}
	}
	q := p.ask()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-q.done:
		return q.got, q.err
	}
}

// ask returns the question that is being asked now or was just now answered, else it asks one. That outlives whoever began it, because others wait
// for it as well; get ends by itself.
func (p *published) ask() *question {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q := p.last; q != nil {
		select {
		default:
			return q
		case <-q.done:
			if p.now().Sub(q.ended) < pause {
				return q
			}
		}
	}
	q := &question{done: make(chan struct{})}
	p.last = q
	go func() {
		defer close(q.done)
		q.got, q.err = p.get()
		q.ended = p.now()
		if q.err != nil {
			p.log.Warn("an OIDC issuer could not be asked; it will be asked again", "error", q.err)
			return
		}
		q.got.at = q.ended
		p.known.Store(q.got)
	}()
	return q
}

// find implements keySource.
func (p *published) find(ctx context.Context, content func([]jose.JSONWebKey) bool) error {
	seen := (*document)(nil)
	d, err := p.document(ctx, func(d *document) bool {
		seen = d
		return content(d.keys)
	})
	if err == nil && d != seen {
		content(d.keys)
	}
	return err
}
