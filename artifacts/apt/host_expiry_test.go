//go:build clients

package apt

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
)

// validFor has suites that hosts take for so long.
func validFor(d time.Duration) func(*artifacts.Config, *suite.KeysConfig) {
	return func(c *artifacts.Config, _ *suite.KeysConfig) { c.ValidFor = d }
}

// untilRenewed lets the catalog look after its suites until one has another date.
func (h *house) untilRenewed(name string) {
	h.t.Helper()
	before := h.snapshot(name).Date
	ctx, stop := context.WithCancel(h.ctx)
	var running sync.WaitGroup
	running.Go(func() { h.catalog.Run(ctx) })
	defer running.Wait()
	defer stop()
	for late := time.Now().Add(20 * time.Second); h.snapshot(name).Date.Equal(before); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(late) {
			h.t.Fatalf("suite %s is of %s still", name, before)
		}
	}
}

func TestHost_takes_what_is_renewed_and_nothing_that_is_over(t *testing.T) {
	h, host := onDisk(t, since(2*time.Hour)), newHost(t)
	h.restart(validFor(time.Hour))
	h.stock() // good until about an hour ago
	host.isSetUp(t, h, "cloud-prod")
	host.Refuses(t, "is expired", "apt-get", "update")
	h.clock.pass(time.Since(h.clock.Now()) - 5*time.Second)
	h.untilRenewed("cloud-prod")
	host.Updated(t)
	host.OK(t, "apt-get", "install", "hello", "probe")
}

// When half of its time is over a suite is published again, and not before: hosts fetch nothing but what says so.
func TestHost_notices_little_when_a_suite_is_renewed(t *testing.T) {
	h, host := onDisk(t, since(70*time.Minute)), newHost(t)
	h.restart(validFor(time.Hour))
	asked := h.watched()
	h.stock()
	host.isSetUp(t, h, "cloud-prod")
	h.clock.pass(17 * time.Minute)
	h.promote(service, "1.1.0", prod)
	host.Updated(t)
	date := h.snapshot("cloud-prod").Date

	h.clock.pass(13 * time.Minute) // staging, which comes second, is of 32 minutes ago
	h.untilRenewed("cloud-staging")
	if got := h.snapshot("cloud-prod").Date; !got.Equal(date) {
		t.Errorf("a quarter of an hour later the suite is of %s already, and was of %s", got, date)
	}
	asked.since()
	host.Updated(t)
	if got := asked.since(); !slices.Equal(got, []string{"304 /apt/dists/cloud-prod/InRelease"}) {
		t.Errorf("when nothing changed apt-get update asks for %q", got)
	}

	h.clock.pass(19 * time.Minute)
	h.untilRenewed("cloud-prod")
	host.Updated(t)
	if got := asked.since(); !slices.Equal(got, []string{"200 /apt/dists/cloud-prod/InRelease"}) {
		t.Errorf("when the suite was renewed apt-get update asks for %q", got)
	}
	if until, want := validUntil(t, h.get("/apt/dists/cloud-prod/InRelease").want(200).body), h.clock.Now().Add(time.Hour); !until.Equal(want) {
		t.Errorf("the suite is good until %s, want %s", until, want)
	}
}

// For a day nobody promotes anything, and at every minute of it hosts find a suite that is good for about half an hour at least.
func TestSuite_never_expires_while_the_catalog_runs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := onDisk(t)
		h.restart(func(c *artifacts.Config, k *suite.KeysConfig) {
			atTrueTime(c, k)
			c.ValidFor = time.Hour
		})
		h.server.Close() // time passes while nobody waits for a network
		h.stock()
		ctx, stop := context.WithCancel(h.ctx)
		var running sync.WaitGroup
		running.Go(func() { h.catalog.Run(ctx) })
		defer running.Wait()
		defer stop()
		for minute := range 24 * 60 {
			time.Sleep(time.Minute)
			for _, name := range []string{"cloud-prod", "cloud-staging"} {
				answer := httptest.NewRecorder()
				h.handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, "GET", "/apt/dists/"+name+"/InRelease", nil))
				if left := time.Until(validUntil(t, answer.Body.String())); left < 28*time.Minute {
					t.Fatalf("after %d minutes %s is good for %s, want half an hour, less the time between two looks at it", minute, name, left)
				}
			}
		}
		if dates, err := h.dates("cloud-prod"); err != nil || len(dates) > 2+48 {
			t.Errorf("in a day the suite is published %d times, %v", len(dates), err)
		}
	})
}

// validUntil reads what a suite says of itself.
func validUntil(t *testing.T, release string) time.Time {
	t.Helper()
	_, rest, _ := strings.Cut(release, "\nValid-Until: ")
	line, _, _ := strings.Cut(rest, "\n")
	until, err := time.Parse(time.RFC1123, line)
	if err != nil {
		t.Fatal(err)
	}
	return until
}
