package artifacts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/blob"
	"github.com/entrepot/entrepot/storage/blob/blobtest"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// medium is a house whose floors fail on command, and whose clock is the test's.
type medium struct {
	*house
	rows   kv.DB // that do not fail
	store  blob.Store
	blobs  *blobtest.FaultyStore
	points map[string]points
	other  *otherDB
	time   time.Time
}

// points are where a floor can fail.
type points interface {
	FailAt(n int, err error)
	Calls() int
}

// otherDB lets somebody else do something just before the n-th call.
type otherDB struct {
	kv.DB
	calls, at int
	do        func()
}

func (o *otherDB) call() {
	if o.calls++; o.calls == o.at {
		do := o.do
		o.do = nil
		do()
	}
}

func (o *otherDB) Get(ctx context.Context, key string) ([]byte, error) {
	o.call()
	return o.DB.Get(ctx, key)
}

func (o *otherDB) Scan(ctx context.Context, from, to string) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		o.call()
		o.DB.Scan(ctx, from, to)(yield)
	}
}

func (o *otherDB) Update(ctx context.Context, fn func(kv.Tx) error) error {
	o.call()
	return o.DB.Update(ctx, fn)
}

const (
	plainPart = "cloud/dmp/without-packages"
	toolPart  = "cloud/dmp/without-image"
)

// onMedium opens a house on what is in the stores.
func onMedium(t testing.TB, index kv.DB, blobs blob.Store, now time.Time) *medium {
	t.Helper()
	late := kvtest.Late(index)
	m := &medium{rows: index, store: blobs, blobs: blobtest.Faulty(blobs), other: &otherDB{DB: late}, time: now}
	db := kvtest.Faulty(m.other)
	m.points = map[string]points{"index": db, "index, after the commit": late, "blobs": m.blobs}
	m.house = &house{t: t, index: db}
	tick := func() time.Time { m.time = m.time.Add(3 * time.Second); return m.time }
	keys, err := suite.OpenKeys(suite.KeysConfig{Index: db, Service: "registry.example.com"})
	m.ok(err)
	m.Catalog = New(Config{Index: db, Keys: keys, Now: tick})
	m.reg, err = registry.Open(context.Background(), registry.Config{Blobs: m.blobs, Index: db, Admissions: []registry.Admission{m.Catalog}, Now: tick})
	m.ok(err)
	m.ok(m.Prepare(context.Background(), m.reg))
	return m
}

// threeParts builds a house with three components at cloud.prod, whose second versions are good and deployed nowhere.
func threeParts(t testing.TB) *medium {
	t.Helper()
	m := onMedium(t, kv.NewMemory(), blob.NewMemory(), time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC))
	for _, number := range []string{"1.0.2", "1.0.3"} {
		m.release(service, number, true)
		m.release(plainPart, number, false)
		m.tool(number)
	}
	for _, name := range []string{service, plainPart, toolPart} {
		m.promote(name, "1.0.2", prod)
	}
	return m
}

// copy opens a house that has the same in stores of its own.
func (m *medium) copy() *medium {
	m.t.Helper()
	ctx, index, blobs := m.t.Context(), kv.NewMemory(), blob.NewMemory()
	m.ok(index.Update(ctx, func(tx kv.Tx) error {
		for row, err := range m.rows.Scan(ctx, "", "") {
			if err != nil {
				return err
			}
			tx.Put(row.Key, row.Value)
		}
		return nil
	}))
	for info, err := range m.store.List(ctx) {
		m.ok(err)
		content, err := m.store.Open(ctx, info.Digest, 0)
		m.ok(err)
		name := info.Digest.Encoded()
		_, err = blobs.Append(ctx, name, 0, content)
		m.ok(errors.Join(err, content.Close(), blobs.Commit(ctx, name, info.Digest)))
	}
	return onMedium(m.t, index, blobs, m.time)
}

