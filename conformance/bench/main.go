// Bench measures the registry beside others, as its users would meet it: it starts each as a program of its own on a free loopback port,
// puts the same things into it, and asks all of them the same, one after the other.
//
//	go run ./conformance/bench -list
//	go run ./conformance/bench                                 # all but what passes 1 GiB: about ten minutes
//	go run ./conformance/bench -big -json figures.json
//	go run ./conformance/bench -run 'manifest|push-1k' -seconds 1 -rounds 1 -peers entrepot,distribution
//	ENTREPOT_BIN=./entrepot go run ./conformance/bench -run tag -tags 100000
//
// # Peers
//
//   - entrepot: this tree, built for the run, or the program that ENTREPOT_BIN names. It is started as `entrepot serve` with
//     ENTREPOT_LISTEN, without a configuration file; other ENTREPOT_ variables reach it from the environment.
//   - distribution: distribution 3.1.2 with a filesystem, a configuration like its example's (the cache of blob descriptors is on),
//     deletion on, no log of requests and no port for debugging; OTEL_TRACES_EXPORTER=none, or it looks for a collector.
//   - ceiling: `crane registry serve` of go-containerregistry 0.22.1, which keeps everything in memory: what net/http does with next to
//     no work behind it. It writes a line a request, to /dev/null. It takes no part where it would copy what is not asked for
//     (ranges), has no pages (lists in pages), or would keep gigabytes in memory (pushes of large blobs).
//
// Scenarios that begin with auth- are about whoever shows who it is. This registry has ENTREPOT_AUTH_USERS_HTPASSWD and ENTREPOT_AUTH_GRANTS
// then, and serves those who show nothing besides, so that one server is asked with credentials and, before and after that, without.
// distribution has a file of htpasswd, or takes tokens that are signed as this registry signs them; it has nothing to compare with, as it
// refuses those who show nothing.
//
// Scenarios that begin with through- are about images that are elsewhere: the peers are proxies of a registry in the bench itself, which
// makes its blobs as they are asked for, counts requests and bytes, and notes when the first byte of each object went out. 16 clients pull
// the same image of 200 MiB, each three layers at once. The base is one client that pulls it straight from there; through-cold-1g has
// all that comes from there share 1 Gbit/s, as over a line, for without that the base is how fast memory is copied.
//
// Scenarios that begin with shared-, and sweep-s3, are about this registry as one of several replicas has it: the peer postgres is this tree with its index in a
// PostgreSQL server, which syncs, and content in an S3 server (versitygw; make tools). Both are started for the run. Whoever looks only at these says
//
//	go run ./conformance/bench -run '^shared-' -rounds 5
//	go run ./conformance/bench -run '^sweep'
//	go run ./conformance/bench -run '^(start|work)-large$' -manifests 100000
//
// The database's CPU is that of all its processes. A large index is filled below the server, row by row as the registry's own code writes them for one image.
//
// The others are built from conformance/bench/peers, a module of its own, and kept in .cache/bench of the tree.
//
// # Figures
//
// Trust the server's CPU per operation first: it is utime and stime of /proc/<pid>/stat, all threads, in ticks of 10 ms, before and
// after the timed section. Operations a second and latencies move several times as much with whatever else the machine does; the
// generator shares its processors. Its own CPU per operation is the last row: where it is more than the server's, the rate is the
// generator's. RSS is what the process holds after a round. Each figure is the median of the rounds, in which the peers take turns.
//
// Pushed content is new each time. Its digest is known before the timed section, and its bytes are random. The folder of the servers'
// data is the system's temporary one, or below -dir; it should be on a disk, and is removed at the end.
//
// The start with cold files is one after the kernel was asked to forget the content of the data's and the program's files; its memory
// of names and inodes is left alone. Syncs are counted under strace, step by step, without those of start and stop.
//
// Marks are those that the registry set itself. A mark is met or missed by the medians; "—" says that a figure for it is wanting. The
// exit status is 0 whether or not they are met, and 1 when something could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
)

func main() {
	o, err := parse(os.Args[1:])
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the bench at once, and its servers with it
	// The generator makes little garbage, and its collector would take its share of the processors from the server.
	debug.SetGCPercent(400)
	err = run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parse reads the flags.
func parse(args []string) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := f.String("peers", strings.Join(allPeers(), ","), "`names` of the registries to measure")
	pattern := f.String("run", "", "only scenarios whose name matches this `regexp`")
	f.Float64Var(&o.seconds, "seconds", 3, "`seconds` a scenario runs in each round on each peer")
	f.IntVar(&o.rounds, "rounds", 3, "`rounds`, in which the peers take turns")
	f.StringVar(&o.json, "json", "", "write all figures to this `file`")
	f.StringVar(&o.pprof, "pprof", "", "write CPU profiles of this registry's last rounds to this `folder`, if it serves /debug/pprof")
	f.BoolVar(&o.big, "big", false, "include the scenarios that pass 1 GiB")
	f.IntVar(&o.tags, "tags", 10_000, "how many `tags` are many")
	f.IntVar(&o.manifests, "manifests", 1_000_000, "how many `manifests` a large index holds")
	f.StringVar(&o.dir, "dir", "", "`folder` for the servers' data, instead of the system's temporary one")
	list := f.Bool("list", false, "print the names of the scenarios and end")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if *list {
		for _, sc := range scenarios {
			fmt.Println(pad(sc.name, 20) + sc.title(o))
		}
		return nil, flag.ErrHelp
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q", f.Arg(0))
	}
	o.peers = strings.Split(*names, ",")
	for _, n := range o.peers {
		if !slices.Contains(allPeers(), n) {
			return nil, fmt.Errorf("-peers: no peer %q; there are %s", n, strings.Join(allPeers(), ", "))
		}
	}
	var err error
	if o.run, err = regexp.Compile(*pattern); err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	if o.seconds <= 0 || o.seconds > 600 || o.rounds < 1 || o.rounds > 99 || o.tags < 100 || o.tags > 999_999 {
		return nil, errors.New("-seconds must be above 0 and at most 600, -rounds 1 to 99, -tags 100 to 999999")
	}
	return o, nil
}

func allPeers() (names []string) {
	for _, p := range peers {
		names = append(names, p.name)
	}
	return names
}
