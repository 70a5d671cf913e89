package crash

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const makers = 4

// TestComponents kills the program while components are pushed, documented, promoted, rolled back and withdrawn, with their apt suites, and looks each time
// whether rows, tags, index files, moves and suites still say the same. At the end the index is built anew twice: beside the one that there is, and from
// content alone.
func TestComponents(t *testing.T) {
	t.Parallel()
	chosen := cmp.Or(*seed, uint64(time.Now().UnixNano()))
	n := max(1, *rounds/2)
	fmt.Printf("crash: %d rounds with components, -crash.seed=%d\n", n, chosen)
	changes := 0
	for first := 0; first < n && !t.Failed(); first += generation {
		changes += season(t, chosen+uint64(first), min(generation, n-first))
	}
	fmt.Printf("crash: %d changes of components were acknowledged\n", changes)
}

// season is a store with components from its first round to its last, and what comes after that.
func season(t *testing.T, seed uint64, rounds int) int {
	random := rand.New(rand.NewPCG(seed, 100))
	p := program.Start(t, program.Listen(privateAddr(t)))
	s := &scene{t: t, reg: wire.At(p.URL), ledger: &ledger{steps: map[string]step{}}, suites: map[string]*suiteSeen{}, known: map[string]bool{}}
	defer func() {
		if t.Failed() {
			t.Logf("the program's log since its last start:\n%s", p.Log())
		}
	}()
	crew := s.crew(seed)
	for range rounds {
		s.round(p, crew, random)
		if t.Failed() {
			return changesOf(crew)
		}
	}
	s.look(true)
	before := s.memory()
	p.Stop()
	verify(t, p)
	reindex(t, p)
	p.Restart()
	s.reg = wire.At(p.URL)
	s.look(true)
	for address, now := range s.memory() {
		if now != before[address] {
			a, b := around(now, before[address])
			t.Errorf("%s: after reindex there is\n%s\nand before\n%s", address, a, b)
		}
	}
	s.lose(p, random)
	s.look(true)
	s.round(p, crew, random) // and it goes on as before
	s.look(true)
	p.Stop()
	verify(t, p)
	return changesOf(crew)
}

// around returns the part of two texts where they begin to differ.
func around(one, other string) (string, string) {
	at := 0
	for at < min(len(one), len(other)) && one[at] == other[at] {
		at++
	}
	part := func(s string) string { return s[max(0, at-300):min(len(s), at+300)] }
	return part(one), part(other)
}

func changesOf(crew []*maker) (all int) {
	for _, m := range crew {
		all += m.changes
	}
	return all
}

// crew makes those who work, and the product that they fight about.
func (s *scene) crew(seed uint64) (all []*maker) {
	s.t.Helper()
	for _, group := range []string{"dmp", "base"} {
		s.reg.Do(s.t, "PUT", "/api/v1/groups/cloud/"+group+"/ownership.yaml", []byte("owner_team: crash\nsource_repo: https://gitlab.example.com/cloud/"+group+"\n"),
			"Content-Type", "application/yaml").Want(s.t, 200, 201)
	}
	shared := &product{name: "cloud/base/shared"}
	s.products = append(s.products, shared)
	for n := range makers {
		m := &maker{t: s.t, random: rand.New(rand.NewPCG(seed, uint64(200+n))), reg: s.reg, shared: shared, ledger: s.ledger}
		for i, group := range []string{"dmp", "base"} {
			m.own = append(m.own, &product{name: fmt.Sprintf("cloud/%s/svc-%d-%s", group, n, group), imaged: (n+i)%2 == 0})
		}
		s.products = append(s.products, m.own...)
		all = append(all, m)
	}
	for range 3 {
		if err := all[0].complete(shared.edition(processors...)); err != nil {
			s.t.Fatal(err)
		}
	}
	return all
}

