package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// options are the flags.
type options struct {
	peers     []string
	run       *regexp.Regexp
	seconds   float64
	rounds    int
	json      string
	pprof     string
	big       bool
	tags      int
	manifests int
	dir       string
}

// time returns a share of the time that a scenario has for a round.
func (o *options) time(share float64) time.Duration {
	return time.Duration(o.seconds * share * float64(time.Second))
}

// bench is a run.
type bench struct {
	opt        *options
	tree       *tree
	peers      []*peer
	bins       map[string]string
	report     *report
	noProfiles bool
	failed     bool
}

// errFailed says that some peer could not be measured; what it was is already printed.
var errFailed = errors.New("not all could be measured")

func run(ctx context.Context, o *options) error {
	t, err := findTree(o.dir)
	if err != nil {
		return err
	}
	defer os.RemoveAll(t.temp)
	if inMemory(t.temp) {
		fmt.Fprintf(os.Stderr, "the run's folder is on tmpfs, where syncs cost nothing: name another with -dir\n")
	}
	b := &bench{opt: o, tree: t, bins: map[string]string{}, report: newReport(o)}
	for _, p := range peers {
		if !slices.Contains(o.peers, p.name) {
			continue
		}
		b.peers = append(b.peers, p)
	}
	for _, group := range b.groups() {
		if err := b.measure(ctx, group); err != nil {
			return err
		}
	}
	b.report.summary(os.Stdout)
	if o.json != "" {
		if err := b.report.write(o.json); err != nil {
			return err
		}
	}
	if b.failed {
		return errFailed
	}
	return nil
}

// groups returns the scenarios that were asked for, those that share a stock together.
func (b *bench) groups() (groups [][]*scenario) {
	at := map[*stock]int{}
	for _, sc := range scenarios {
		if !b.opt.run.MatchString(sc.name) {
			continue
		}
		if sc.big && !b.opt.big {
			fmt.Fprintf(os.Stderr, "%s is left out without -big\n", sc.name)
			continue
		}
		if _, err := exec.LookPath("strace"); sc.trace && err != nil {
			fmt.Fprintf(os.Stderr, "%s is left out: strace is missing\n", sc.name)
			continue
		}
		i, ok := at[sc.stock]
		if !ok {
			i = len(groups)
			at[sc.stock] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], sc)
	}
	return groups
}

// measure runs the scenarios of one stock: the peers' servers are started and filled, and then each scenario runs on one after the other,
// round by round. A server that is not asked anything is idle.
func (b *bench) measure(ctx context.Context, group []*scenario) error {
	st := group[0].stock
	sites, notes := map[*peer]*site{}, map[*peer]string{}
	dir := filepath.Join(b.tree.temp, "data")
	defer os.RemoveAll(dir)
	for _, p := range b.peers {
		if !slices.ContainsFunc(group, func(sc *scenario) bool { return sc.takes(p) }) {
			continue
		}
		begin := time.Now()
		s, err := b.open(ctx, p, filepath.Join(dir, p.name), group)
		if err == nil && s.ground != nil {
			err = s.ground.settle(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			b.failed = true
			notes[p] = err.Error()
			fmt.Fprintf(os.Stderr, "%s: %v\n", p.name, err)
			continue
		}
		defer s.close()
		sites[p] = s
		fmt.Fprintf(os.Stderr, "%s: filled with %s in %s\n", p.name, st.name, time.Since(begin).Round(time.Millisecond))
	}
	for _, sc := range group {
		r := newResult(sc.name, sc.title(b.opt))
		for p, note := range notes {
			r.Notes[p.name] = note
		}
		rounds := b.opt.rounds
		if sc.trace {
			rounds = 1
		}
		for round := range rounds {
			for _, p := range b.peers {
				s := sites[p]
				if s == nil || !sc.takes(p) || r.Notes[p.name] != "" {
					continue
				}
				wait := func() {}
				if round == rounds-1 && !sc.trace {
					wait = b.profile(ctx, s.server, sc.name)
				}
				m, err := sc.run(ctx, s)
				wait()
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case err == nil:
					r.Rounds[p.name] = append(r.Rounds[p.name], m)
				case errors.Is(err, errAbsent):
					r.Notes[p.name] = err.Error()
				default:
					b.failed = true
					r.Notes[p.name] = fmt.Sprintf("round %d: %v", round+1, err)
				}
			}
		}
		var marks []mark
		if sc.marks != nil {
			marks = sc.marks(b.opt)
		}
		r.close(marks)
		r.print(os.Stdout, b.names(sc))
		b.report.Scenarios = append(b.report.Scenarios, r)
	}
	return nil
}

// open starts a peer's server and fills it.
func (b *bench) open(ctx context.Context, p *peer, dir string, group []*scenario) (*site, error) {
	trace := ""
	if group[0].trace {
		trace = dir + ".strace"
		if err := os.MkdirAll(filepath.Dir(trace), 0o755); err != nil {
			return nil, err
		}
	}
	if b.bins[p.name] == "" {
		bin, err := p.build(ctx, b.tree)
		if err != nil {
			return nil, err
		}
		b.bins[p.name], b.report.Peers[p.name] = bin, p.about
	}
	srv, err := startServer(ctx, p, b.bins[p.name], dir, trace)
	if err != nil {
		return nil, err
	}
	s, err := newSite(ctx, b.opt, srv, group[0].stock)
	if err != nil {
		srv.close()
		return nil, err
	}
	return s, nil
}

// takes says whether a peer takes part.
func (sc *scenario) takes(p *peer) bool {
	if sc.peers == nil {
		return slices.Contains(everybody, p.name)
	}
	return slices.Contains(sc.peers, p.name)
}

// names are those of the peers that a scenario's table has.
func (b *bench) names(sc *scenario) (names []string) {
	for _, p := range b.peers {
		if sc.takes(p) {
			names = append(names, p.name)
		}
	}
	return names
}
