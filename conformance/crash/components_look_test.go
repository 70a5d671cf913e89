package crash

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// scene is all that a test of components knows.
type scene struct {
	t        *testing.T
	reg      *wire.Registry
	products []*product
	ledger   *ledger
	suites   map[string]*suiteSeen
	known    map[string]bool    // keys of suites as they were served
	keys     openpgp.EntityList // all of them
	wrong    []string           // with the suite that is looked at
	lost     bool               // the index was lost: of moves, only where they led is known
}

// look checks that everything that was acknowledged is there, and that whatever tells of it says the same. What was under way is taken over as it is found.
func (s *scene) look(all bool) {
	s.t.Helper()
	for _, p := range s.products {
		s.lookAt(p, all)
	}
	stands := map[string]map[string]standing{} // by place and component
	for _, place := range domains {
		stands[place] = map[string]standing{}
		for _, p := range s.products {
			stands[place][p.name] = s.lookAtMoves(p, place)
		}
	}
	if left := s.ledger.open; len(left) > 0 {
		s.ledger.open = nil // these were not followed
	}
	for _, place := range domains {
		s.lookAtPlace(place, stands[place])
		s.lookAtSuite(place, stands[place], all)
	}
	for _, p := range s.products {
		s.lookAtTags(p, stands)
	}
	s.lookAtLatest()
	lookAtAudit(s.t, s.reg)
	for _, p := range s.products {
		for _, e := range p.editions {
			e.touched = false
		}
	}
}

// version is a version of a component, as the program tells of it.
type version struct {
	Version string
	Good    bool
	Commit  string
	Formats map[string]struct {
		Tag    string
		Digest digest.Digest
		Files  []struct {
			Name   string
			Digest digest.Digest
			Size   int
		}
	}
	Documents map[string]struct{ Text string }
	Findings  []json.RawMessage
}

// versions lists those of a product, by their numbers.
func (s *scene) versions(p *product) map[string]version {
	s.t.Helper()
	reply := s.reg.Do(s.t, "GET", "/api/v1/components/"+p.name+"/versions?limit=1000", nil).Want(s.t, 200, 404)
	var list struct{ Items []version }
	if reply.Status == 200 {
		reply.JSON(s.t, &list)
	}
	found := map[string]version{}
	for _, v := range list.Items {
		found[v.Version] = v
	}
	return found
}

// lookAt checks the versions of a product: each has the parts and the documents that were acknowledged, whole, and nothing that was never sent.
func (s *scene) lookAt(p *product, all bool) {
	s.t.Helper()
	found := s.versions(p)
	for _, e := range p.editions {
		v, there := found[e.number()]
		delete(found, e.number())
		if there && (all || e.touched) {
			s.reg.Do(s.t, "GET", "/api/v1/components/"+p.name+"/versions/"+e.number(), nil).Want(s.t, 200).JSON(s.t, &v)
			s.compareDocuments(e, v)
		}
		if !there && len(e.says) > 0 {
			s.t.Errorf("%s: version %s has documents and is not there", p.name, e.number())
		}
		s.compareParts(e, v)
		if there && v.Good != e.good() {
			s.t.Errorf("%s %s: that it is good is %t, want %t: %s, says %v, found %s", p.name, e.number(), v.Good, e.good(), shows(e.has), sortedNames(e.says), shows(v))
		}
		clear(e.under)
		clear(e.saying)
	}
	for number := range found {
		s.t.Errorf("%s: there is a version %s that nobody pushed", p.name, number)
	}
}

func (s *scene) compareParts(e *edition, v version) {
	s.t.Helper()
	is := map[string]bool{}
	if f, ok := v.Formats["docker"]; ok {
		if is[picture] = true; f.Digest != digest.FromBytes(e.image()) || f.Tag != e.number() || v.Commit != e.commit() {
			s.t.Errorf("%s %s: its image is %s", e.product.name, e.number(), shows(v))
		}
	}
	for _, f := range v.Formats["deb"].Files {
		for _, arch := range processors {
			if f.Name == e.file(arch) {
				if is[arch] = true; f.Digest != digest.FromBytes(e.deb(arch)) || f.Size != len(e.deb(arch)) {
					s.t.Errorf("%s %s: its package for %s is %s", e.product.name, e.number(), arch, shows(f))
				}
			}
		}
	}
	if len(v.Formats["deb"].Files) > len(is) {
		s.t.Errorf("%s %s: it has files that nobody pushed: %s", e.product.name, e.number(), shows(v))
	}
	for _, part := range append([]string{picture}, processors...) {
		switch {
		case is[part] && !e.has[part] && !e.under[part]:
			s.t.Errorf("%s %s: nobody pushed its %s", e.product.name, e.number(), part)
		case !is[part] && e.has[part]:
			s.t.Errorf("%s %s: its %s is gone", e.product.name, e.number(), part)
		}
		if delete(e.has, part); is[part] {
			e.has[part] = true
		}
	}
}

