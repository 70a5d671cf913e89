package crash

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/artifacts/deb/debtest"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// built is when the first version of each product was built: not so long ago that it is stale.
var built = time.Now().UTC().Truncate(time.Second).Add(-24 * time.Hour)

// domains are the places where versions are deployed, and processors what packages are for.
var (
	domains    = []string{"cloud.dev", "cloud.staging", "cloud.prod"}
	processors = []string{"amd64", "arm64"}
)

const picture = "image" // the part of an edition that is no package

// product is a component.
type product struct {
	name     string
	imaged   bool // its versions have an image besides their packages
	editions []*edition
}

func (p *product) group() string   { return strings.Split(p.name, "/")[1] }
func (p *product) service() string { return strings.Split(p.name, "/")[2] }

// edition is a version of a product: what it consists of, and how much of that is there.
type edition struct {
	product *product
	serial  int // what its number ends with
	arches  []string
	has     map[string]bool   // parts that were acknowledged: picture, or an architecture
	under   map[string]bool   // parts that are under way, and may be there or not
	says    map[string]string // documents that were acknowledged, by docker, deb, metadata
	saying  map[string]string // documents under way: they may have replaced those
	touched bool              // in this round
	changes int               // how often one of its documents was changed
}

func (p *product) edition(arches ...string) *edition {
	e := &edition{product: p, serial: len(p.editions), arches: arches, has: map[string]bool{}, under: map[string]bool{}, says: map[string]string{}, saying: map[string]string{}}
	p.editions = append(p.editions, e)
	return e
}

func (e *edition) number() string { return fmt.Sprintf("1.0.%d", e.serial) }

// numbered finds an edition by its number.
func (p *product) numbered(number string) *edition {
	for _, e := range p.editions {
		if e.number() == number {
			return e
		}
	}
	return nil
}

// parts are all that the edition is to have.
func (e *edition) parts() []string {
	if e.product.imaged {
		return append([]string{picture}, e.arches...)
	}
	return e.arches
}

// papers are the documents that it is to have.
func (e *edition) papers() []string {
	if e.product.imaged {
		return []string{"docker", "deb", "metadata"}
	}
	return []string{"deb", "metadata"}
}

// good tells whether everything was acknowledged that the edition is to have, so that it may be deployed.
func (e *edition) good() bool {
	for _, part := range e.parts() {
		if !e.has[part] {
			return false
		}
	}
	for _, paper := range e.papers() {
		if e.says[paper] == "" {
			return false
		}
	}
	return true
}

func (e *edition) packageVersion() string { return e.number() + "-1" }

func (e *edition) file(arch string) string {
	return e.product.service() + "_" + e.packageVersion() + "_" + arch + ".deb"
}

// deb is the package for an architecture: always the same bytes.
func (e *edition) deb(arch string) []byte {
	return debtest.Build(debtest.Spec{Package: e.product.service(), Version: e.packageVersion(), Arch: arch, Files: map[string]string{"usr/share/" + e.product.name: e.number()}})
}

func (e *edition) config() []byte {
	return wire.JSON(map[string]any{"os": "linux", "architecture": "amd64", "config": map[string]any{"Labels": map[string]string{"org.opencontainers.image.revision": e.commit()}}})
}

// commit is what the image says it was built from.
func (e *edition) commit() string {
	return digest.FromString(e.product.name + e.number()).Encoded()[:40]
}

func (e *edition) layer() []byte { return []byte("the files of " + e.product.name + " " + e.number()) }

func (e *edition) image() []byte {
	var m ocispec.Manifest
	m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
	m.Config = wire.Descriptor(ocispec.MediaTypeImageConfig, e.config())
	m.Layers = []ocispec.Descriptor{wire.Descriptor(ocispec.MediaTypeImageLayerGzip, e.layer())}
	return wire.JSON(m)
}

