//go:build clients

package suite

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts/apt/apttest"
	"github.com/entrepot/entrepot/storage/kv"
)

// hellos adds packages with what makes versions hard.
func hellos(a *archive) []Package {
	return []Package{
		a.add("hello", "1.0-1", "amd64"), a.add("hello", "1.0~rc1-1", "amd64"), a.add("hello", "1.10-1", "amd64"), a.add("hello", "1.9-1", "amd64"),
		a.add("hello", "1:0.9+b2", "amd64"), a.add("hello", "1:0.9+b2", "arm64"), a.add("hello-data", "1.10", "all"), a.add("colon", "1:2:3-1", "all"), a.add("g++-x", "1+2~3", "amd64"),
	}
}

func TestApt_updates_installs_and_upgrades(t *testing.T) {
	a, h, k := serve(t), apttest.NewHost(t), made(t, Ed25519, time.Now())
	packages := hellos(a)
	first := build1(t, cloud, packages, time.Now(), nil, k.signer())
	a.publish(first)
	trust(t, h, a, k)
	h.Updated(t)
	asked := a.asked()
	want := []string{"dists/cloud-prod/InRelease"}
	for _, architecture := range []string{"amd64", "arm64"} {
		want = append(want, "dists/cloud-prod/dmp/binary-"+architecture+"/by-hash/SHA256/"+first.Files["dmp/binary-"+architecture+"/Packages.xz"].SHA256)
	}
	if slices.Sort(asked); !slices.Equal(asked, want) {
		t.Errorf("apt asks for %q, want %q and nothing else", asked, want)
	}
	candidate, versions := h.Policy(t, "hello")
	if candidate != "1:0.9+b2" || !slices.Equal(versions, []string{"1:0.9+b2", "1.10-1", "1.9-1", "1.0-1", "1.0~rc1-1"}) {
		t.Errorf("apt would install %q of %q", candidate, versions)
	}
	if _, versions := h.Policy(t, "hello:arm64"); !slices.Equal(versions, []string{"1:0.9+b2"}) {
		t.Errorf("for arm64 there is %q", versions)
	}

	h.OK(t, "apt-get", "install", "hello=1.0~rc1-1", "hello-data", "colon", "g++-x")
	for name, version := range map[string]string{"hello amd64": "1.0~rc1-1", "hello-data all": "1.10", "colon all": "1:2:3-1", "g++-x amd64": "1+2~3"} {
		name, architecture, _ := strings.Cut(name, " ")
		if got := h.Has(t, name, architecture); got != version {
			t.Errorf("%s is installed in version %q, want %q", name, got, version)
		}
	}
	if asked := a.asked(); !contains(asked, "hello_1.0%7erc1-1_amd64.deb") || !contains(asked, "g%2b%2b-x_1%2b2%7e3_amd64.deb") {
		t.Errorf("apt asks for %q", asked)
	}
	h.OK(t, "apt-get", "upgrade")
	if got := h.Has(t, "hello", "amd64"); got != "1:0.9+b2" {
		t.Errorf("upgraded to %q", got)
	}
	h.OK(t, "apt-get", "install", "--download-only", "hello:arm64")
	if asked := a.asked(); !contains(asked, "hello_0.9%2bb2_arm64.deb") {
		t.Errorf("for arm64 apt asks for %q", asked)
	}

	h.Updated(t)
	if asked := a.asked(); !slices.Equal(asked, []string{"dists/cloud-prod/InRelease"}) {
		t.Errorf("when nothing changed apt asks for %q", asked)
	}
	second := build1(t, cloud, append(packages, a.add("hello", "1:1.0", "amd64")), time.Now(), first, k.signer())
	a.publish(second)
	h.Updated(t)
	if asked := a.asked(); len(asked) != 2 || !contains(asked, second.Files["dmp/binary-amd64/Packages.xz"].SHA256) {
		t.Errorf("when one architecture changed apt asks for %q", asked)
	}
	h.OK(t, "apt-get", "dist-upgrade")
	if got := h.Has(t, "hello", "amd64"); got != "1:1.0" {
		t.Errorf("upgraded to %q", got)
	}
}

