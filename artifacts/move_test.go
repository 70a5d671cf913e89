package artifacts

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
)

var prod = Place{"cloud", "prod"}

// release pushes a good version of a component: an image, and a package if deb says so.
func (h *house) release(name, number string, withDeb bool, needs ...string) {
	h.t.Helper()
	parts := strings.Split(name, "/")
	d := h.must(h.push(name, h.image(name, "amd64", "", number, ""), number))
	h.ok(h.attach(name, "manifest.yaml", manifestYAML("docker", number, d, "2026-01-01T00:00:00Z"), d))
	if withDeb {
		pkg := debtest.Build(debtest.Spec{Package: parts[2], Version: number + "-1", Arch: "amd64"})
		p := h.must(h.push(name, h.files(name, "", "", map[string][]byte{"x.deb": pkg}), "deb-"+number))
		h.ok(h.attach(name, "manifest.yaml", manifestYAML("deb", number+"-1", digest.FromBytes(pkg), "2026-01-01T00:00:00Z"), p))
	}
	text := fmt.Sprintf("architecture: amd64\ndomains: [cloud]\nenvironments: [staging, prod]\ngroup: %s\nservice_name: %s\nteam: ingestion\n", parts[1], parts[2])
	if len(needs) > 0 {
		text += "dependencies: [\"" + strings.Join(needs, `", "`) + "\"]\n"
	}
	h.ok(h.attach(name, "metadata.yaml", text, d))
	if _, err := h.Owner(h.t.Context(), parts[0]+"/"+parts[1]); err != nil {
		h.ok(h.attach(parts[0]+"/"+parts[1], "ownership.yaml", ownershipYAML, "", "ownership"))
	}
}

func (h *house) move(o Order) (Move, error) {
	h.t.Helper()
	return h.Move(journal.By(h.t.Context(), journal.Actor{Name: "user:bob"}), o)
}

func (h *house) promote(name, number string, at Place) Move {
	h.t.Helper()
	m, err := h.move(Order{Kind: Promotion, Component: name, Place: at, Version: number})
	h.ok(err)
	return m
}

// refusedFor checks that a move was refused, for these reasons and no others.
func refusedFor(t testing.TB, err error, code RefusedCode, rules ...string) {
	t.Helper()
	var r *Refused
	if !errors.As(err, &r) {
		t.Errorf("it is not refused: %v", err)
		return
	}
	var got []string
	for _, reason := range r.Reasons {
		got = append(got, reason.Rule)
	}
	if r.Code != code || strings.Join(got, " ") != strings.Join(rules, " ") {
		t.Errorf("%s for %v: %v; want %s for %v", r.Code, got, err, code, rules)
	}
}

// TestMove_promotes_and_rolls_back a component: the tag, the rows and the record say the same.
func TestMove_promotes_and_rolls_back(t *testing.T) {
	h := build(t)
	for _, number := range []string{"1.0.2", "1.0.3", "1.0.4"} {
		h.release(service, number, false)
	}
	at := func(number string, former ...string) {
		t.Helper()
		d, err := h.Deployed(t.Context(), service, prod)
		if err != nil || d.Version != number || strings.Join(d.Former, " ") != strings.Join(former, " ") {
			t.Errorf("%+v, %v; want %s after %v", d, err, number, former)
		}
		named, err := h.reg.Stored(t.Context(), service, "cloud.prod")
		if err != nil || named.Digest != h.version(number).Formats[Docker].Digest || named.Digest != d.Digest || named.By != "user:bob" {
			t.Errorf("cloud.prod names %+v, %v", named, err)
		}
	}
	first := h.promote(service, "v1.0.2", prod)
	at("1.0.2")
	if again := h.promote(service, "1.0.2", prod); again.ID != first.ID || !again.Already || first.Already {
		t.Errorf("what was so already was done again: %+v", again)
	}
	h.promote(service, "1.0.3", prod)
	h.promote(service, "1.0.4", prod)
	at("1.0.4", "1.0.3", "1.0.2")
	back, err := h.move(Order{Kind: Rollback, Component: service, Place: prod, Reason: "it leaks"})
	if err != nil || back.From != "1.0.4" || back.To != "1.0.3" || back.Reason != "it leaks" || back.By != "user:bob" {
		t.Errorf("%+v, %v", back, err)
	}
	at("1.0.3", "1.0.2")
	if _, err := h.move(Order{Kind: Rollback, Component: service, Place: prod, Version: "1.0.2"}); err != nil {
		t.Error(err)
	}
	at("1.0.2")
	_, err = h.move(Order{Kind: Rollback, Component: service, Place: prod})
	refusedFor(t, err, NotThere, "rollback.first")
	var history []string
	for m, err := range h.Moves(t.Context(), MoveQuery{Component: service}) {
		h.ok(err)
		history = append(history, fmt.Sprintf("%s %s→%s", m.Kind, m.From, m.To))
	}
	if got := strings.Join(history, ", "); got != "rollback 1.0.3→1.0.2, rollback 1.0.4→1.0.3, promote 1.0.3→1.0.4, promote 1.0.2→1.0.3, promote →1.0.2" {
		t.Error(got)
	}
	expect := "1.0.4"
	_, err = h.move(Order{Kind: Promotion, Component: service, Place: prod, Version: "1.0.3", Expect: &expect})
	refusedFor(t, err, Changed, "promotion.expected")
	if err := h.reg.DeleteTag(t.Context(), service, "1.0.2", nil); registry.Code(err) != registry.Denied {
		t.Errorf("a deployed version is deleted: %v", err)
	}
	if err := h.reg.DeleteTag(t.Context(), service, "cloud.prod", nil); registry.Code(err) != registry.Denied {
		t.Errorf("a domain tag is deleted: %v", err)
	}
	if _, err := h.move(Order{Kind: Withdrawal, Component: service, Place: prod}); err != nil {
		t.Error(err)
	}
	if _, err := h.Deployed(t.Context(), service, prod); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if _, err := h.reg.Stored(t.Context(), service, "cloud.prod"); registry.Code(err) != registry.ManifestUnknown {
		t.Errorf("the tag stays: %v", err)
	}
	h.ok(h.reg.DeleteTag(t.Context(), service, "1.0.2", nil))
}

