package crash

import (
	"fmt"
	"html"
	"math/rand/v2"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// sights are what a client sees at all addresses that it finds its way to, as text.
type sights map[string]string

// pagesSeen is how many pages of a tree are looked at, at most: it must end.
const pagesSeen = 5000

// see asks for everything there is to get: repositories, manifests by tag and by digest, referrers, blobs, components, versions, documents, places, moves, files of the
// index, trees, and suites.
func (s *scene) see() sights {
	s.t.Helper()
	seen := sights{}
	s.seeRepositories(seen)
	for _, address := range []string{"/api/v1/components?limit=1000", "/api/v1/versions?limit=1000", "/api/v1/findings?limit=1000", "/api/v1/places", "/api/v1/promotions?limit=1000",
		"/index/components.yaml", "/index/components.json", "/apt/key.asc", "/apt/setup.sh?suite=cloud-prod"} {
		s.get(seen, address)
	}
	for _, group := range []string{"dmp", "base"} {
		s.get(seen, "/api/v1/groups/cloud/"+group+"/ownership.yaml")
	}
	for _, place := range append(slices.Clone(domains), "cloud") {
		s.get(seen, "/api/v1/places/"+place)
		s.get(seen, "/index/domain-"+dashed(place)+".yaml")
		s.get(seen, "/index/domain-"+dashed(place)+".json")
		for _, file := range []string{"Release", "InRelease", "Release.gpg", "main/binary-amd64/Packages", "main/binary-arm64/Packages"} {
			s.get(seen, "/apt/dists/"+dashed(place)+"/"+file)
		}
		s.get(seen, "/apt/snapshots/?suite="+dashed(place))
	}
	for _, p := range s.products {
		s.seeProduct(seen, p)
	}
	s.seeTree(seen)
	return seen
}

// get keeps what an address answers: the status, the headers that say what it is, and the body.
func (s *scene) get(seen sights, address string, headers ...string) wire.Reply {
	s.t.Helper()
	reply := s.reg.Do(s.t, "GET", address, nil, headers...)
	text := fmt.Sprintf("%d\n", reply.Status)
	for _, name := range []string{"Content-Type", "Docker-Content-Digest", "Content-Disposition", "Link", "OCI-Filters-Applied"} {
		if value := reply.Header.Get(name); value != "" {
			text += name + ": " + value + "\n"
		}
	}
	seen[address] = text + "\n" + string(reply.Body)
	return reply
}

func (s *scene) seeRepositories(seen sights) {
	s.t.Helper()
	var catalog struct{ Repositories []string }
	s.get(seen, "/v2/_catalog?n=1000").Want(s.t, 200).JSON(s.t, &catalog)
	for _, repo := range catalog.Repositories {
		var list struct{ Tags []string }
		s.get(seen, "/v2/"+repo+"/tags/list?n=1000").Want(s.t, 200).JSON(s.t, &list)
		var found []digest.Digest
		for _, tag := range list.Tags {
			reply := s.get(seen, wire.ManifestPath(repo, tag)).Want(s.t, 200)
			found = append(found, digest.Digest(reply.Header.Get("Docker-Content-Digest")))
		}
		known := map[digest.Digest]bool{}
		for len(found) > 0 {
			d := found[0]
			if found = found[1:]; known[d] {
				continue
			}
			known[d] = true
			found = append(found, s.seeManifest(seen, repo, d)...)
		}
	}
}

// seeManifest looks at a manifest, its blobs and its referrers, and returns the manifests that it leads to.
func (s *scene) seeManifest(seen sights, repo string, d digest.Digest) (leads []digest.Digest) {
	s.t.Helper()
	var m struct {
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
	}
	s.get(seen, wire.ManifestPath(repo, d)).Want(s.t, 200).JSON(s.t, &m)
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		s.get(seen, wire.BlobPath(repo, l.Digest)).Want(s.t, 200)
	}
	var referrers struct{ Manifests []ocispec.Descriptor }
	s.get(seen, wire.ReferrersPath(repo, d)).Want(s.t, 200).JSON(s.t, &referrers)
	for _, l := range append(m.Manifests, referrers.Manifests...) {
		leads = append(leads, l.Digest)
	}
	return leads
}

func (s *scene) seeProduct(seen sights, p *product) {
	s.t.Helper()
	base := "/api/v1/components/" + p.name
	for _, below := range []string{"", "/latest", "/deployed", "/history?limit=1000", "/dependencies", "/dependents", "/findings", "/versions?limit=1000"} {
		s.get(seen, base+below)
	}
	for _, e := range p.editions {
		v := base + "/versions/" + e.number()
		for _, below := range []string{"", "/metadata.yaml", "/deb/manifest.yaml", "/docker/manifest.yaml", "/SHA256SUMS"} {
			s.get(seen, v+below)
		}
		for _, arch := range e.arches {
			s.get(seen, v+"/deb/"+e.file(arch)).Want(s.t, 200)
		}
		s.get(seen, "/api/v1/commits/"+e.commit())
	}
}

var link = regexp.MustCompile(`href="([^"]*)"`)

