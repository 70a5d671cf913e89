//go:build clients

package apt

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
)

func TestHost_updates_installs_and_upgrades(t *testing.T) {
	h, host := build(t), newHost(t)
	h.stock()
	h.add(service, "1.1.1", hello("hello", "1:2.0~rc1+b3", "amd64"), hello("hello", "1:2.0~rc1+b3", "arm64"), hello("hello-data", "1.0", "all"), hello("g++-x", "1+2~3", "amd64"))
	asked := h.watched()
	host.isSetUp(t, h, "cloud-prod")
	asked.since()
	host.Updated(t)
	first := asked.since()
	if !contains(first, "200 /apt/dists/cloud-prod/InRelease") || !contains(first, "/by-hash/SHA256/") || contains(first, "404 ") || contains(first, "/Packages") {
		t.Errorf("apt-get update asks for %q", first)
	}
	host.OK(t, "apt-get", "install", "hello", "probe")
	if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
		t.Errorf("installed is %q", got)
	}
	if got := asked.since(); !contains(got, "200 "+strings.ReplaceAll(pool, "+", "%2b")+"hello_1.0%7erc1%2bb2_amd64.deb") || !contains(got, "200 /apt/pool/cloud/ops/probe/probe_1.0_all.deb") {
		t.Errorf("apt-get install asks for %q", got)
	}
	host.Updated(t)
	if got := asked.since(); !slices.Equal(got, []string{"304 /apt/dists/cloud-prod/InRelease"}) {
		t.Errorf("when nothing changed apt-get update asks for %q", got)
	}
	h.promote(service, "1.1.1", prod)
	host.Updated(t)
	host.OK(t, "apt-get", "upgrade")
	if got := host.Has(t, "hello", "amd64"); got != "1:2.0~rc1+b3" {
		t.Errorf("upgraded to %q", got)
	}
	if candidate, versions := host.Policy(t, "hello"); candidate != "1:2.0~rc1+b3" || !slices.Contains(versions, "1:1.0~rc1+b2") {
		t.Errorf("apt would install %q of %q", candidate, versions)
	}
	host.OK(t, "apt-get", "install", "g++-x", "hello-data")
	host.OK(t, "apt-get", "download", "hello:arm64")
	if got := asked.since(); !contains(got, "hello_2.0%7erc1%2bb3_arm64.deb") || !contains(got, "g%2b%2b-x_1%2b2%7e3_amd64.deb") || contains(got, "404 ") {
		t.Errorf("apt asks for %q", got)
	}
}

// Every form of the lists, and each signature, is enough.
func TestHost_takes_every_form(t *testing.T) {
	for name, c := range map[string]struct{ change, want string }{
		"gzip":                  {`Acquire::CompressionTypes::Order { "gz"; };`, "/by-hash/SHA256/"},
		"plain paths":           {`Acquire::By-Hash "no";`, "200 /apt/dists/cloud-prod/dmp/binary-amd64/Packages.xz"},
		"compressed lists kept": {`Acquire::GzipIndexes "true";`, "by-hash"},
	} {
		h, host := build(t), newHost(t)
		h.stock()
		asked := h.watched()
		host.isSetUp(t, h, "cloud-prod")
		host.Write(t, "etc/apt/apt.conf.d/form", c.change)
		host.Updated(t)
		if got := asked.since(); !contains(got, c.want) {
			t.Errorf("%s: apt asks for %q, want %q", name, got, c.want)
		}
		host.OK(t, "apt-get", "install", "hello")
		if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
			t.Errorf("%s: installed is %q", name, got)
		}
	}
}