// TestMove_is_judged by all rules at once.
func TestMove_is_judged(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.2", false, "common-utils >=1.2.0")
	h.must(h.push(service, h.image(service, "amd64", "", "bare", ""), "1.0.3"))
	order := func(number string, at Place) error {
		_, err := h.move(Order{Kind: Promotion, Component: service, Place: at, Version: number})
		return err
	}
	refusedFor(t, order("9.9.9", prod), NotThere, "promotion.version")
	refusedFor(t, order("nonsense", prod), Malformed, "promotion.malformed")
	refusedFor(t, order("1.0.2", Place{"ran", "dev"}), AgainstIt, "promotion.domain", "promotion.environment", "promotion.dependency")
	refusedFor(t, order("1.0.3", prod), AgainstIt, "promotion.good", "promotion.good")
	err := order("1.0.2", prod)
	refusedFor(t, err, AgainstIt, "promotion.dependency")
	if !strings.Contains(err.Error(), "common-utils >=1.2.0") {
		t.Error(err)
	}
	const utils = "cloud/base/common-utils"
	h.release(utils, "1.1.0", false)
	h.release(utils, "1.2.0", false)
	h.promote(utils, "1.1.0", prod)
	if err := order("1.0.2", prod); err == nil || !strings.Contains(err.Error(), utils+" 1.1.0 is deployed in cloud.prod") {
		t.Error(err)
	}
	h.promote(utils, "1.2.0", prod)
	h.ok(order("1.0.2", prod))
	_, err = h.move(Order{Kind: Rollback, Component: utils, Place: prod})
	refusedFor(t, err, AgainstIt, "promotion.dependent")
	_, err = h.move(Order{Kind: Withdrawal, Component: utils, Place: prod})
	refusedFor(t, err, AgainstIt, "promotion.dependent")
	m, err := h.move(Order{Kind: Rollback, Component: utils, Place: prod, Force: true})
	if err != nil || !m.Forced || len(m.Findings) != 1 {
		t.Errorf("%+v, %v", m, err)
	}
	// The record is told to each by what they may see; of an old one nobody has noted what it names.
	kept, err := h.MoveOf(t.Context(), m.ID)
	h.ok(err)
	all, few := func(string) bool { return true }, func(c string) bool { return c == utils }
	if seen := kept.For(all); len(seen.Findings) != 1 || !strings.Contains(seen.Findings[0], service) || seen.Names != nil {
		t.Errorf("to who may see all it is told as %+v", seen)
	}
	if seen := kept.For(few); len(seen.Findings) != 1 || strings.Contains(seen.Findings[0], service) || seen.Names != nil {
		t.Errorf("to who may not see %s it is told as %+v", service, seen)
	}
	if kept.Names = nil; strings.Contains(kept.For(few).Findings[0], service) {
		t.Errorf("an old record is told as %+v", kept.For(few))
	}
	// Names of what one may not see are told to nobody.
	_, err = h.move(Order{Kind: Promotion, Component: service, Place: Place{"cloud", "staging"}, Version: "1.0.2", May: func(c string) bool { return c == service }})
	if refusedFor(t, err, AgainstIt, "promotion.dependency"); err != nil && strings.Contains(err.Error(), "cloud/base") {
		t.Error(err)
	}
	_, err = h.move(Order{Kind: Withdrawal, Component: utils, Place: prod, May: func(c string) bool { return c == utils }})
	if err != nil && strings.Contains(err.Error(), service) {
		t.Error(err)
	}
	h.promote(utils, "1.1.0", prod)
	needs, err := h.Dependencies(t.Context(), service, "1.0.2", &prod)
	if err != nil || len(needs) != 1 || needs[0].Needs != utils || needs[0].Met || needs[0].By != "1.1.0" {
		t.Errorf("%+v, %v", needs, err)
	}
	for d, err := range h.Dependents(t.Context(), utils) {
		if err != nil || d.Component != service || d.Version != "1.0.2" || !d.Met {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

// listed returns the packages that a suite lists, read from its published files.
func (h *house) listed(name string) string {
	h.t.Helper()
	s, err := h.Suite(h.t.Context(), name)
	h.ok(err)
	f, ok := s.Find(strings.Split(service, "/")[1] + "/binary-amd64/Packages")
	if !ok {
		h.t.Fatal("the suite has no list")
	}
	_, content, err := h.reg.OpenBlob(h.t.Context(), SuiteRepo(name), digest.Digest("sha256:"+f.SHA256))
	h.ok(err)
	defer content.Close()
	text, err := io.ReadAll(content)
	h.ok(err)
	var all []string
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return strings.Join(all, " ")
}

// TestMove_publishes the apt suite with it.
func TestMove_publishes(t *testing.T) {
	h := build(t)
	for _, number := range []string{"1.0.2", "1.0.3", "1.0.4"} {
		h.release(service, number, true)
	}
	h.promote(service, "1.0.2", prod)
	if got := h.listed("cloud-prod"); got != "1.0.2-1" {
		t.Error(got)
	}
	h.promote(service, "1.0.4", prod)
	if got := h.listed("cloud-prod"); got != "1.0.2-1 1.0.4-1" {
		t.Errorf("the one that was there before is not listed, too: %s", got)
	}
	h.promote(service, "1.0.3", prod)
	if got := h.listed("cloud-prod"); got != "1.0.2-1 1.0.3-1" {
		t.Errorf("a version above what is deployed is listed: %s", got)
	}
	_, err := h.move(Order{Kind: Rollback, Component: service, Place: prod, Version: "1.0.2"})
	h.ok(err)
	if got := h.listed("cloud-prod"); got != "1.0.2-1" {
		t.Error(got)
	}
	dates := 0
	for range h.Snapshots(t.Context(), "cloud-prod") {
		dates++
	}
	if dates != 4 {
		t.Errorf("%d snapshots after 4 moves", dates)
	}
	f, err := h.Pooled(t.Context(), service, "ms-ingestion_1.0.3-1_amd64.deb")
	if err != nil || f.Package.Version != "1.0.3-1" {
		t.Error(f, err)
	}
	for file, want := range map[string]bool{f.Name: true, "ms-ingestion_1.0.9-1_amd64.deb": false} {
		if in, err := h.InSuite(t.Context(), "cloud-prod", service, file); in != want || err != nil {
			t.Errorf("%s is or was in the suite: %t, %v", file, in, err)
		}
	}
	h.release(service, "2.0.0", true)
	if in, err := h.InSuite(t.Context(), "cloud-prod", service, "ms-ingestion_2.0.0-1_amd64.deb"); in || err != nil {
		t.Errorf("what was never deployed there is in the suite: %v", err)
	}
	// The repository of suites is the registry's own.
	if _, err := h.push("apt/cloud-prod", h.files("apt/cloud-prod", "", "", map[string][]byte{"x": nil}), "x"); registry.Code(err) != registry.Denied {
		t.Errorf("somebody pushed into a suite's repository: %v", err)
	}
}

// TestMove_at_once: many who move components of one place at once all succeed, and are published in few snapshots.
func TestMove_at_once(t *testing.T) {
	h := build(t)
	const n = 40
	name := func(i int) string { return fmt.Sprintf("cloud/dmp/svc-%d", i) }
	for i := range n {
		h.release(name(i), "1.0.0", true)
	}
	var wg sync.WaitGroup
	errs := make([]error, n+1)
	for i := range n {
		wg.Go(func() {
			_, errs[i] = h.Move(t.Context(), Order{Kind: Promotion, Component: name(i), Place: prod, Version: "1.0.0"})
		})
	}
	wg.Go(func() {
		_, errs[n] = h.Move(t.Context(), Order{Kind: Promotion, Component: name(0), Place: prod, Version: "7.0.0"})
	})
	wg.Wait()
	refusedFor(t, errs[n], NotThere, "promotion.version")
	h.ok(errors.Join(errs[:n]...))
	if got := strings.Count(h.listed("cloud-prod"), "1.0.0-1"); got != n {
		t.Errorf("%d of %d packages are listed", got, n)
	}
	row, _, err := readSuite(t.Context(), h.index, "cloud-prod")
	if err != nil || row.Serial > n/2 {
		t.Errorf("%d moves took %d snapshots: %v", n, row.Serial, err)
	}
}

// TestMove_conflict: two components cannot bring the same package with other bytes into one suite.
func TestMove_conflict(t *testing.T) {
	h := build(t)
	h.release(service, "1.0.0", true)
	const other = "cloud/xtra/ms-ingestion"
	h.release(other, "1.0.0", false)
	pkg := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: "1.0.0-1", Arch: "amd64", Files: map[string]string{"usr/x": "other bytes"}})
	h.must(h.push(other, h.files(other, "", "", map[string][]byte{"x.deb": pkg}), "deb-1.0.0"))
	d := h.version2(other, "1.0.0").Formats[Deb].Digest
	h.ok(h.attach(other, "manifest.yaml", manifestYAML("deb", "1.0.0-1", digest.FromBytes(pkg), "2026-01-01T00:00:00Z"), d))
	h.promote(service, "1.0.0", prod)
	_, err := h.move(Order{Kind: Promotion, Component: other, Place: prod, Version: "1.0.0"})
	refusedFor(t, err, AgainstIt, "promotion.package")
	if _, err := h.Deployed(t.Context(), other, prod); !errors.Is(err, ErrUnknown) {
		t.Errorf("half of it was done: %v", err)
	}
}

func (h *house) version2(name, number string) Version {
	h.t.Helper()
	v, err := h.Version(h.t.Context(), name, number)
	h.ok(err)
	return v
}

// TestMove_without_image: the domain tag names an index of the formats, which nobody has to push.
func TestMove_without_image(t *testing.T) {
	h := build(t)
	pkg := debtest.Build(debtest.Spec{Package: "tool", Version: "2.0.0", Arch: "all"})
	const tool = "cloud/dmp/tool"
	d := h.must(h.push(tool, h.files(tool, "", "", map[string][]byte{"x.deb": pkg}), "deb-2.0.0"))
	h.ok(h.attach(tool, "manifest.yaml", manifestYAML("deb", "2.0.0", digest.FromBytes(pkg), "2026-01-01T00:00:00Z"), d))
	h.ok(h.attach(tool, "metadata.yaml", "architecture: all\ndomains: [cloud]\nenvironments: [prod]\ngroup: dmp\nservice_name: tool\nteam: x\n", d))
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	m := h.promote(tool, "2.0.0", prod)
	stored, err := h.reg.Stored(t.Context(), tool, "release-2.0.0")
	if err != nil || stored.Digest != m.Digest {
		t.Errorf("%v, %v, want %s", stored, err, m.Digest)
	}
	_, body, err := h.reg.Manifest(t.Context(), tool, "cloud.prod")
	if err != nil || Classify(body) != Release || !strings.Contains(string(body), string(d)) {
		t.Errorf("%s, %v", body, err)
	}
}

// TestFiles_at_a_time: the index files are those of now, or of then.
func TestFiles_at_a_time(t *testing.T) {
	h := build(t)
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	h.Catalog.now = func() time.Time { now = now.Add(time.Hour); return now }
	h.release(service, "1.0.2", false)
	h.promote(service, "1.0.2", prod)
	then := now
	h.release(service, "1.0.3", false)
	h.promote(service, "1.0.3", prod)
	for at, want := range map[time.Time]string{{}: "1.0.3", then: "1.0.2"} {
		c, err := h.ComponentsFile(t.Context(), at, nil)
		if err != nil || len(c.Components) != 1 || c.Components[0].Name != service || c.Components[0].Version != want {
			t.Errorf("%+v, %v, want %s", c, err, want)
		}
		d, err := h.DomainFile(t.Context(), prod, at, nil)
		if err != nil || len(d.Components) != 1 || d.Components[0].Version != want {
			t.Errorf("%+v, %v, want %s", d, err, want)
		}
	}
	hidden, err := h.ComponentsFile(t.Context(), time.Time{}, func(string) bool { return false })
	if err != nil || len(hidden.Components) != 0 {
		t.Error(hidden, err)
	}
	early, err := h.ComponentsFile(t.Context(), time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), nil)
	if err != nil || len(early.Components) != 0 {
		t.Error(early, err)
	}
}