// round lets all work until the program dies, starts it again and looks.
func (s *scene) round(p *program.Program, crew []*maker, random *rand.Rand) {
	s.t.Helper()
	var work sync.WaitGroup
	for _, m := range crew {
		m.reg = wire.At(p.URL)
		work.Go(m.work)
	}
	time.Sleep(time.Duration(20+random.IntN(580)) * time.Millisecond)
	if random.IntN(2) == 0 { // suites have dates of whole seconds, so that they come at the beginning of one if there is much to do
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second + time.Duration(random.IntN(80))*time.Millisecond)))
	}
	if random.IntN(5) == 0 { // in the middle of its stopping
		p.Signal(syscall.SIGTERM)
		time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
	}
	p.Kill()
	work.Wait()
	p.Restart()
	s.reg = wire.At(p.URL)
	s.look(false)
}

// when something came may differ by a moment between the index and the journal; of what grew since, the index alone knows when it was first there.
var came = regexp.MustCompile(`"(created|pushed)":"[^"]*",?`)

// memory is what the program says to questions about all there is, by their addresses.
func (s *scene) memory() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	ask := func(address string) {
		reply := s.reg.Do(s.t, "GET", address, nil)
		all[address] = fmt.Sprintf("%d %s", reply.Status, came.ReplaceAll(reply.Body, nil))
	}
	ask("/api/v1/promotions?limit=1000")
	ask("/api/v1/components?limit=1000")
	ask("/api/v1/versions?limit=1000")
	ask("/index/components.yaml")
	ask("/apt/key.asc")
	for _, place := range domains {
		ask("/api/v1/places/" + place)
	}
	for _, p := range s.products {
		ask("/api/v1/components/" + p.name + "/history?limit=1000")
	}
	return all
}

// lose takes the index away and lets it be built from content alone, with the program dying a few times before it has come to rest. What is deployed is the
// same afterwards, but how it came there is not known any more.
func (s *scene) lose(p *program.Program, random *rand.Rand) {
	s.t.Helper()
	before := map[string]map[string]deployed{}
	for _, place := range domains {
		before[place] = s.deployedAt(place)
	}
	p.Stop()
	removeIndex(s.t, p)
	reindex(s.t, p)
	for range 4 {
		stumble(s.t, p, time.Duration(random.IntN(150))*time.Millisecond)
	}
	p.Restart()
	time.Sleep(time.Duration(random.IntN(50)) * time.Millisecond)
	p.Kill() // while it publishes suites again
	p.Restart()
	s.reg = wire.At(p.URL)
	s.lost, s.ledger.steps = true, map[string]step{}
	for _, place := range domains {
		now := s.deployedAt(place)
		for component, was := range before[place] {
			is := now[component]
			delete(now, component)
			if is.Version != was.Version || is.Digest != was.Digest {
				s.t.Errorf("%s at %s: %s %s was deployed, and is now %s %s", component, place, was.Version, was.Digest, is.Version, is.Digest)
			}
			s.takeOver(component, place)
		}
		if len(now) > 0 {
			s.t.Errorf("%s: nothing was deployed of %s", place, shows(now))
		}
		s.awaitSuite(dashed(place))
	}
}

// takeOver notes the one move that says what was found.
func (s *scene) takeOver(component, place string) {
	s.t.Helper()
	var list struct{ Items []step }
	s.reg.Do(s.t, "GET", "/api/v1/promotions?component="+component+"&place="+place, nil).Want(s.t, 200).JSON(s.t, &list)
	if len(list.Items) != 1 {
		s.t.Errorf("%s at %s: after the index was lost there are the moves %s", component, place, shows(list.Items))
	}
	for _, m := range list.Items {
		s.ledger.steps[m.ID] = m
	}
}

// awaitSuite waits until a suite that was there is published again.
func (s *scene) awaitSuite(name string) {
	s.t.Helper()
	seen := s.suites[name]
	if seen == nil || seen.date.IsZero() {
		return
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if reply := s.reg.Do(s.t, "GET", "/apt/dists/"+name+"/Release", nil); reply.Status == 200 && string(reply.Body) != seen.release {
			return
		}
	}
	s.t.Errorf("suite %s is not published again after 20 s", name)
}

// stumble starts the program and kills it after a while, ready or not.
func stumble(t *testing.T, p *program.Program, after time.Duration) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(program.Build(t), "serve")
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.Dir, &log, &log
	cmd.Env = append(os.Environ(), "ENTREPOT_LISTEN="+p.Addr)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the program ended by itself: %v\n%s", err, log.String())
	}
}
