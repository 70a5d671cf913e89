package follow

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDo_once_at_a_time(t *testing.T) {
	runs := New[int, string]()
	begun, release := make(chan struct{}), make(chan struct{})
	type key struct{}
	work := func(ctx context.Context, tell func(int)) (string, error) {
		tell(1)
		close(begun)
		select {
		case <-release:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		tell(2)
		return ctx.Value(key{}).(string), nil
	}
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), key{}, "first"))
	left := make(chan error, 1)
	go func() { _, err := runs.Do(ctx, work, nil); left <- err }()
	<-begun
	leave() // the run goes on
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left is told %v", err)
	}
	var seen []int
	second := func(context.Context, func(int)) (string, error) { t.Error("two at once"); return "", nil }
	result, err := runs.Do(t.Context(), second, func(at int) {
		if seen = append(seen, at); len(seen) == 1 {
			close(release)
		}
	})
	if err != nil || result != "first" || seen[0] != 1 || seen[len(seen)-1] != 2 {
		t.Errorf("%q, %v, %v", result, err, seen)
	}
	if result, err := runs.Do(t.Context(), func(context.Context, func(int)) (string, error) { return "next", nil }, nil); err != nil || result != "next" {
		t.Errorf("%q, %v", result, err)
	}
}

func TestStop_cuts_and_waits(t *testing.T) {
	runs := New[int, string]()
	begun, ended := make(chan struct{}), false
	failed := make(chan error, 1)
	go func() {
		_, err := runs.Do(t.Context(), func(ctx context.Context, _ func(int)) (string, error) {
			close(begun)
			<-ctx.Done()
			ended = true
			return "", ctx.Err()
		}, nil)
		failed <- err
	}()
	<-begun
	runs.Stop()
	if !ended {
		t.Error("it was not waited for")
	}
	select {
	case err := <-failed:
		if !errors.Is(err, ErrStopped) {
			t.Errorf("%v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("who follows is not told")
	}
	if _, err := runs.Do(t.Context(), nil, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("%v", err)
	}
}