// tool releases a version that is a package alone. It says so much of itself, and so little that can be packed, that a suite's lists lie in files.
func (m *medium) tool(number string) {
	m.t.Helper()
	var notes strings.Builder
	for i := range 300 {
		fmt.Fprintf(&notes, " %x\n", sha256.Sum256(fmt.Append(nil, number, i)))
	}
	pkg := debtest.Build(debtest.Spec{Package: path.Base(toolPart), Version: number, Arch: "amd64", More: "Notes: what it is made of\n" + notes.String()})
	d := m.must(m.push(toolPart, m.files(toolPart, "", "", map[string][]byte{"x.deb": pkg}), "deb-"+number))
	m.ok(m.attach(toolPart, "manifest.yaml", manifestYAML("deb", number, digest.FromBytes(pkg), "2026-01-01T00:00:00Z"), d))
	m.ok(m.attach(toolPart, "metadata.yaml", "architecture: amd64\ndomains: [cloud]\nenvironments: [prod]\ngroup: dmp\nservice_name: "+path.Base(toolPart)+"\nteam: x\n", d))
}

// failAt lets the n-th call of a floor fail, and nothing else; "" lets nothing fail.
func (m *medium) failAt(floor string, n int, err error) {
	for name, p := range m.points {
		if p.FailAt(0, nil); name == floor {
			p.FailAt(n, err)
		}
	}
}