func (s *scene) compareDocuments(e *edition, v version) {
	s.t.Helper()
	for what, doc := range v.Documents {
		switch {
		case doc.Text == e.says[what]:
		case doc.Text == e.saying[what]:
			e.says[what] = doc.Text
		default:
			s.t.Errorf("%s %s: the document %s is\n%s\nwant\n%s\nor\n%s", e.product.name, e.number(), what, doc.Text, e.says[what], e.saying[what])
		}
	}
	for what := range e.says {
		if _, there := v.Documents[what]; !there {
			s.t.Errorf("%s %s: the document %s is gone", e.product.name, e.number(), what)
		}
	}
	if e.good() && len(v.Findings) > 0 {
		s.t.Errorf("%s %s: something is found to be wrong: %s", e.product.name, e.number(), shows(v.Findings))
	}
}

// lookAtMoves checks the moves of a product at a place, and says where they lead.
func (s *scene) lookAtMoves(p *product, place string) standing {
	s.t.Helper()
	var list struct{ Items []step }
	s.reg.Do(s.t, "GET", "/api/v1/promotions?limit=1000&component="+p.name+"&place="+place, nil).Want(s.t, 200).JSON(s.t, &list)
	slices.Reverse(list.Items)
	found := map[string]bool{}
	var before step
	var so []step
	for _, m := range list.Items {
		found[m.ID] = true
		if known, ok := s.ledger.steps[m.ID]; ok && known != m {
			s.t.Errorf("%s at %s: a move was answered with\n%s and is now\n%s", p.name, place, shows(known), shows(m))
		} else if !ok && !s.ledger.mayBe(m) {
			s.t.Errorf("%s at %s: nobody ordered %s", p.name, place, shows(m))
		}
		if m.ID <= before.ID || m.From != before.To || m.FromDigest != before.Digest || m.From == m.To {
			s.t.Errorf("%s at %s: after\n%s comes\n%s", p.name, place, shows(before), shows(m))
		}
		if m.Kind == "rollback" && !slices.Contains(after(so).former, m.To) {
			s.t.Errorf("%s at %s: %s goes back to none of %v", p.name, place, shows(m), after(so).former)
		}
		so, before = append(so, m), m
	}
	for _, m := range s.ledger.of(p.name, place) {
		if !found[m.ID] {
			s.t.Errorf("%s at %s: the move %s was acknowledged and is gone", p.name, place, shows(m))
		}
	}
	return after(so)
}

// deployed is what a place's list says of a component.
type deployed struct {
	Component string
	Version   string
	Digest    digest.Digest
	Move      string
	Former    []string
}

func (s *scene) deployedAt(place string) map[string]deployed {
	s.t.Helper()
	var list struct{ Items []deployed }
	if reply := s.reg.Do(s.t, "GET", "/api/v1/places/"+place+"?limit=1000", nil).Want(s.t, 200, 404); reply.Status == 200 {
		reply.JSON(s.t, &list)
	}
	rows := map[string]deployed{}
	for _, d := range list.Items {
		rows[d.Component] = d
	}
	return rows
}

// lookAtPlace checks that a place's rows, its file, the domain tags and the moves agree.
func (s *scene) lookAtPlace(place string, stands map[string]standing) {
	s.t.Helper()
	rows := s.deployedAt(place)
	want := map[string]string{}
	for _, p := range s.products {
		stand, d := stands[p.name], rows[p.name]
		if delete(rows, p.name); stand.version != "" {
			want[p.name] = stand.version
		}
		if d.Version != stand.version || !slices.Equal(d.Former, stand.former) {
			s.t.Errorf("%s at %s: the row says %s after %v, the moves say %s after %v", p.name, place, d.Version, d.Former, stand.version, stand.former)
		}
		moves := s.ledger.of(p.name, place)
		if d.Version != "" && (len(moves) == 0 || moves[len(moves)-1].ID != d.Move || moves[len(moves)-1].Digest != d.Digest) {
			s.t.Errorf("%s at %s: the row is %s, and not of the last move", p.name, place, shows(d))
		}
		tag := s.named(p.name, place)
		if tag != d.Digest {
			s.t.Errorf("%s: the tag %s names %q, the row says %q", p.name, place, tag, d.Digest)
		}
		if d.Version != "" && tag != s.named(p.name, p.tagOf(d.Version)) {
			s.t.Errorf("%s: the tag %s does not name %s", p.name, place, p.tagOf(d.Version))
		}
	}
	if len(rows) > 0 {
		s.t.Errorf("%s: these are deployed, and nobody made them: %s", place, shows(rows))
	}
	files := []string{"domain-" + dashed(place)}
	if place == "cloud.prod" {
		files = append(files, "domain-cloud")
	}
	for _, file := range files {
		s.lookAtFile(file, "version", want)
	}
}

