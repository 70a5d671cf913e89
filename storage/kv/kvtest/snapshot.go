package kvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

// RunSnapshots tests the promises of kv.Snapshotter, which the databases must be that open returns. Each is empty; RunSnapshots closes it.
func RunSnapshots(t *testing.T, open func(t testing.TB) kv.DB) {
	for _, c := range []struct {
		promise string
		test    func(*testing.T, kv.DB, kv.Snapshotter)
	}{
		{"a snapshot shows what there is", snapshotShows},
		{"a snapshot is of one moment", snapshotOfOneMoment},
		{"a snapshot of many pages", snapshotPages},
		{"a snapshot returns fn's error", snapshotError},
		{"a snapshot ends with fn's panic", snapshotPanic},
		{"a snapshot ends with its ctx", snapshotEnds},
		{"a closed database shows none", snapshotClosed},
	} {
		t.Run(c.promise, func(t *testing.T) {
			db := open(t)
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			power, ok := db.(kv.Snapshotter)
			if !ok {
				t.Fatalf("%T is no kv.Snapshotter", db)
			}
			c.test(t, db, power)
		})
	}
}

func snapshotShows(t *testing.T, db kv.DB, power kv.Snapshotter) {
	put(t, db, "a", "1", "b", "", "c", "3")
	err := power.Snapshot(t.Context(), func(view kv.View) error {
		want(t, view, "a", "1")
		want(t, view, "b", "")
		wantNone(t, view, "d")
		wantScan(t, view, "", "", "a", "1", "b", "", "c", "3")
		wantScan(t, view, "b", "c", "b", "")
		for pair, err := range view.Scan(t.Context(), "", "") { // another read amid a scan
			if err != nil {
				return err
			}
			want(t, view, pair.Key, string(pair.Value))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// snapshotOfOneMoment has a writer change two keys that lie far apart, over and over. They are to be the same in each snapshot, however often they are looked at.
func snapshotOfOneMoment(t *testing.T, db kv.DB, power kv.Snapshotter) {
	put(t, db, "a", "0", "z", "0")
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for n := 1; ; n++ {
			err := db.Update(ctx, func(tx kv.Tx) error {
				tx.Put("a", []byte(fmt.Sprint(n)))
				tx.Put("z", []byte(fmt.Sprint(n)))
				return nil
			})
			if n == 1 {
				close(began)
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	<-began
	moments := map[string]bool{}
	for len(moments) < 3 && ctx.Err() == nil {
		err := power.Snapshot(ctx, func(view kv.View) error {
			first, err := view.Get(ctx, "a")
			if err != nil {
				return err
			}
			moments[string(first)] = true
			for range 3 {
				want(t, view, "z", string(first))
				wantScan(t, view, "", "", "a", string(first), "z", string(first))
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			break
		}
	}
	if ctx.Err() != nil {
		t.Errorf("only %d moments were seen within %v: the writer stands still", len(moments), patience)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the writer: %v", err)
	}
}

func snapshotPages(t *testing.T, db kv.DB, power kv.Snapshotter) {
	const many = 5000
	large := string(make([]byte, 100<<10))
	update(t, db, func(tx kv.Tx) error {
		for n := range many {
			tx.Put(fmt.Sprintf("key/%05d", n), []byte(fmt.Sprint(n)))
		}
		tx.Put("key/00777/large", []byte(large))
		return nil
	})
	err := power.Snapshot(t.Context(), func(view kv.View) error {
		n, found := 0, false
		for pair, err := range view.Scan(t.Context(), "key/", "key0") {
			if err != nil {
				return err
			}
			if pair.Key == "key/00777/large" {
				found = string(pair.Value) == large
				continue
			}
			if pair.Key != fmt.Sprintf("key/%05d", n) || string(pair.Value) != fmt.Sprint(n) {
				return fmt.Errorf("in place %d there is %q = %q", n, pair.Key, pair.Value)
			}
			n++
		}
		if n != many || !found {
			return fmt.Errorf("%d rows, the large one %v; want %d and it", n, found, many)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func snapshotError(t *testing.T, db kv.DB, power kv.Snapshotter) {
	own := errors.New("fn's own")
	if err := power.Snapshot(t.Context(), func(kv.View) error { return own }); err != own {
		t.Errorf("%v, want fn's error as it is", err)
	}
	put(t, db, "a", "1")
	want(t, db, "a", "1")
}

func snapshotPanic(t *testing.T, db kv.DB, power kv.Snapshotter) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic of fn did not come through")
			}
		}()
		_ = power.Snapshot(t.Context(), func(kv.View) error { panic("fn's own") })
	}()
	put(t, db, "a", "1") // nothing is held any more
	want(t, db, "a", "1")
}

func snapshotEnds(t *testing.T, db kv.DB, power kv.Snapshotter) {
	put(t, db, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if err := power.Snapshot(ctx, func(kv.View) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("with a ctx that has ended: %v, and fn ran: %v", err, ran)
	}
	err := power.Snapshot(t.Context(), func(view kv.View) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := view.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("get with a ctx that has ended: %v", err)
		}
		for _, err := range view.Scan(ctx, "", "") {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("scan with a ctx that has ended: %v", err)
			}
		}
		want(t, view, "a", "1") // that was those calls' end, and not the snapshot's
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func snapshotClosed(t *testing.T, db kv.DB, power kv.Snapshotter) {
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := power.Snapshot(t.Context(), func(kv.View) error { return nil }); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("%v, want %v", err, kv.ErrClosed)
	}
}