// agree checks that all that tells what is deployed at cloud.prod says the same, and returns it: the version of each component.
func (m *medium) agree(when string) map[string]string {
	m.t.Helper()
	ctx, there := m.t.Context(), map[string]string{}
	wrong := func(format string, args ...any) {
		m.t.Helper()
		m.t.Errorf("%s: %s", when, fmt.Sprintf(format, args...))
	}
	var want []string
	for _, name := range []string{service, plainPart, toolPart} {
		d, err := m.Deployed(ctx, name, prod)
		if err != nil && !errors.Is(err, ErrUnknown) {
			m.t.Fatal(err)
		}
		there[name] = d.Version
		named, err := m.reg.Stored(ctx, name, prod.Tag())
		if err != nil && registry.Code(err) != registry.ManifestUnknown || named.Digest != d.Digest {
			wrong("%s: the tag names %q (%v), the row says %q", name, named.Digest, err, d.Digest)
		}
		found := 0
		for row, err := range m.DeployedOf(ctx, name) {
			if found++; err != nil || row.Version != d.Version {
				wrong("%s: it is found where %+v is, %v", name, row, err)
			}
		}
		if (found == 1) != (d.Version != "") {
			wrong("%s: it is found at %d places, and %q is deployed", name, found, d.Version)
		}
		var newest Move
		for last, err := range m.Moves(ctx, MoveQuery{Component: name, Place: &prod}) {
			newest = last
			m.ok(err)
			break
		}
		if newest.To != d.Version || newest.Digest != d.Digest || d.Version != "" && newest.ID != d.Move {
			wrong("%s: the last move is %+v, the row says %+v", name, newest, d)
		}
		if d.Version == "" {
			continue
		}
		v := m.version2(name, d.Version)
		if is := v.Formats[Docker].Digest; is != d.Digest && v.Formats[Release].Digest != d.Digest {
			wrong("%s: %s is deployed, and is not version %s: %+v", name, d.Digest, d.Version, v.Formats)
		}
		listed, err := packagesOf(ctx, m.index, d)
		m.ok(err)
		for _, p := range listed {
			want = append(want, p.Filename+" "+p.SHA256)
		}
	}
	slices.Sort(want)
	if got := m.suiteOnTheShelf(when); strings.Join(got, "\n") != strings.Join(want, "\n") {
		wrong("the suite lists\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if _, err := registry.Verify(ctx, m.blobs, m.index, func(problem string) { wrong("%s", problem) }); err != nil {
		wrong("%v", err)
	}
	return there
}

// suiteOnTheShelf returns which packages the published suite lists, after it has read every file of every snapshot that is kept.
func (m *medium) suiteOnTheShelf(when string) (all []string) {
	m.t.Helper()
	ctx, name := m.t.Context(), prod.Suite()
	now, err := m.Suite(ctx, name)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	m.ok(err)
	newest := false
	for date, err := range m.Snapshots(ctx, name) {
		m.ok(err)
		s, err := m.SuiteAt(ctx, name, date)
		m.ok(err)
		newest = date.Equal(now.Date)
		for file, f := range s.Files {
			text, err := m.read(name, f)
			if sum := sha256.Sum256(text); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 {
				m.t.Errorf("%s: %s of the snapshot of %s: %d bytes, %v", when, file, date, len(text), err)
			}
			if !newest || path.Base(file) != "Packages" {
				continue
			}
			for stanza := range strings.SplitSeq(string(text), "\n\n") {
				at, sum := "", ""
				for line := range strings.Lines(stanza) {
					if value, ok := strings.CutPrefix(line, "Filename: "); ok {
						at = strings.TrimSpace(value)
					}
					if value, ok := strings.CutPrefix(line, "SHA256: "); ok {
						sum = strings.TrimSpace(value)
					}
				}
				if at != "" {
					all = append(all, at+" "+sum)
				}
			}
		}
	}
	if !newest {
		m.t.Errorf("%s: the suite of %s is published, and is not the last snapshot", when, now.Date)
	}
	slices.Sort(all)
	return all
}

func (m *medium) read(name string, f suite.File) ([]byte, error) {
	_, content, err := m.reg.OpenBlob(m.t.Context(), SuiteRepo(name), digest.NewDigestFromEncoded(digest.SHA256, f.SHA256))
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}

// orders are what is tried, each with what must be deployed then of its component.
var orders = map[string]struct {
	before []Order // that are followed first
	past   bool    // whether there are snapshots that go with the next one
	Order
	then string
}{
	"promotion":        {nil, false, Order{Kind: Promotion, Component: service, Version: "1.0.3"}, "1.0.3"},
	"without packages": {nil, false, Order{Kind: Promotion, Component: plainPart, Version: "1.0.3"}, "1.0.3"},
	"without an image": {nil, false, Order{Kind: Promotion, Component: toolPart, Version: "1.0.3"}, "1.0.3"},
	"rollback":         {[]Order{{Kind: Promotion, Component: service, Version: "1.0.3"}}, false, Order{Kind: Rollback, Component: service}, "1.0.2"},
	"withdrawal":       {nil, false, Order{Kind: Withdrawal, Component: service}, ""},
	"nothing before":   {[]Order{{Kind: Withdrawal, Component: service}}, false, Order{Kind: Promotion, Component: service, Version: "1.0.2"}, "1.0.2"},
	"old snapshots go": {nil, true, Order{Kind: Promotion, Component: service, Version: "1.0.3"}, "1.0.3"},
}

// TestMove_with_faults lets each call of each floor fail once while an order is followed: all that tells of it stays as it was, or changes together, and the
// same order succeeds next.
func TestMove_with_faults(t *testing.T) {
	broken := errors.New("input/output error")
	for name, c := range orders {
		for _, floor := range []string{"index", "index, after the commit", "blobs"} {
			t.Run(name+"/"+floor, func(t *testing.T) {
				t.Parallel()
				first := threeParts(t)
				for _, o := range c.before {
					o.Place = prod
					_, err := first.move(o)
					first.ok(err)
				}
				if c.past {
					first.publishOften()
				}
				before := first.agree("before")
				n := 1 + rand.IntN(stride)
				for ; n < 2000; n += stride {
					m := first.copy()
					o := c.Order
					o.Place = prod
					m.failAt(floor, n, broken)
					_, err := m.move(o)
					reached := m.points[floor].Calls() >= n
					m.failAt("", 0, nil)
					when := fmt.Sprintf("%s fails at %d", floor, n)
					if err != nil && !errors.Is(err, broken) {
						t.Errorf("%s: %v, which does not tell the cause", when, err)
					}
					if err != nil && !reached {
						t.Errorf("nothing failed, but %v", err)
					}
					after := m.agree(when)
					if err == nil && after[o.Component] != c.then {
						t.Errorf("%s: it is answered well, and %q is deployed", when, after[o.Component])
					}
					if is := after[o.Component]; is != c.then && is != before[o.Component] {
						t.Errorf("%s: %q is deployed, before it was %q", when, is, before[o.Component])
					}
					m.repeat(when, o, after[o.Component] == c.then)
					if is := m.agree(when + ", and then all is well")[o.Component]; is != c.then {
						t.Errorf("%s, and then all is well: %q is deployed", when, is)
					}
					if t.Failed() || !reached {
						break
					}
				}
				t.Logf("%d points of failure", n-1)
				if listed := name != "without packages"; n < 2 && stride == 1 && (listed || floor != "blobs") {
					t.Error("nothing could fail")
				}
			})
		}
	}
}

// repeat gives an order again. A promotion that was followed though the answer was an error is no change; the others find that there is nothing to do.
func (m *medium) repeat(when string, o Order, done bool) {
	m.t.Helper()
	if done && o.Kind != Promotion {
		return
	}
	if _, err := m.move(o); err != nil {
		m.t.Errorf("%s, and then all is well: %v", when, err)
	}
}

// publishOften makes so many snapshots, so long ago, that the next publication lets go of some.
func (m *medium) publishOften() {
	m.t.Helper()
	for range suite.KeepSnapshots/2 + 1 {
		m.promote(service, "1.0.3", prod)
		_, err := m.move(Order{Kind: Rollback, Component: service, Place: prod})
		m.ok(err)
	}
	m.time = m.time.Add(2 * suite.KeepFor)
}

// TestMove_beside_others lets somebody else change the versions that a suite lists at each moment of a promotion: whatever comes first, the suite lists what
// there is when all is done and the suites were looked after.
func TestMove_beside_others(t *testing.T) {
	grown := func(m *medium, number string) error {
		amd := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: number + "-1", Arch: "amd64"})
		arm := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: number + "-1", Arch: "arm64"})
		both := m.files(service, "", "", map[string][]byte{"x.deb": amd})
		both.Layers = append(both.Layers, m.blob(service, "application/octet-stream", "y.deb", arm))
		_, err := m.push(service, both, "deb-"+number)
		return err
	}
	for name, do := range map[string]func(m *medium) error{
		"a package is added to the version that is promoted": func(m *medium) error { return grown(m, "1.0.3") },
		"a package is added to the version before":           func(m *medium) error { return grown(m, "1.0.2") },
		"the version that is promoted is deleted":            func(m *medium) error { return m.reg.DeleteTag(m.t.Context(), service, "deb-1.0.3", nil) },
		"the version before is deleted":                      func(m *medium) error { return m.reg.DeleteTag(m.t.Context(), service, "deb-1.0.2", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, n := threeParts(t), 1+rand.IntN(stride)
			for ; n < 500; n += stride {
				m := first.copy()
				m.other.calls, m.other.at, m.other.do = 0, n, func() {
					if err := do(m); err != nil && registry.Code(err) != registry.Denied {
						t.Errorf("at %d: %v", n, err)
					}
				}
				_, err := m.move(Order{Kind: Promotion, Component: service, Place: prod, Version: "1.0.3"})
				reached := m.other.do == nil
				m.other.at = 0
				if refused := (*Refused)(nil); err != nil && !errors.As(err, &refused) {
					t.Errorf("at %d: %v", n, err)
				}
				m.ok(m.tend(t.Context()))
				m.agree(fmt.Sprintf("before call %d", n))
				if t.Failed() || !reached {
					break
				}
			}
			if n < 10 {
				t.Errorf("only %d moments", n-1)
			}
		})
	}
}

