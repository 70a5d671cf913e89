//go:build clients

package apt

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
)

// writer brings versions of a component to its place: uploads them, promotes them, and now and then goes back.
type writer struct {
	*house
	name string // of its package; its component is cloud/dmp/<name>
	last string // the version that it uploaded last
	n    int
}

func (w *writer) component() string { return "cloud/dmp/" + w.name }

// upload stores the next version through the door.
func (w *writer) upload() error {
	w.n++
	w.last = fmt.Sprintf("1.0.%d", w.n)
	p := string(hello(w.name, w.last, "amd64"))
	res, err := w.server.Client().Do(w.request("PUT", "/apt/upload/"+w.component()+"/"+w.name+".deb", p))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 201 {
		return fmt.Errorf("upload %s %s: %s: %s, %v", w.name, w.last, res.Status, text, err)
	}
	return nil
}

// publish promotes what was uploaded last, or, if it goes back, what was there before.
func (w *writer) publish(kind artifacts.MoveKind) error {
	o := artifacts.Order{Kind: kind, Component: w.component(), Place: prod}
	if kind == artifacts.Promotion {
		o.Version = w.last
	}
	_, err := w.catalog.Move(w.ctx, o)
	return err
}

// writers are three of them, each with a first version in prod.
func writers(h *house) (all []*writer) {
	h.t.Helper()
	for _, name := range []string{"alpha", "beta", "gamma"} {
		w := &writer{house: h, name: name}
		all = append(all, w)
		if err := w.upload(); err != nil {
			h.t.Fatal(err)
		}
		h.clock.pass(time.Second)
		if err := w.publish(artifacts.Promotion); err != nil {
			h.t.Fatal(err)
		}
	}
	return all
}

// Twenty hosts update and download all the while a hundred snapshots are published, and nothing ever fails for any of them.
func TestHost_twenty_update_while_a_hundred_snapshots_are_published(t *testing.T) {
	const hosts, publications = 20, 100
	h := onDisk(t)
	all := writers(h)
	asked := h.watched()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()

	var crowd []*host
	for range hosts {
		host := newHost(t)
		host.Write(t, "etc/apt/apt.conf.d/quick", `DPkg::Options { "--force-unsafe-io"; };`)
		host.isSetUp(t, h, "cloud-prod")
		crowd = append(crowd, host)
	}
	// turns are what hosts have done: a writer publishes for each two of them, and hosts go on when one does. So neither side is done before the other has begun.
	turns := make(chan struct{})
	var updates, downloads, moves atomic.Int64
	var reading, writing sync.WaitGroup
	for i, host := range crowd {
		reading.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				args := []string{"apt-get", "update"}
				if n%4 == 3 {
					args = []string{"apt-get", "download", all[(n+i)%len(all)].name}
				}
				if out, err := host.Run(t, "", args...); err != nil || strings.Contains(out, "W:") || strings.Contains(out, "E:") {
					t.Errorf("host %d, after %d moves: %q: %v\n%s", i, moves.Load(), args, err, out)
					stop()
					return
				}
				if n%4 == 3 {
					downloads.Add(1)
				} else {
					updates.Add(1)
				}
				select {
				case turns <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for _, w := range all {
		writing.Go(func() {
			for n := 1; ; n++ {
				for range 2 {
					select {
					case <-turns:
					case <-ctx.Done():
						t.Errorf("%s is stopped after %d moves", w.name, n-1)
						return
					}
				}
				kind, err := artifacts.Promotion, error(nil)
				if n%5 == 0 {
					kind = artifacts.Rollback
				} else {
					err = w.upload()
				}
				h.clock.pass(10 * time.Second)
				if err == nil {
					err = w.publish(kind)
				}
				var dates []time.Time
				if err == nil {
					dates, err = h.dates("cloud-prod")
				}
				if err != nil {
					t.Error(err)
					stop()
					return
				}
				moves.Add(1)
				if len(dates) >= publications+len(all) && kind == artifacts.Promotion {
					return
				}
			}
		})
	}
	writing.Wait()
	stop()
	reading.Wait()
	t.Logf("%d moves, %d updates, %d downloads", moves.Load(), updates.Load(), downloads.Load())
	if u, d := updates.Load(), downloads.Load(); u < publications/2 || d < hosts {
		t.Errorf("there were but %d updates and %d downloads meanwhile", u, d)
	}

	for i, host := range crowd {
		reading.Go(func() {
			for _, args := range [][]string{{"apt-get", "update"}, {"apt-get", "install", "alpha", "beta", "gamma"}} {
				if out, err := host.Run(t, "", args...); err != nil {
					t.Errorf("host %d in the end: %q: %v\n%s", i, args, err, out)
					return
				}
			}
		})
	}
	reading.Wait()
	for i, host := range crowd {
		for _, w := range all {
			if got := host.Has(t, w.name, "amd64"); got != w.last {
				t.Errorf("host %d has %s in version %q, want the last, %q", i, w.name, got, w.last)
			}
		}
	}
	for _, answer := range asked.since() {
		if !strings.HasPrefix(answer, "200 ") && !strings.HasPrefix(answer, "201 ") && !strings.HasPrefix(answer, "304 ") {
			t.Errorf("somebody was answered %q", answer)
		}
	}
}

// Hosts refuse a Release that is dated more than ten seconds ahead of their clocks, and every publication has a later date than the one before: a burst must
// be gathered, or hosts are shut out for as long as it was too fast.
func TestHost_takes_what_is_published_in_a_burst(t *testing.T) {
	const each = 14
	h, host := onDisk(t), newHost(t)
	all := writers(h)
	h.restart(atTrueTime)
	host.isSetUp(t, h, "cloud-prod")
	var writing sync.WaitGroup
	var failed atomic.Bool
	for _, w := range all {
		writing.Go(func() {
			for range each {
				err := w.upload()
				if err == nil {
					err = w.publish(artifacts.Promotion)
				}
				if err != nil {
					t.Error(err)
					failed.Store(true)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		default:
		}
		if ahead := time.Until(h.snapshot("cloud-prod").Date); ahead > 5*time.Second {
			t.Errorf("the suite is dated %s ahead", ahead)
		}
		if out, err := host.Run(t, "", "apt-get", "update"); err != nil {
			t.Errorf("%v\n%s", err, out)
			failed.Store(true)
		}
		over = over || failed.Load()
	}
	<-done
	if failed.Load() {
		return
	}
	dates, err := h.dates("cloud-prod")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(dates) - len(all); got >= each*len(all) {
		t.Errorf("%d promotions by %d at once made %d snapshots: nothing was gathered", each*len(all), len(all), got)
	}
	host.OK(t, "apt-get", "install", "alpha", "beta", "gamma")
	for _, w := range all {
		if got := host.Has(t, w.name, "amd64"); got != w.last {
			t.Errorf("installed is %s %q, want %q", w.name, got, w.last)
		}
	}
}
