//go:build clients

package apt

import (
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
)

// While two keys sign, hosts notice nothing of a rotation; when the older one has retired, those go on that have run the script again meanwhile.
func TestHost_follows_a_rotation_of_keys(t *testing.T) {
	h := onDisk(t, since(72*time.Hour))
	h.restart(func(_ *artifacts.Config, k *suite.KeysConfig) { k.Overlap = 48 * time.Hour })
	h.stock()
	before := h.snapshot("cloud-prod").Date
	diligent, idle := newHost(t), newHost(t)
	for _, host := range []*host{diligent, idle} {
		host.isSetUp(t, h, "cloud-prod")
		host.Updated(t)
	}

	h.clock.pass(time.Hour)
	h.rotates(false)
	young := newHost(t)
	young.isSetUp(t, h, "cloud-prod")
	for _, host := range []*host{diligent, idle, young} {
		host.Updated(t)
	}
	h.promote(service, "1.1.0", prod)
	if out, err := diligent.setup(t, h, "cloud-prod"); err != nil || !strings.Contains(out, h.keyring()+" is written") {
		t.Errorf("the script fetches no new keys: %v\n%s", err, out)
	}
	for _, host := range []*host{diligent, idle, young} {
		host.Updated(t)
		if candidate, _ := host.Policy(t, "hello"); candidate != "1:2.0~rc1+b2" {
			t.Errorf("while two keys sign apt would install %q", candidate)
		}
	}

	h.clock.pass(48 * time.Hour)
	h.promote(service, "2.0.0", prod)
	for _, host := range []*host{diligent, young} {
		host.Updated(t)
		host.OK(t, "apt-get", "install", "hello")
		if got := host.Has(t, "hello", "amd64"); got != "1:3.0~rc1+b2" {
			t.Errorf("when the old key has retired there is %q", got)
		}
	}
	idle.Refuses(t, "NO_PUBKEY", "apt-get", "update")
	idle.isSetUp(t, h, "cloud-prod")
	idle.Updated(t)

	// What only the old key has signed is still read by a host that comes now.
	late := newHost(t)
	late.isSetUp(t, h, "cloud-prod")
	source := h.source("cloud-prod")
	late.Write(t, source, strings.Replace(late.Read(t, source), "/apt\n", "/apt/snapshots/"+before.Format(dateForm)+"\n", 1))
	late.Updated(t)
	if candidate, _ := late.Policy(t, "hello"); candidate != "1:1.0~rc1+b2" {
		t.Errorf("of the snapshot of before apt would install %q", candidate)
	}
}

// rotates has a new key take over, and all suites be signed by it.
func (h *house) rotates(revoke bool) {
	h.t.Helper()
	if err := h.keys.Rotate(h.ctx, revoke); err != nil {
		h.t.Fatal(err)
	}
	if err := h.catalog.Republish(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

// A key that has leaked signs nothing any more at once, and no host trusts what it signed once the host has the new keyring.
func TestHost_is_shut_out_until_it_has_the_new_key_after_a_revocation(t *testing.T) {
	h, host := onDisk(t), newHost(t)
	h.stock()
	host.isSetUp(t, h, "cloud-prod")
	host.Updated(t)
	before := h.get("/apt/dists/cloud-prod/InRelease").want(200).body
	h.clock.pass(time.Minute)
	h.rotates(true)
	host.Refuses(t, "NO_PUBKEY", "apt-get", "update")
	host.isSetUp(t, h, "cloud-prod")
	host.Updated(t)
	host.Write(t, "old", before)
	if out, err := host.Run(t, "", "gpgv", "--keyring", host.keyring(t, h), "old"); err == nil {
		t.Errorf("what the key that leaked has signed is still trusted: %s", out)
	}
}

// Whoever rotates the keys may be ended before the suites are published again, and a key retires at a time when nobody promotes anything.
func TestHost_follows_a_rotation_that_nobody_published(t *testing.T) {
	h, host := onDisk(t, since(72*time.Hour)), newHost(t)
	h.restart(func(_ *artifacts.Config, k *suite.KeysConfig) { k.Overlap = 48 * time.Hour })
	h.stock()
	signatures := func() int {
		h.untilRenewed("cloud-prod")
		host.Write(t, "InRelease", h.get("/apt/dists/cloud-prod/InRelease").want(200).body)
		out, err := host.Run(t, "", "gpgv", "--keyring", host.keyring(t, h), "InRelease")
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return strings.Count(out, "Good signature")
	}
	h.clock.pass(time.Hour)
	if err := h.keys.Rotate(h.ctx, false); err != nil {
		t.Fatal(err)
	}
	if n := signatures(); n != 2 {
		t.Errorf("after a rotation there are %d signatures, want one of each key", n)
	}
	h.clock.pass(49 * time.Hour)
	if n := signatures(); n != 1 {
		t.Errorf("when the old key has retired there are %d signatures, want that of the new one", n)
	}
	if err := h.keys.Rotate(h.ctx, true); err != nil {
		t.Fatal(err)
	}
	if n := signatures(); n != 1 {
		t.Errorf("after a revocation there are %d signatures, want that of the new key", n)
	}
}