// A host that has read one InRelease gets the lists of that one, whatever is published before it asks for them.
func TestHost_sees_one_snapshot_while_others_are_published(t *testing.T) {
	h, host := build(t), newHost(t)
	h.stock()
	var read atomic.Bool // InRelease was, and no list of it yet
	var n atomic.Int64   // publications
	asked := h.watched(func(path string) {
		if strings.HasSuffix(path, "/InRelease") {
			read.Store(true)
		}
		if !strings.Contains(path, "/by-hash/") || !read.CompareAndSwap(true, false) {
			return
		}
		for range 3 {
			number := fmt.Sprintf("3.0.%d", n.Add(1))
			h.add(service, number, hello("hello", "1:"+number, "amd64"))
			h.promote(service, number, prod)
		}
	})
	host.isSetUp(t, h, "cloud-prod")
	want := "1:1.0~rc1+b2"
	for range 4 {
		host.Updated(t)
		if candidate, _ := host.Policy(t, "hello"); candidate != want {
			t.Errorf("after %d publications apt would install %q, want %q", n.Load(), candidate, want)
		}
		want = fmt.Sprintf("1:3.0.%d", n.Load())
	}
	if got := asked.since(); contains(got, "404 ") || n.Load() != 12 {
		t.Errorf("after %d publications apt was told %q", n.Load(), got)
	}
}

func TestHost_logs_in(t *testing.T) {
	h, host := build(t, with(closed)), newHost(t)
	h.stock()
	asked := h.watched()
	out, err := host.setup(t, h, "cloud-prod")
	if err == nil || !strings.Contains(out, "401  Unauthorized") || !strings.Contains(out, "/etc/apt/auth.conf.d/entrepot.conf") || !strings.Contains(out, "machine "+h.server.URL+"/apt") {
		t.Fatalf("without a login: %v\n%s", err, out)
	}
	if _, err := os.Stat(host.Path(h.source("cloud-prod"))); !os.IsNotExist(err) {
		t.Errorf("without a login there is a source: %v", err)
	}
	for name, why := range map[string]string{"nobody": "404  Not Found", "wrong": "401  Unauthorized"} {
		host.login(t, h, name)
		if out, err := host.setup(t, h, "cloud-prod"); err == nil || !strings.Contains(out, why) {
			t.Errorf("as %s: %v, want %q\n%s", name, err, why, out)
		}
	}
	host.login(t, h, "host")
	if out, err = host.setup(t, h, "cloud-prod"); err != nil || strings.Count(out, " is written") != 2 {
		t.Fatalf("with a login: %v\n%s", err, out)
	}
	if out, err := host.Run(t, "", "cat", h.source("cloud-prod")); err != nil || !strings.Contains(out, "Components: dmp ops\n") || strings.Contains(out, "password") {
		t.Errorf("the source is %q, %v", out, err)
	}
	asked.since()
	host.Updated(t)
	host.OK(t, "apt-get", "install", "hello", "probe")
	if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
		t.Errorf("installed is %q", got)
	}
	if got := asked.since(); contains(got, "401 ") {
		t.Errorf("the login is not sent unasked: %q", got)
	}
	host.login(t, h, "nobody")
	host.Refuses(t, "404  Not Found", "apt-get", "update")
	if err := os.Remove(host.Path("etc/apt/auth.conf.d/entrepot.conf")); err != nil {
		t.Fatal(err)
	}
	host.Refuses(t, "401  Unauthorized", "apt-get", "update")
	host.Refuses(t, "401  Unauthorized", "apt-get", "download", "hello")
}

// In a registry where people log in, what is open to everybody needs no login.
func TestHost_needs_no_login_for_what_is_open(t *testing.T) {
	for name, policy := range map[string]auth.Policy{"everything": open(auth.Everywhere), "suite and components": open("apt/cloud-prod", "cloud")} {
		h, host := build(t, with(policy)), newHost(t)
		h.stock()
		host.isSetUp(t, h, "cloud-prod")
		host.Updated(t)
		host.OK(t, "apt-get", "install", "hello", "probe")
		if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
			t.Errorf("%s: installed is %q", name, got)
		}
	}
}

// A login that is cut down in what it may read is refused by name: 403.
func TestHost_is_told_what_it_may_not(t *testing.T) {
	p := &asked{}
	h, host := build(t, with(p)), newHost(t)
	h.stock()
	host.isSetUp(t, h, "cloud-prod")
	host.Updated(t)
	p.says(&auth.Refusal{Do: auth.Pull, On: "apt/cloud-prod", Reason: "no grant gives it"})
	host.Refuses(t, "403  Forbidden", "apt-get", "update")
	host.Refuses(t, "403  Forbidden", "apt-get", "download", "hello")
}