// seeTree follows the links of the pages below /tree/.
func (s *scene) seeTree(seen sights) {
	s.t.Helper()
	todo := []string{"/tree/"}
	for asked := 0; len(todo) > 0; asked++ {
		if asked == pagesSeen {
			s.t.Fatalf("the tree does not end; the next is %s", todo[0])
		}
		at := todo[0]
		if todo = todo[1:]; seen[at] != "" {
			continue
		}
		reply := s.get(seen, at, "Accept", "text/html")
		if reply.Status != 200 || !strings.HasPrefix(reply.Header.Get("Content-Type"), "text/html") {
			continue
		}
		here, err := url.Parse(at)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, found := range link.FindAllSubmatch(reply.Body, -1) {
			to, err := here.Parse(html.UnescapeString(string(found[1])))
			if err == nil && to.Host == "" && to.RawQuery == "" && strings.HasPrefix(to.Path, "/tree/") {
				todo = append(todo, to.EscapedPath())
			}
		}
	}
}

// loss is something that does not come back when the index is lost: at such addresses, what the pattern finds may be something else afterwards.
type loss struct {
	what    string
	address *regexp.Regexp
	pattern *regexp.Regexp
	chance  bool // it may happen to be the same
}

var losses = []loss{
	{"when versions and components came, to a few milliseconds", regexp.MustCompile(`^/api/v1/(components|versions|commits)\b`), regexp.MustCompile(`"(created|pushed)":"[^"]*"`), true},
	{"who deployed it, when, why, and what was there before", regexp.MustCompile(`^/api/v1/(places/|components/.*/deployed$)`),
		regexp.MustCompile(`"(move|by|since|reason)":"[^"]*"|,?"former":\[[^]]*\]`), false},
	{"the moves that led to what is deployed", regexp.MustCompile(`^/api/v1/(promotions|components/.*/history)\b`), regexp.MustCompile(`(?s)"items":.*`), false},
	{"the keys that sign suites", regexp.MustCompile(`^/apt/(key\.asc|dists/.*/(InRelease|Release\.gpg))$`), regexp.MustCompile(`(?s)\n\n.*`), false},
	{"the date of suites, which are published again", regexp.MustCompile(`^/apt/dists/.*/Release$`), regexp.MustCompile(`(?m)^(Date|Valid-Until): .*$`), false},
	{"that there was no later snapshot", regexp.MustCompile(`^/apt/snapshots/|^/v2/apt/.*/tags/list`), regexp.MustCompile(`(,?"?\d{8}T\d{6}Z"?\n?)+`), false},
}

// published are addresses that there may be more of afterwards: each suite has one more snapshot. Those there were are there still.
var published = regexp.MustCompile(`^/v2/apt/`)

// forget takes from what is seen what a loss is about.
func (l loss) forget(address, text string) string {
	if !l.address.MatchString(address) {
		return text
	}
	return l.pattern.ReplaceAllString(text, "…")
}

// estate fills a registry with some of everything, all of it acknowledged.
func (s *scene) estate() {
	s.t.Helper()
	m := s.crew(7)[0]
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	for _, p := range s.products[:3] {
		for range 2 {
			must(m.complete(p.edition(processors...)))
		}
		good := p.editions[len(p.editions)-1]
		for _, place := range domains {
			must(m.move("promote", p, place, good.number(), []int{201}))
		}
	}
	p := s.products[1]
	must(m.move("promote", p, domains[0], p.editions[0].number(), []int{201}))
	must(m.move("rollback", p, domains[0], "", []int{201}))
	must(m.move("withdraw", s.products[2], domains[1], "", []int{201}))

	// And what is no component: an index of two images, a referrer, tags that have moved and gone.
	one, body := s.reg.PushImage(s.t, "others/app", "one")
	two, _ := s.reg.PushImage(s.t, "others/app", "two")
	s.reg.PushManifest(s.t, "others/app", "both", ocispec.MediaTypeImageIndex, wire.Index(one, two))
	s.reg.Put(s.t, "others/app", "latest", ocispec.MediaTypeImageManifest, body).Want(s.t, 201)
	signature := s.reg.Image(s.t, "others/app")
	signature.ArtifactType, signature.Subject = "application/vnd.example.signature", &one
	s.reg.PushManifest(s.t, "others/app", digest.FromBytes(wire.JSON(signature)).String(), ocispec.MediaTypeImageManifest, signature)
	s.reg.PushImage(s.t, "others/app", "gone")
	s.reg.Do(s.t, "DELETE", wire.ManifestPath("others/app", "gone"), nil).Want(s.t, 202)
}

// TestLost takes the index from a registry that has some of everything, has it built anew from content alone, and compares what clients see before and after. What
// does not come back is listed, and nothing else.
func TestLost(t *testing.T) {
	t.Parallel()
	p := program.Start(t, program.Listen(privateAddr(t)))
	s := &scene{t: t, reg: wire.At(p.URL), ledger: &ledger{steps: map[string]step{}}, suites: map[string]*suiteSeen{}, known: map[string]bool{}}
	s.estate()
	s.look(true)
	before := s.see()
	s.lose(p, rand.New(rand.NewPCG(7, 7)))
	after := s.see()
	for address := range after {
		if _, was := before[address]; !was && !published.MatchString(address) {
			t.Errorf("%s was not found before, and is answered now:\n%.300s", address, after[address])
		}
	}
	missed := map[string]bool{}
	for address, was := range before {
		is := after[address]
		for _, l := range losses {
			wasLess, isLess := l.forget(address, was), l.forget(address, is)
			missed[l.what] = missed[l.what] || was != is && wasLess == isLess
			was, is = wasLess, isLess
		}
		if was != is {
			a, b := around(is, was)
			t.Errorf("%s: there is\n%s\nand before\n%s", address, a, b)
		}
	}
	t.Logf("%d addresses were compared", len(before))
	for _, l := range losses {
		if !missed[l.what] && !l.chance {
			t.Errorf("this is said to be lost, and comes back: %s", l.what)
		}
	}
}
