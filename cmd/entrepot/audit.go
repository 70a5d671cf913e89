package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/entrepot/entrepot/storage/journal"
)

// auditLine is a line of the journal as the server gives it. A line that is not sealed yet has no number.
type auditLine struct {
	Seq   uint64        `json:"seq"`
	Event journal.Event `json:"event"`
	raw   []byte
}

const (
	auditPage      = 1000
	auditLineLimit = 1 << 20
)

func auditVerb(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the server's journal, and check that nobody has altered it",
	}
	group(cmd)
	cmd.AddCommand(a.auditTail(), a.auditVerify())
	return cmd
}

func (a *app) auditTail() *cobra.Command {
	var output, since string
	var follow bool
	var count int
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Print the last events",
		Example: "  entrepot audit tail -f\n  entrepot audit tail --since 24h -o json",
		Args:    takes(0, 0),
	}
	c := a.clientFlags(cmd)
	f := cmd.Flags()
	f.BoolVarP(&follow, "follow", "f", false, "go on printing events as they happen")
	f.StringVar(&since, "since", "", "begin at a time (2006-01-02T15:04:05Z) or so long ago (90m, 24h, 7d)")
	f.IntVarP(&count, "lines", "n", 20, "begin so many events before the end; with --since, all of them unless this is given")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if count < 0 {
			return misuse(cmd, "--lines %d is less than none", count)
		}
		from, err := parseSince(since, time.Now())
		if err != nil {
			return misuse(cmd, "--since %v", err)
		}
		if since != "" && !cmd.Flags().Changed("lines") {
			count = -1
		}
		t := &tail{client: c, server: c.server(), printed: map[string]bool{}, print: a.printEvent}
		if output == "json" {
			t.print = a.printLine
		}
		if err := t.begin(cmd.Context(), count, from); err != nil {
			return explain(err, "read the journal of %s", t.server)
		}
		if !follow {
			return nil
		}
		err = t.follow(cmd.Context())
		if cmd.Context().Err() != nil {
			return nil // to be interrupted is how following ends
		}
		return explain(err, "read the journal of %s", t.server)
	}
	outputFlag(cmd, &output)
	return cmd
}

func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	d, err := parseDuration(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time like 2006-01-02T15:04:05Z nor a duration like 90m, 24h or 7d", s)
	}
	return now.Add(-d), nil
}

// tail reads a server's journal forwards, from some line on.
type tail struct {
	client  *client
	server  string
	after   uint64          // the last numbered line that was printed
	printed map[string]bool // events printed before they had a number, so as not to print them again with it
	print   func(auditLine) error
}

// begin prints the last count lines (count < 0: all) that are not older than from.
func (t *tail) begin(ctx context.Context, count int, from time.Time) error {
	end, err := t.search(ctx, func(auditLine) bool { return false })
	if err != nil {
		return err
	}
	start := uint64(0)
	if !from.IsZero() {
		// Lines are sealed in the order of their times, give or take what happened in the same moment.
		if start, err = t.search(ctx, func(l auditLine) bool { return !l.Event.Time.Before(from.Add(-time.Minute)) }); err != nil {
			return err
		}
	}
	if count >= 0 && end > uint64(count) {
		start = max(start, end-uint64(count))
	}
	// The newest lines have no number yet, so the last count lines are only known once they have all been read.
	var last []auditLine
	seen := map[string]bool{} // without a number a line comes with every page, and once more when it is given one
	t.after = start
	for {
		lines, err := t.page(ctx, t.after, auditPage)
		if err != nil {
			return err
		}
		before := t.after
		for _, l := range lines {
			t.after = max(t.after, l.Seq)
			if l.Event.Time.Before(from) || seen[l.Event.ID] {
				continue
			}
			if l.Seq == 0 {
				seen[l.Event.ID] = true
			}
			if count < 0 {
				if err := t.show(l); err != nil {
					return err
				}
				continue
			}
			if last = append(last, l); len(last) > count {
				last = last[1:]
			}
		}
		if t.after == before {
			break
		}
	}
	for _, l := range last {
		if err := t.show(l); err != nil {
			return err
		}
	}
	for id := range seen {
		t.printed[id] = true // also those that were too old to print
	}
	return nil
}