// Not every client likes what apt does: each form of the lists, and each signature, is enough.
func TestApt_takes_every_form(t *testing.T) {
	k := made(t, Ed25519, time.Now())
	for name, c := range map[string]struct {
		without []string
		change  string // of apt's configuration
		want    string
	}{
		"Release and Release.gpg": {[]string{InRelease}, "", "Release.gpg"},
		"gzip":                    {nil, `Acquire::CompressionTypes::Order { "gz"; };`, "dmp/binary-amd64/by-hash/SHA256/"},
		"plain paths":             {nil, `Acquire::By-Hash "no";`, "dmp/binary-amd64/Packages.xz"},
		"plain paths and gzip":    {nil, `Acquire::By-Hash "no"; Acquire::CompressionTypes::Order { "gz"; };`, "dmp/binary-amd64/Packages.gz"},
		"compressed lists kept":   {nil, `Acquire::GzipIndexes "true";`, "by-hash"},
	} {
		a, h := serve(t), apttest.NewHost(t)
		s := build1(t, cloud, hellos(a), time.Now(), nil, k.signer())
		a.publish(s)
		trust(t, h, a, k)
		for _, path := range c.without {
			a.without["dists/cloud-prod/"+path] = true
		}
		h.Write(t, "etc/apt/apt.conf.d/form", c.change)
		h.OK(t, "apt-get", "update")
		if asked := a.asked(); !contains(asked, c.want) {
			t.Errorf("%s: apt asks for %q, want %q", name, asked, c.want)
		}
		if candidate, versions := h.Policy(t, "hello"); candidate != "1:0.9+b2" || len(versions) != 5 {
			t.Errorf("%s: apt would install %q of %q", name, candidate, versions)
		}
	}
}

func TestApt_reads_an_empty_suite_and_one_of_ten_thousand(t *testing.T) {
	a, h, k := serve(t), apttest.NewHost(t), made(t, Ed25519, time.Now())
	s := build1(t, cloud, nil, time.Now(), nil, k.signer())
	a.publish(s)
	trust(t, h, a, k)
	h.Write(t, "etc/apt/apt.conf.d/one", `APT::Architectures { "amd64"; };`)
	h.Updated(t)
	for range 3 { // each but the first made of blocks of the one before
		packages := append(many(10_000, "amd64"), pkg("hello", fmt.Sprint(s.Date.Unix()), "amd64"))
		s = build1(t, cloud, packages, time.Now(), s, k.signer())
		a.publish(s)
		h.Updated(t)
		if candidate, _ := h.Policy(t, "hello"); !contains([]string{packages[len(packages)-1].Version}, candidate) {
			t.Errorf("apt would install %q", candidate)
		}
		if out := h.OK(t, "apt-cache", "stats"); !strings.Contains(out, fmt.Sprintf("Total distinct versions: %d ", len(packages))) {
			t.Errorf("apt sees other versions than %d: %s", len(packages), out)
		}
	}
	if whole(t, s); blocks(t, s) < 20 {
		t.Errorf("Packages.xz has %d blocks", blocks(t, s))
	}
	// And xz itself, which is stricter than its library.
	if err := os.WriteFile(h.Path("Packages.xz"), s.Files["dmp/binary-amd64/Packages.xz"].Content, 0o644); err != nil {
		t.Fatal(err)
	}
	if out := h.OK(t, "xz", "--test", "--verbose", "Packages.xz"); strings.Contains(out, "warning") {
		t.Errorf("xz says %s", out)
	}
}