// TestPrepare_judges_as_it_was_judged: what was good when it came is good when all is read anew, however much later and in whatever order of tags.
func TestPrepare_judges_as_it_was_judged(t *testing.T) {
	h := onMedium(t, kv.NewMemory(), blob.NewMemory(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	h.staleBuild = 30 * 24 * time.Hour
	h.ok(h.attach("cloud/dmp", "ownership.yaml", ownershipYAML, "", "ownership"))
	texts := map[string]string{}
	release := func(number, built string) digest.Digest {
		t.Helper()
		d := h.must(h.push(service, h.image(service, "amd64", sha[:39]+number[:1], number, ""), number))
		pkg := debtest.Build(debtest.Spec{Package: "ms-ingestion", Version: number + "-1", Arch: "arm64"})
		p := h.must(h.push(service, h.files(service, "", "", map[string][]byte{"x.deb": pkg}), "deb-"+number))
		texts[number] = manifestYAML("docker", number, d, built)
		h.ok(h.attach(service, "manifest.yaml", texts[number], d))
		h.ok(h.attach(service, "manifest.yaml", manifestYAML("deb", number, digest.FromBytes(pkg), built), p))
		h.ok(h.attach(service, "metadata.yaml", strings.Replace(metadataYAML, "amd64", "[amd64, arm64]", 1), d))
		return d
	}
	release("2.0.0", "2026-02-20T00:00:00Z")
	d := release("1.0.5", "2026-02-25T00:00:00Z") // a correction of an older line
	for i := range 6 {                            // the last one counts
		texts["1.0.5"] = manifestYAML("docker", "1.0.5", d, fmt.Sprintf("2026-02-25T00:00:%02dZ", i))
		h.ok(h.attach(service, "manifest.yaml", texts["1.0.5"], d))
	}
	look := func(when string) {
		t.Helper()
		for number, want := range texts {
			s, err := h.State(t.Context(), service, number)
			if err != nil || !s.Good || len(s.Findings) > 0 || s.Documents["docker"].Text != want {
				t.Errorf("%s: %s is good: %t, found %v, says\n%s\nwant\n%s", when, number, s.Good, s.Findings, s.Documents["docker"].Text, want)
			}
		}
		if c, err := h.Component(t.Context(), service); err != nil || c.Latest != "2.0.0" {
			t.Errorf("%s: latest is %q, %v", when, c.Latest, err)
		}
	}
	look("at first")
	h.time = h.time.Add(90 * 24 * time.Hour)
	h.clear(keyCatalog, prefixComponent, prefixVersion, prefixMade, prefixCommit, prefixDocument, prefixWaiting, prefixOwner, prefixPolicy, prefixPool, prefixNeed, prefixPast)
	h.ok(h.Prepare(t.Context(), h.reg))
	look("when all is read anew")
}

// TestPrepare_finds_suites by what their repositories hold, as hosts know them: the next date is later, and nothing that was there is missing.
func TestPrepare_finds_suites(t *testing.T) {
	m := threeParts(t)
	was, err := m.Suite(t.Context(), prod.Suite())
	m.ok(err)
	for _, name := range []string{service, toolPart} {
		_, err := m.move(Order{Kind: Withdrawal, Component: name, Place: prod})
		m.ok(err)
	}
	m.clear(keyCatalog, prefixDeployed, prefixAt, prefixMove, prefixMoved, prefixMovedAt, prefixSuite, prefixSnapshot)
	m.time = m.time.Add(-time.Hour)
	m.ok(m.Prepare(t.Context(), m.reg))
	m.ok(m.tend(t.Context()))
	now, err := m.Suite(t.Context(), prod.Suite())
	if err != nil || !now.Date.After(was.Date) {
		t.Fatalf("the suite of %s follows that of %s: %v", now.Date, was.Date, err)
	}
	if got, want := sortedKeys(now.Files), sortedKeys(was.Files); !slices.Equal(got, want) {
		t.Errorf("it has the files %v, and had %v", got, want)
	}
	m.agree("found again")
}
