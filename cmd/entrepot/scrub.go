package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream"
)

// openScrubber returns what reads all content again. Nothing runs yet. through may be nil.
func openScrubber(ctx context.Context, c Config, reg *registry.Registry, through *upstream.Through, log *slog.Logger) (*registry.Scrubber, error) {
	peers, err := openPeers(ctx, c.Scrub.Peer, log)
	if err != nil {
		return nil, err
	}
	stands := registry.ScrubConfig{Registry: reg, Every: c.Scrub.Every, Rate: int64(c.Scrub.Rate), Peers: peers}
	if through != nil {
		stands.Fetch = through.Fetch
	}
	return registry.NewScrubber(stands), nil
}

func measureScrubs(to *prometheus.Registry, s *registry.Scrubber) {
	for i, m := range []struct{ name, help string }{
		{"entrepot_scrub_bytes_total", "Bytes that scrubs have read since the start."},
		{"entrepot_scrub_damaged_total", "Things that scrubs have found damaged since the start."},
		{"entrepot_scrub_healed_total", "Things that scrubs have made whole again since the start."},
	} {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: m.name, Help: m.help}, func() float64 {
			var n [3]int64
			n[0], n[1], n[2] = s.Counts()
			return float64(n[i])
		}))
	}
}

func scrubVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scrub",
		Short: "Have all content read again and compared with its digests, and see what is damaged",
		Long: `Have all content read again and compared with its digests, and see what is damaged.

The server does so by itself, slowly, as scrub: in its configuration says. Content that is damaged is put aside and not served any more; a push of the same
image, a peer that scrub.peer names, or the upstream that it came from, brings it back. Both verbs take the right to manage the server, which admins have.`,
	}
	group(cmd)
	cmd.AddCommand(a.scrubStatus(), a.scrubRun())
	return cmd
}

func (a *app) scrubStatus() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "status [HOST]",
		Short:   "See what the last scrub found, how far the one under way is, and which blobs are damaged",
		Example: "  entrepot scrub status\n  entrepot scrub status -o json registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		var raw json.RawMessage
		if err := c.get(cmd.Context(), server, "/scrub", nil, &raw); err != nil {
			return explainAll(err, "ask %s how it is with its content", server)
		}
		if output != asTable {
			return a.printAs(output, raw)
		}
		s, err := resultOf[registry.ScrubState](server, raw)
		if err != nil {
			return err
		}
		a.printScrubState(s)
		return nil
	}
	formatFlag(cmd, &output)
	return cmd
}

func (a *app) printScrubState(s registry.ScrubState) {
	switch r := s.Running; {
	case r == nil:
	case r.Cut:
		fmt.Fprintf(a.stdout, "a run that began %s was cut, and goes on soon: %s\n", when(r.Began, ""), scrubSteps(r.ScrubTally))
	default:
		fmt.Fprintf(a.stdout, "a run is under way since %s: %s\n", when(r.Began, ""), scrubSteps(r.ScrubTally))
	}
	if s.Last != nil {
		fmt.Fprintf(a.stdout, "the last run ended %s: %s\n", when(s.Last.Ended, ""), scrubSteps(s.Last.ScrubTally))
	}
	if s.Next != nil {
		fmt.Fprintf(a.stdout, "the next run is due %s\n", when(*s.Next, ""))
	}
	if len(s.Damages) == 0 {
		fmt.Fprintln(a.stdout, "no blob is known to be damaged")
	}
	a.printDamages(s.Damages)
	if s.More {
		fmt.Fprintln(a.stdout, "and more")
	}
}

func (a *app) printDamages(all []registry.Damage) {
	for _, d := range all {
		state := "damaged"
		if d.Healed != "" {
			state = "healed by " + oneLine(d.Healed)
		}
		fmt.Fprintf(a.stdout, "%s %s: %s: %s\n", printable(d.Kind), printable(string(d.Digest)), state, oneLine(d.Detail))
		if d.Aside != "" {
			fmt.Fprintf(a.stdout, "  what is left of it is kept: %s\n", oneLine(d.Aside))
		}
		for _, h := range d.Images {
			name := h.Repo + "@" + string(h.Digest)
			if len(h.Tags) > 0 {
				name = h.Repo + ":" + strings.Join(h.Tags, ",") + "@" + string(h.Digest)
			}
			fmt.Fprintf(a.stdout, "  hits %s\n", printable(name))
		}
		if d.More {
			fmt.Fprintln(a.stdout, "  and more")
		}
	}
}

func scrubSteps(t registry.ScrubTally) string {
	return fmt.Sprintf("read %d things, %s; %d damaged, %d healed", t.Things, humanSize(t.Bytes), t.Damaged, t.Healed)
}

func (a *app) scrubRun() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "run [HOST]",
		Short: "Read everything now, or go on with a run that was cut",
		Long: `Read everything now, or go on with a run that was cut, at the rate that the server's configuration says.

A run that is under way is followed, and goes on when this is interrupted. With damage that was not healed, the exit status is 1.`,
		Example: "  entrepot scrub run\n  entrepot scrub run -o json registry.example.com",
		Args:    takes(0, 1),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		server := c.serverOf(args)
		raw, err := runThere(cmd.Context(), a, c, server, "/scrub/runs", struct{}{}, scrubSteps)
		if err != nil {
			return explainAll(err, "scrub %s", server)
		}
		r, err := resultOf[registry.ScrubResult](server, raw)
		if err != nil {
			return err
		}
		if output != asTable {
			err = a.printAs(output, raw)
		} else {
			fmt.Fprintf(a.stdout, "%s, in %s\n", scrubSteps(r.ScrubTally), r.Ended.Sub(r.Began).Round(100*time.Millisecond))
			a.printDamages(r.Damages)
		}
		if err == nil && r.Damaged > r.Healed {
			return errAnswered
		}
		return err
	}
	formatFlag(cmd, &output)
	return cmd
}