// A client that has read one InRelease gets the lists of that one, whatever is published meanwhile.
func TestApt_sees_one_snapshot_while_others_are_published(t *testing.T) {
	for _, kept := range []bool{true, false} {
		a, h, k := serve(t), apttest.NewHost(t), made(t, Ed25519, time.Now())
		packages := hellos(a)
		s := build1(t, cloud, packages, time.Now(), nil, k.signer())
		a.publish(s)
		trust(t, h, a, k)
		n := 0
		a.after["dists/cloud-prod/InRelease"] = func() {
			n++
			packages = append(packages, a.add("other", fmt.Sprint(n), "all"))
			s = build1(t, cloud, packages, time.Now(), s, k.signer())
			if !kept {
				a.mu.Lock()
				a.old = map[string]File{}
				a.mu.Unlock()
			}
			a.publish(s)
		}
		if !kept { // which shows that what is kept is what counts
			h.Refuses(t, "Mirror sync in progress?", "apt-get", "update")
			continue
		}
		for range 5 {
			h.Updated(t)
			if candidate, versions := h.Policy(t, "other"); n > 1 && (candidate != fmt.Sprint(n-1) || len(versions) != n-1) {
				t.Errorf("after %d publications apt sees %q of %q", n, candidate, versions)
			}
		}
		if n != 5 {
			t.Errorf("%d publications", n)
		}
	}
}