// paper writes a document of the edition, as it is after so many changes.
func (e *edition) paper(what string, changes int) string {
	if what == "metadata" {
		return fmt.Sprintf("architecture: [%s]\ndomains: [cloud]\nenvironments: [dev, staging, prod]\ngroup: %s\nservice_name: %s\nteam: crash\n",
			strings.Join(e.arches, ", "), e.product.group(), e.product.service())
	}
	number, of := e.number(), digest.FromBytes(e.image())
	if what == "deb" {
		number, of = e.packageVersion(), digest.FromBytes(e.deb(e.arches[0]))
	}
	return fmt.Sprintf("format: %s\nversion: %s\nsha256: %s\nbuilt_at: %s\nbase_image: debian:%d\n", what, number, of, built.Add(time.Duration(e.serial)*time.Second).Format(time.RFC3339), changes)
}

// step is a move of a domain tag, as the program tells of it.
type step struct {
	ID          string        `json:"id"`
	Kind        string        `json:"kind"`
	Component   string        `json:"component"`
	Domain      string        `json:"domain"`
	Environment string        `json:"environment"`
	From        string        `json:"from"`
	To          string        `json:"to"`
	FromDigest  digest.Digest `json:"fromDigest"`
	Digest      digest.Digest `json:"digest"`
}

func (s step) place() string { return s.Domain + "." + s.Environment }

// errand is an order to move a domain tag that is under way.
type errand struct {
	kind, component, place, version string // of a rollback, the version may be empty
}

// ledger is what is known about moves.
type ledger struct {
	mu    sync.Mutex
	steps map[string]step // by their ids: those that were acknowledged, or found when the program came back
	open  []errand        // without an answer, in this round
}

func (l *ledger) begin(e errand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = append(l.open, e)
}

// end notes the answer to an errand; a refusal has no step.
func (l *ledger) end(e errand, s *step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.Delete(l.open, slices.Index(l.open, e), slices.Index(l.open, e)+1)
	if s != nil {
		l.steps[s.ID] = *s
	}
}

// of returns the moves of a component at a place, the oldest first.
func (l *ledger) of(component, place string) (all []step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.steps {
		if s.Component == component && s.place() == place {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b step) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// mayBe takes one of the errands under way that a step that nobody was told of can be; false if there is none.
func (l *ledger) mayBe(s step) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.open, func(e errand) bool {
		return e.kind == s.Kind && e.component == s.Component && e.place == s.place() && (e.version == s.To || e.version == "")
	})
	if at < 0 {
		return false
	}
	l.open = slices.Delete(l.open, at, at+1)
	l.steps[s.ID] = s
	return true
}

// standing is what is deployed of a product at a place.
type standing struct {
	version string   // empty: nothing
	former  []string // to which it may be rolled back, the last one first
}

const remembered = 20 // versions

// after says where moves lead.
func after(steps []step) (s standing) {
	for _, m := range steps {
		at := slices.Index(s.former, m.To)
		switch {
		case m.To == "":
			s = standing{}
			continue
		case m.Kind == "rollback" && at >= 0:
			s.former = slices.Clone(s.former[at+1:])
		case s.version == "":
			s.former = nil
		default:
			s.former = slices.DeleteFunc(append([]string{s.version}, s.former...), func(v string) bool { return v == m.To })
			s.former = s.former[:min(len(s.former), remembered)]
		}
		s.version = m.To
	}
	return s
}

// listing is a package in a suite's list.
type listing struct {
	file   string // below the base URI
	size   int
	sha256 string
}

// listings are the packages that a suite must have of a product: those of the version that is deployed and those of versions before that rank below.
func (s standing) listings(p *product, arch string) (all []listing) {
	if s.version == "" {
		return nil
	}
	now := p.numbered(s.version)
	for _, number := range append([]string{s.version}, s.former...) {
		e := p.numbered(number)
		if e.serial > now.serial || !now.has[arch] || !e.has[arch] {
			continue
		}
		content := e.deb(arch)
		all = append(all, listing{"pool/" + p.name + "/" + e.file(arch), len(content), digest.FromBytes(content).Encoded()})
	}
	return all
}

// tagOf is the tag of what a domain tag must name for a version: its image or, without one, the index of its formats.
func (p *product) tagOf(number string) string {
	if p.imaged {
		return number
	}
	return "release-" + number
}

// shows is JSON with everything in its place, for comparing.
func shows(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
