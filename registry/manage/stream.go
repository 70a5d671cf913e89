package manage

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry/retain/follow"
)

// truth reads a parameter that is true or false.
func truth(c door.Call, name string) (bool, error) {
	switch c.Query.Get(name) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, badQuery(name, "write true or false")
}

// watched is a context that also ends when the registry stops: who watches is sent away.
func (m *manage) watched(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, leave := context.WithCancel(ctx)
	go func() {
		select {
		case <-m.Stopping:
			leave()
		case <-ctx.Done():
		}
	}()
	return ctx, leave
}

// watch answers with how far a run is, and with its result.
func watch[P, R any](ctx context.Context, m *manage, w http.ResponseWriter, start func(context.Context, func(P)) (R, error)) error {
	ctx, leave := m.watched(ctx)
	defer leave()
	var out *lines
	result, err := start(ctx, func(p P) {
		if out == nil {
			out = begin(w)
		}
		if out.say("progress", p); out.err != nil {
			leave()
		}
	})
	switch {
	case out == nil && errors.Is(err, follow.ErrStopped):
		return refused(stopping, follow.ErrStopped.Error())
	case err != nil:
		return err // cuts an answer that has begun
	}
	out.say("result", result)
	return out.err
}

// streamEvery is how long an answer may be silent while there is nothing to say.
const streamEvery = 500 * time.Millisecond

// stream is an answer with a line for each of very many things, and its sums at the end. Lines go out many together, but soon.
type stream struct {
	*lines
	leave  context.CancelFunc
	went   time.Time // when lines last went out
	looked int64
}

// fate says what becomes of something, if that is wanted.
func (s *stream) fate(fate any, wanted bool) {
	if s.looked++; wanted {
		s.write("fate", fate)
	}
	if time.Since(s.went) >= streamEvery {
		s.say("progress", map[string]int64{"looked": s.looked})
		s.went = time.Now()
	}
	if s.err != nil {
		s.leave()
	}
}

// stream answers with what tell says, one line after the other, and ends when the client leaves or the registry stops.
func (m *manage) stream(ctx context.Context, w http.ResponseWriter, tell func(context.Context, *stream) (any, error)) error {
	ctx, leave := m.watched(ctx)
	defer leave()
	out := &stream{lines: begin(w), leave: leave, went: time.Now()}
	out.say("progress", map[string]int64{"looked": 0})
	sums, err := tell(ctx, out)
	if err != nil {
		return err // cuts the answer
	}
	out.say("result", sums)
	return out.err
}