// named returns the digest that a tag names; empty if there is no such tag.
func (s *scene) named(repo, tag string) digest.Digest {
	s.t.Helper()
	return digest.Digest(s.reg.Do(s.t, "HEAD", wire.ManifestPath(repo, tag), nil).Want(s.t, 200, 404).Header.Get("Docker-Content-Digest"))
}

// lookAtFile checks an index file: as it is served, and as an artifact.
func (s *scene) lookAtFile(file, member string, want map[string]string) {
	s.t.Helper()
	reply := s.reg.Do(s.t, "GET", "/index/"+file+".yaml", nil).Want(s.t, 200, 404)
	if reply.Status == 404 {
		if len(want) > 0 {
			s.t.Errorf("%s.yaml is not there, and should list %v", file, want)
		}
		return
	}
	var doc struct{ Components []map[string]string }
	if err := yaml.Unmarshal(reply.Body, &doc); err != nil {
		s.t.Errorf("%s.yaml: %v", file, err)
	}
	listed := map[string]string{}
	for _, c := range doc.Components {
		listed[c["name"]] = c[member]
	}
	if !maps.Equal(listed, want) {
		s.t.Errorf("%s.yaml lists %v, want %v", file, listed, want)
	}
	var m struct {
		Layers []struct{ Digest digest.Digest }
	}
	s.reg.Do(s.t, "GET", wire.ManifestPath("index/"+file, "latest"), nil).Want(s.t, 200).JSON(s.t, &m)
	if len(m.Layers) != 1 || m.Layers[0].Digest != digest.FromBytes(reply.Body) {
		s.t.Errorf("index/%s:latest is of other bytes than %s.yaml: %s", file, file, shows(m))
	}
}

// lookAtTags checks that a product has the tags that follow from its versions and from where they are deployed, and no others.
func (s *scene) lookAtTags(p *product, stands map[string]map[string]standing) {
	s.t.Helper()
	want := map[string]bool{}
	for _, v := range s.versions(p) {
		for format, f := range v.Formats {
			want[f.Tag] = true
			if got := s.named(p.name, f.Tag); got != f.Digest {
				s.t.Errorf("%s: the tag %s names %q, the version says %q", p.name, f.Tag, got, f.Digest)
			}
			if format == "docker" {
				want["commit-"+v.Commit] = true
			}
			if promoted := s.everDeployed(p, v.Version); format == "release" && (p.imaged || !promoted && !s.lost) {
				s.t.Errorf("%s %s: nobody made the index %s", p.name, v.Version, f.Tag)
			}
		}
	}
	for place, all := range stands {
		if all[p.name].version != "" {
			want[place] = true
		}
	}
	if p.imaged && p.latest() != "" {
		want["latest"] = true
		if got := s.named(p.name, "latest"); got != s.named(p.name, p.latest()) {
			s.t.Errorf("%s: latest is not %s, but %s", p.name, p.latest(), got)
		}
	}
	if listed := tags(s.t, s.reg, p.name); !maps.Equal(listed, want) {
		s.t.Errorf("%s has the tags %v, want %v", p.name, sortedNames(listed), sortedNames(want))
	}
}

func (s *scene) everDeployed(p *product, number string) bool {
	for _, m := range s.ledger.steps {
		if m.Component == p.name && m.To == number {
			return true
		}
	}
	return false
}

// latest is the highest version that is good.
func (p *product) latest() string {
	for _, e := range slices.Backward(p.editions) {
		if e.good() {
			return e.number()
		}
	}
	return ""
}

// lookAtLatest checks components.yaml.
func (s *scene) lookAtLatest() {
	s.t.Helper()
	want := map[string]string{}
	for _, p := range s.products {
		if latest := p.latest(); latest != "" {
			want[p.name] = latest
		}
	}
	s.lookAtFile("components", "latest_version", want)
}
