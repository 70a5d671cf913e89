package crash

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

const (
	roundsVariable = "ENTREPOT_TEST_CRASH_ROUNDS"
	generation     = 20 // rounds that a store lives
	crowd          = 5  // writers
)

var (
	rounds = flag.Int("crash.rounds", fromEnvironment(40), "how often the program is killed; default also by "+roundsVariable)
	seed   = flag.Uint64("crash.seed", 0, "seed of the writers' choices and of the moments; 0 means any")
)

func fromEnvironment(otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(roundsVariable)); err == nil && n > 0 {
		return n
	}
	return otherwise
}

// TestCrash is the whole: see the package's comment.
func TestCrash(t *testing.T) {
	t.Parallel()
	chosen := cmp.Or(*seed, uint64(time.Now().UnixNano()))
	fmt.Printf("crash: %d rounds, -crash.seed=%d\n", *rounds, chosen)
	changes := 0
	for first := 0; first < *rounds && !t.Failed(); first += generation {
		changes += life(t, chosen+uint64(first), min(generation, *rounds-first))
	}
	fmt.Printf("crash: %d changes were acknowledged\n", changes)
}

// life is a store from its first round to its last, and what comes after that. It returns how many changes were acknowledged.
func life(t *testing.T, seed uint64, rounds int) int {
	random := rand.New(rand.NewPCG(seed, 0))
	p := program.Start(t, program.Listen(privateAddr(t)))
	reg := wire.At(p.URL)
	c := &common{images: map[digest.Digest]bool{}, bodies: map[digest.Digest][]byte{}}
	config := newPiece(1, 100)
	reg.PushBlob(t, sharedRepo, config.bytes())
	var writers []*writer
	for n := 1; n <= crowd; n++ {
		writers = append(writers, &writer{t: t, number: n, random: rand.New(rand.NewPCG(seed, uint64(n))), common: c, config: config,
			repos: []*repo{newRepo(fmt.Sprintf("crash/writer-%d", n)), newRepo(fmt.Sprintf("crash/writer-%d/second", n))}})
	}
	for round := 0; round < rounds && !t.Failed(); round++ {
		var work sync.WaitGroup
		for _, w := range writers {
			w.reg = wire.At(p.URL)
			work.Go(w.work)
		}
		time.Sleep(time.Duration(5+random.IntN(396)) * time.Millisecond)
		if random.IntN(5) == 0 { // in the middle of its stopping
			p.Signal(syscall.SIGTERM)
			time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
		}
		p.Kill()
		work.Wait()
		p.Restart()
		look(t, p, c, writers, false)
	}
	changes := 0
	for _, w := range writers {
		changes += w.changes
	}
	if t.Failed() {
		t.Logf("the program's log since its last start:\n%s", p.Log())
		return changes
	}
	look(t, p, c, writers, true)
	p.Stop()
	verify(t, p)
	fromContent(t, p)
	for _, w := range writers {
		w.open = nil // they were in the file that is gone
	}
	look(t, p, c, writers, true)
	p.Stop()
	verify(t, p)
	return changes
}

// look checks everything that the writers know, each beside the others.
func look(t *testing.T, p *program.Program, c *common, writers []*writer, all bool) {
	t.Helper()
	var work sync.WaitGroup
	for _, w := range writers {
		w.reg = wire.At(p.URL)
		work.Go(func() { w.look(all) })
	}
	work.Wait()
	lookAtCommon(t, wire.At(p.URL), c, all)
	lookAtLists(t, wire.At(p.URL), c, writers)
}

// fromContent takes the index of a stopped program away, lets it be built anew and starts the program again.
func fromContent(t *testing.T, p *program.Program) string {
	t.Helper()
	removeIndex(t, p)
	out := reindex(t, p)
	p.Restart()
	return out
}

// removeIndex takes the index of a stopped program away.
func removeIndex(t *testing.T, p *program.Program) {
	t.Helper()
	for _, pattern := range []string{"index.db*", "uploads.db*"} {
		names, err := filepath.Glob(filepath.Join(p.Dir, "data", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// reindex lets a stopped program build its index anew, and returns what it says.
func reindex(t *testing.T, p *program.Program) string {
	t.Helper()
	out, err := p.CLI("reindex")
	if err != nil {
		t.Errorf("entrepot reindex: %v\n%s", err, out)
	}
	verify(t, p)
	return out
}

// privateAddr returns an address of this machine's own network that nobody else uses: the program comes back to it hundreds of times.
func privateAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.84.%d.%d:0", 1+rand.IntN(254), 1+rand.IntN(254)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
