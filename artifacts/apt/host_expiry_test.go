//go:build clients

package apt

import (
	"context"
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

func TestHost_takes_a_suite_that_would_have_expired(t *testing.T) {
	h, host := onDisk(t, since(2*time.Hour)), newHost(t)
	h.restart(validFor(time.Hour))
	h.stock() // until about an hour ago
	asked := h.watched()
	host.isSetUp(t, h, "cloud-prod")
	host.refuses(t, "is expired", "apt-get", "update")
	h.clock.pass(time.Until(h.clock.Now()).Abs() - 5*time.Second)
	h.untilRenewed("cloud-prod")
	host.updated(t)
	host.ok(t, "apt-get", "install", "hello")
	asked.since()

	// Half an hour and a little ago is when it is done again, though it is good for as long still; hosts fetch nothing but what says so.
	h.restart(validFor(time.Hour))
	h.clock.pass(-31 * time.Minute)
	date := h.snapshot("cloud-prod").Date
	h.t.Log(date)
}

// For a day nobody promotes anything: at every minute of it hosts find a suite that is good for as long as it takes to notice that the registry is down.
func TestSuite_never_expires_while_the_catalog_runs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := onDisk(t, since(0))
		h.server.Close() // time passes only while nobody waits for a network
		h.restart(func(c *artifacts.Config, k *suite.KeysConfig) {
			atTrueTime(c, k)
			c.ValidFor = time.Hour
		})
		h.server.Close()
		h.stock()
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