// Each registry has a keyring and a source of its own on the host.
func TestHost_takes_the_same_suite_from_two_registries(t *testing.T) {
	one, other, host := build(t), build(t), newHost(t)
	for _, h := range []*house{one, other} {
		h.stock()
		host.isSetUp(t, h, "cloud-prod")
	}
	other.promote(service, "2.0.0", prod)
	host.Updated(t)
	if candidate, versions := host.Policy(t, "hello"); candidate != "1:3.0~rc1+b2" || !slices.Contains(versions, "1:1.0~rc1+b2") {
		t.Errorf("apt would install %q of %q, want what each registry has", candidate, versions)
	}
	one.promote(service, "1.1.0", prod)
	host.Updated(t)
	if _, versions := host.Policy(t, "hello"); !slices.Contains(versions, "1:2.0~rc1+b2") {
		t.Errorf("there is %q, want what the first registry publishes later, too", versions)
	}
}

func TestHost_takes_a_snapshot(t *testing.T) {
	h := build(t)
	h.stock()
	date := h.snapshot("cloud-prod").Date
	h.promote(service, "2.0.0", prod)
	h.move(artifacts.Order{Kind: artifacts.Withdrawal, Component: "cloud/ops/probe", Place: prod})
	for name, at := range map[string]string{"that very one": date.Format(dateForm), "one between": date.Add(20e9).Format(dateForm)} {
		host := newHost(t)
		host.isSetUp(t, h, "cloud-prod")
		source := h.source("cloud-prod")
		host.Write(t, source, strings.Replace(host.Read(t, source), "/apt\n", "/apt/snapshots/"+at+"\n", 1))
		host.Updated(t)
		host.OK(t, "apt-get", "install", "hello", "probe")
		if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
			t.Errorf("%s: installed is %q", name, got)
		}
		if _, versions := host.Policy(t, "hello"); slices.Contains(versions, "1:3.0~rc1+b2") {
			t.Errorf("%s: there is %q", name, versions)
		}
	}
}

func TestHost_goes_back_with_a_pin(t *testing.T) {
	h, host := build(t), newHost(t)
	h.stock()
	host.isSetUp(t, h, "cloud-prod")
	h.promote(service, "2.0.0", prod)
	host.Updated(t)
	host.OK(t, "apt-get", "install", "hello", "probe")
	h.move(artifacts.Order{Kind: artifacts.Rollback, Component: service, Place: prod})
	host.Updated(t)
	host.OK(t, "apt-get", "dist-upgrade")
	if got := host.Has(t, "hello", "amd64"); got != "1:3.0~rc1+b2" {
		t.Errorf("without a pin there is %q already: it is not needed any more", got)
	}
	host.Write(t, "etc/apt/preferences.d/entrepot-cloud-prod.pref", h.get("/apt/pin/cloud-prod").want(200).body)
	if out := host.OK(t, "apt-get", "dist-upgrade", "--allow-downgrades"); strings.Contains(out, "W:") || strings.Contains(out, "N:") {
		t.Errorf("apt complains: %s", out)
	}
	if got := host.Has(t, "hello", "amd64"); got != "1:1.0~rc1+b2" {
		t.Errorf("with the pin there is %q", got)
	}
}

// The script for a closed suite does nothing if it arrives in part, and runs nothing that a list names.
func TestHost_runs_the_script_whole_or_not_at_all(t *testing.T) {
	h, host := build(t, with(closed)), newHost(t)
	h.stock()
	host.login(t, h, "host")
	script := h.get("/apt/setup.sh?suite=cloud-prod").want(200).body
	for cut := 0; cut < len(script)-2; cut += 97 {
		_, _ = host.Run(t, script[:cut], "sh")
		if _, err := os.Stat(host.Path(h.source("cloud-prod"))); !os.IsNotExist(err) {
			t.Fatalf("a script of %d bytes sets up the host: %v", cut, err)
		}
	}
	if sh, err := exec.LookPath("dash"); err == nil {
		for name, text := range map[string]string{"closed": script} {
			if out, err := host.Run(t, text, sh, "-n"); err != nil {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}