// follow prints what comes, until ctx ends.
func (t *tail) follow(ctx context.Context) error {
	for {
		lines, err := t.page(ctx, t.after, auditPage)
		if err != nil {
			return err
		}
		before := t.after
		for _, l := range lines {
			t.after = max(t.after, l.Seq)
			if err := t.show(l); err != nil {
				return err
			}
		}
		if t.after > before {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// show prints a line once: an event may be met a second time when it has been sealed meanwhile.
func (t *tail) show(l auditLine) error {
	if t.printed[l.Event.ID] {
		if l.Seq > 0 {
			delete(t.printed, l.Event.ID)
		}
		return nil
	}
	if l.Seq == 0 {
		t.printed[l.Event.ID] = true
	}
	return t.print(l)
}

// search returns the number before the first sealed line for which right is true, or the last number when it never is. The lines
// are in order, so a journal of a million lines is searched with some forty requests.
func (t *tail) search(ctx context.Context, right func(auditLine) bool) (uint64, error) {
	// beyond says whether the line after seq is one of those looked for, or is not there.
	beyond := func(seq uint64) (bool, error) {
		lines, err := t.page(ctx, seq, 1)
		if err != nil {
			return false, err
		}
		return len(lines) == 0 || lines[0].Seq == 0 || right(lines[0]), nil
	}
	low, high := uint64(0), uint64(1)
	if ok, err := beyond(0); ok || err != nil {
		return 0, err
	}
	for {
		ok, err := beyond(high)
		if err != nil {
			return 0, err
		}
		if ok {
			break
		}
		if low, high = high, high*2; high > 1<<62 {
			return 0, errors.New("the journal does not end")
		}
	}
	for high-low > 1 {
		middle := low + (high-low)/2
		ok, err := beyond(middle)
		if err != nil {
			return 0, err
		}
		if ok {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// page asks for the lines after a number.
func (t *tail) page(ctx context.Context, after uint64, n int) ([]auditLine, error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "n": {strconv.Itoa(n)}}
	res, err := t.client.do(ctx, http.MethodGet, t.client.url(t.server, "/api/v1/audit?"+query.Encode()))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	var lines []auditLine
	s := bufio.NewScanner(res.Body)
	s.Buffer(nil, auditLineLimit)
	for s.Scan() {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		l := auditLine{raw: bytes.Clone(s.Bytes())}
		if err := json.Unmarshal(l.raw, &l); err != nil {
			return nil, fmt.Errorf("the server's answer is no journal: %w", err)
		}
		if lines = append(lines, l); len(lines) > 2*auditPage {
			return nil, fmt.Errorf("the server gave more lines than the %d that were asked for", n)
		}
	}
	return lines, s.Err()
}

func (a *app) printLine(l auditLine) error {
	_, err := fmt.Fprintf(a.stdout, "%s\n", l.raw)
	return err
}

// printEvent prints an event as a sentence: when, who, what, to what.
func (a *app) printEvent(l auditLine) error {
	e := l.Event
	what := e.Repo
	if e.Tag != "" {
		what += ":" + e.Tag
	}
	if e.Digest != "" {
		what += "@" + e.Digest
	}
	words := []string{e.Time.UTC().Format(time.RFC3339), e.Actor, e.Action}
	for _, word := range []string{what, e.Object, e.Note} {
		if word != "" {
			words = append(words, word)
		}
	}
	if e.Result != "" && e.Result != "ok" {
		words = append(words, "("+e.Result+")")
	}
	_, err := fmt.Fprintln(a.stdout, printable(strings.Join(words, "  ")))
	return err
}

// auditVerdict is the server's answer to a check of its journal.
type auditVerdict struct {
	Checked uint64 `json:"checked"`
	OK      bool   `json:"ok"`
	Broken  *struct {
		Seq    uint64 `json:"seq"`
		Reason string `json:"reason"`
	} `json:"broken,omitempty"`
}

func (a *app) auditVerify() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the chain of the server's journal",
		Long: `Check the chain of the server's journal: each line carries the hash of the one before it, so an altered or missing line shows.

The exit status is 1 when the chain is broken.`,
		Args: takes(0, 0),
	}
	c := a.clientFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		server := c.server()
		v, err := c.verifyAudit(cmd.Context(), server)
		if err != nil {
			return explain(err, "check the journal of %s", server)
		}
		if output == "json" {
			if err := a.printJSON(v); err != nil {
				return err
			}
		} else if v.OK {
			fmt.Fprintf(a.stdout, "%d lines, all in order\n", v.Checked)
		}
		if v.OK {
			return nil
		}
		if v.Broken == nil {
			return explain(errors.New("the chain is broken"), "check the journal of %s", server)
		}
		return explain(fmt.Errorf("the chain is broken at line %d: %s", v.Broken.Seq, v.Broken.Reason), "check the journal of %s", server)
	}
	outputFlag(cmd, &output)
	return cmd
}

func (c *client) verifyAudit(ctx context.Context, server string) (*auditVerdict, error) {
	res, err := c.do(ctx, http.MethodPost, c.url(server, "/api/v1/audit/verify"))
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, refusal(res)
	}
	v := new(auditVerdict)
	if err := readJSON(io.LimitReader(res.Body, 64<<10), v); err != nil {
		return nil, fmt.Errorf("the server's answer is no verdict: %w", err)
	}
	return v, nil
}