func TestApt_follows_a_rotation_of_keys(t *testing.T) {
	a, c := serve(t), &clock{now: time.Now().Add(-72 * time.Hour)}
	keys := openKeys(t, kv.NewMemory(), c, func(c *KeysConfig) { c.Overlap = 48 * time.Hour })
	packages := hellos(a)
	var s *Snapshot
	publish := func() {
		signers, err := keys.Signers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s = build1(t, cloud, packages, c.Now(), s, signers...)
		a.publish(s)
	}
	publish()
	early, late, never := apttest.NewHost(t), apttest.NewHost(t), apttest.NewHost(t)
	for _, h := range []*apttest.Host{early, late, never} {
		trust(t, h, a, read(t, keys)...)
		h.Updated(t)
	}
	trust(t, never, a, made(t, Ed25519, time.Now()))
	never.Refuses(t, "NO_PUBKEY", "apt-get", "update")

	c.pass(time.Hour)
	keys.c.Algorithm = RSA4096
	if err := keys.Rotate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	publish()
	trust(t, early, a, read(t, keys)...)
	fresh := apttest.NewHost(t)
	trust(t, fresh, a, read(t, keys)[1])
	for _, h := range []*apttest.Host{early, late, fresh} { // who trusts both keys, the old one, the new one
		h.Updated(t)
	}
	c.pass(49 * time.Hour)
	publish()
	early.Updated(t)
	fresh.Updated(t)
	late.Refuses(t, "NO_PUBKEY", "apt-get", "update")
	ring, err := keys.Public(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	late.Write(t, hostKeyring, string(ring))
	late.Updated(t)

	if err := keys.Rotate(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	publish()
	early.Refuses(t, "NO_PUBKEY", "apt-get", "update")
}

func TestApt_refuses_what_was_tampered_with(t *testing.T) {
	k := made(t, Ed25519, time.Now())
	another := func(s *Snapshot, path, old, new string) {
		text := strings.Replace(string(s.Files[path].Content), old, new, 1)
		s.Files[path] = File{SHA256: s.Files[path].SHA256, Size: int64(len(text)), Content: []byte(text)}
	}
	for name, c := range map[string]struct {
		change func(*archive, *Snapshot)
		why    string
	}{
		"InRelease":     {func(_ *archive, s *Snapshot) { another(s, InRelease, "Components: dmp", "Components: dmp evil") }, "BADSIG"},
		"the Date":      {func(_ *archive, s *Snapshot) { another(s, InRelease, " UTC", " GMT") }, "BADSIG"},
		"text in front": {func(_ *archive, s *Snapshot) { another(s, InRelease, "-----BEGIN", "Origin: x\n\n-----BEGIN") }, "Clearsigned file isn't valid"},
		"no signature":  {func(_ *archive, s *Snapshot) { s.Files[InRelease] = s.Files[Release] }, "Clearsigned file isn't valid"},
		"Release": {func(a *archive, s *Snapshot) {
			a.without["dists/cloud-prod/InRelease"] = true
			another(s, Release, "Components: dmp", "Components: evil")
		}, "BADSIG"},
		"nobody's word": {func(a *archive, s *Snapshot) {
			a.without["dists/cloud-prod/InRelease"] = true
			a.without["dists/cloud-prod/Release.gpg"] = true
		}, "is not signed"},
		"Packages.xz":   {func(_ *archive, s *Snapshot) { another(s, "dmp/binary-amd64/Packages.xz", "\xfd7zXZ", "\xfd7zXY") }, "Hash Sum mismatch"},
		"a longer list": {func(_ *archive, s *Snapshot) { another(s, "dmp/binary-amd64/Packages.xz", "YZ", "YZYZ") }, "unexpected size"},
		"another's list": {func(_ *archive, s *Snapshot) {
			s.Files["dmp/binary-amd64/Packages.xz"] = File{SHA256: s.Files["dmp/binary-amd64/Packages.xz"].SHA256, Content: s.Files["dmp/binary-arm64/Packages.xz"].Content}
		}, "unexpected size"},
	} {
		a, h := serve(t), apttest.NewHost(t)
		s := build1(t, cloud, hellos(a), time.Now(), nil, k.signer())
		trust(t, h, a, k)
		a.publish(s)
		c.change(a, s)
		h.Refuses(t, c.why, "apt-get", "update")
		if candidate, _ := h.Policy(t, "hello"); candidate != "" && candidate != "(none)" {
			t.Errorf("%s: apt would install %q", name, candidate)
		}
	}
	a, h := serve(t), apttest.NewHost(t)
	packages := hellos(a)
	a.publish(build1(t, cloud, packages, time.Now(), nil, k.signer()))
	trust(t, h, a, k)
	h.Updated(t)
	for path, body := range a.pool {
		a.pool[path] = append(slices.Clone(body[:len(body)-1]), body[len(body)-1]^1)
	}
	h.Refuses(t, "Hash Sum mismatch", "apt-get", "install", "hello")
	if got := h.Has(t, "hello", "amd64"); got != "" {
		t.Errorf("a tampered package is installed: %q", got)
	}
}

func TestApt_looks_at_the_dates(t *testing.T) {
	k := made(t, Ed25519, time.Now().Add(-100*time.Hour))
	expiring := cloud
	expiring.ValidFor = time.Hour

	a, h := serve(t), apttest.NewHost(t)
	trust(t, h, a, k)
	packages := hellos(a)
	old := build1(t, expiring, packages, time.Now().Add(-2*time.Hour), nil, k.signer())
	a.publish(old)
	h.Refuses(t, "is expired", "apt-get", "update")
	a.publish(build1(t, expiring, packages, time.Now(), old, k.signer()))
	h.Updated(t)

	// The clock of the registry steps back by an hour: hosts must see what is published then.
	now := build1(t, cloud, packages, time.Now(), a.now, k.signer())
	a.publish(now)
	h.Updated(t)
	packages = append(packages, a.add("hello", "2:1", "amd64"))
	a.publish(build1(t, cloud, packages, time.Now().Add(-time.Hour), nil, k.signer()))
	h.Updated(t)
	if candidate, _ := h.Policy(t, "hello"); candidate != "1:0.9+b2" {
		t.Errorf("apt takes an older Release now, and would install %q: the rule about dates is not needed any more", candidate)
	}
	a.publish(build1(t, cloud, packages, time.Now().Add(-time.Hour), now, k.signer()))
	h.Updated(t)
	if candidate, _ := h.Policy(t, "hello"); candidate != "2:1" {
		t.Errorf("after the clock stepped back apt would install %q", candidate)
	}

	ahead := apttest.NewHost(t)
	trust(t, ahead, a, k)
	a.publish(build1(t, cloud, packages, time.Now().Add(time.Hour), now, k.signer()))
	ahead.Refuses(t, "is not valid yet", "apt-get", "update")
	a.publish(build1(t, cloud, packages, time.Now().Add(5*time.Second), now, k.signer()))
	ahead.Updated(t)

	// A key of a process whose clock is ahead.
	young := made(t, Ed25519, time.Now().Add(time.Minute))
	waiting := apttest.NewHost(t)
	trust(t, waiting, a, young)
	a.publish(build1(t, cloud, packages, time.Now(), nil, young.signer()))
	waiting.Updated(t)
}

// What Build keeps as it was is what apt would stumble over.
func TestApt_stumbles_over_what_build_refuses(t *testing.T) {
	k := made(t, Ed25519, time.Now())
	for name, c := range map[string]struct {
		change func(*Suite)
		why    string
	}{
		"Origin":     {func(s *Suite) { s.Origin = "Somebody" }, "changed its 'Origin' value"},
		"Label":      {func(s *Suite) { s.Label = "Something" }, "changed its 'Label' value"},
		"Codename":   {func(s *Suite) { s.Name = "cloud-test" }, "changed its 'Codename' value"},
		"components": {func(s *Suite) { s.Components = []string{"ops"} }, "doesn't have the component 'dmp'"},
	} {
		a, h := serve(t), apttest.NewHost(t)
		first := build1(t, cloud, nil, time.Now(), nil, k.signer())
		a.publish(first)
		trust(t, h, a, k)
		h.Updated(t)
		s := cloud
		c.change(&s)
		if next, err := Build(s, nil, time.Now(), []Signer{k.signer()}, first); err == nil {
			a.publish(next)
			h.Updated(t)
		} else if name == "components" {
			t.Error(err)
		}
		bad := build1(t, s, nil, time.Now().Add(3*time.Second), nil, k.signer())
		bad.Suite = cloud.Name // where it is served
		a.publish(bad)
		if out, err := h.Run(t, "", "apt-get", "update"); err == nil && !strings.Contains(out, "W:") && !strings.Contains(out, "N:") || !strings.Contains(out, c.why) {
			t.Errorf("%s: %v, want %q\n%s", name, err, c.why, out)
		}
	}
}

func TestApt_goes_back_with_a_pin(t *testing.T) {
	a, h, k := serve(t), apttest.NewHost(t), made(t, Ed25519, time.Now())
	old := hellos(a)
	first := build1(t, cloud, old, time.Now(), nil, k.signer())
	next := build1(t, cloud, append(old, a.add("hello", "2:1.0", "amd64"), a.add("hello-data", "3.0~rc1+b1", "all")), time.Now(), first, k.signer())
	trust(t, h, a, k)
	a.publish(next)
	h.Updated(t)
	h.OK(t, "apt-get", "install", "hello", "hello-data")
	a.publish(build1(t, cloud, old, time.Now(), next, k.signer()))
	h.Updated(t)
	h.OK(t, "apt-get", "dist-upgrade")
	if got := h.Has(t, "hello", "amd64"); got != "2:1.0" {
		t.Errorf("without a pin there is %q already: it is not needed any more", got)
	}
	text, err := Pin(old)
	if err != nil {
		t.Fatal(err)
	}
	h.Write(t, "etc/apt/preferences.d/entrepot-rollback.pref", text)
	h.OK(t, "apt-get", "dist-upgrade", "--allow-downgrades")
	for name, want := range map[string]string{"hello amd64": "1:0.9+b2", "hello-data all": "1.10"} {
		name, architecture, _ := strings.Cut(name, " ")
		if got := h.Has(t, name, architecture); got != want {
			t.Errorf("%s is back at %q, want %q", name, got, want)
		}
		if candidate, _ := h.Policy(t, name); candidate != want {
			t.Errorf("apt would install %s %q, want %q", name, candidate, want)
		}
	}
}

func TestSetup_makes_a_host_take_packages(t *testing.T) {
	a, h, k := serve(t), apttest.NewHost(t), made(t, Ed25519, time.Now())
	a.publish(build1(t, cloud, hellos(a), time.Now(), nil, k.signer()))
	script, err := Setup(a.base(), "cloud-prod", []string{"dmp"}, a.base()+"/key.asc")
	if err != nil {
		t.Fatal(err)
	}
	fresh := t.TempDir() // as a minimal host has it: no folder for keyrings
	run := func() (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-s")
		cmd.Stdin = strings.NewReader(script)
		cmd.Env = append(h.Env(t), "DESTDIR="+fresh)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	files := func() map[string]string {
		all := map[string]string{}
		for _, folder := range []string{"keyrings", "sources.list.d"} {
			entries, err := os.ReadDir(fresh + "/etc/apt/" + folder)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for _, e := range entries {
				text, err := os.ReadFile(fresh + "/etc/apt/" + folder + "/" + e.Name())
				if err != nil {
					t.Fatal(err)
				}
				if info, err := e.Info(); err != nil || info.Mode() != 0o644 {
					t.Errorf("%s has the mode %v, %v", e.Name(), info.Mode(), err)
				}
				all[e.Name()] = string(text)
			}
		}
		return all
	}
	if out, err := run(); err == nil || !strings.Contains(out, "cannot fetch the keys") || len(files()) > 0 {
		t.Errorf("without keys: %v, %q are written\n%s", err, slices.Sorted(maps.Keys(files())), out)
	}
	a.key = []byte("<html>log in first</html>")
	if out, err := run(); err == nil || !strings.Contains(out, "there are no keys at") || len(files()) > 0 {
		t.Errorf("with a page: %v, %q are written\n%s", err, slices.Sorted(maps.Keys(files())), out)
	}
	if a.key, err = keyring([]*key{k}); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err != nil || strings.Count(out, " is written") != 2 {
		t.Fatalf("%v\n%s", err, out)
	}
	name := "entrepot-" + strings.ReplaceAll(strings.TrimPrefix(a.URL, "http://"), ":", "_")
	ring, sources := name+".asc", name+"_cloud-prod.sources"
	want := map[string]string{
		ring:    string(a.key),
		sources: fmt.Sprintf("Types: deb\nURIs: %s\nSuites: cloud-prod\nComponents: dmp\nSigned-By: /etc/apt/keyrings/%s\n", a.base(), ring),
	}
	if !maps.Equal(files(), want) {
		t.Errorf("there is %q, want %q", files(), want)
	}
	if out, err := run(); err != nil || strings.Contains(out, " is written") || !maps.Equal(files(), want) {
		t.Errorf("the second time: %v\n%s", err, out)
	}
	for former, stays := range map[string]bool{want[sources]: false, "URIs: http://other.example.com/apt\nSuites: cloud-prod\n": true} {
		name := fresh + "/etc/apt/sources.list.d/entrepot-cloud-prod.sources" // as the script called it once
		if err := os.WriteFile(name, []byte(former), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := run()
		if _, there := files()["entrepot-cloud-prod.sources"]; err != nil || there != stays {
			t.Errorf("beside a source called as before, of\n%s: it stays: %t, %v\n%s", former, there, err, out)
		}
		if err := os.Remove(name); err != nil && stays {
			t.Fatal(err)
		}
	}
	young := made(t, Ed25519, time.Now())
	if a.key, err = keyring([]*key{k, young}); err != nil {
		t.Fatal(err)
	}
	if out, err := run(); err != nil || strings.Count(out, " is written") != 1 || files()[ring] != string(a.key) {
		t.Errorf("with a new key: %v\n%s", err, out)
	}
	for cut := range len(script) - 2 { // as it arrives over a line that breaks
		if cut%97 != 0 {
			continue
		}
		whole := script
		script = script[:cut]
		if run(); len(files()) != 2 || files()[ring] != string(a.key) {
			t.Fatalf("a script of %d bytes writes %q", cut, files())
		}
		script = whole
	}
	// The host is in a folder here, and the path of its keyring is one of the machine.
	h.Write(t, "etc/apt/keyrings/"+ring, files()[ring])
	h.Write(t, "etc/apt/sources.list.d/"+sources, strings.Replace(files()[sources], "/etc/apt/keyrings", h.Path("etc/apt/keyrings"), 1))
	h.Updated(t)
	if candidate, _ := h.Policy(t, "hello"); candidate != "1:0.9+b2" {
		t.Errorf("apt would install %q", candidate)
	}
}
