package remote

import "context"

// slots bound the requests at once. Blobs, which take long, leave some of them to everything else.
type slots struct{ all, blobs chan struct{} }

func newSlots(n int) *slots {
	return &slots{make(chan struct{}, n), make(chan struct{}, max(1, n-max(1, n/4)))}
}

// take waits for a slot. release gives it back.
func (s *slots) take(ctx context.Context, blob bool) (release func(), err error) {
	lanes := []chan struct{}{s.all}
	if blob {
		lanes = []chan struct{}{s.blobs, s.all}
	}
	for i, lane := range lanes {
		select {
		case lane <- struct{}{}:
		case <-ctx.Done():
			giveBack(lanes[:i])
			return nil, context.Cause(ctx)
		}
	}
	return func() { giveBack(lanes) }, nil
}

func giveBack(lanes []chan struct{}) {
	for _, lane := range lanes {
		<-lane
	}
}
