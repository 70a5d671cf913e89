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
	"time"

	"github.com/spf13/cobra"
)

// answerLine is one line of the answer to what takes long.
type answerLine struct {
	Progress json.RawMessage `json:"progress"`
	Fate     json.RawMessage `json:"fate"`
	Result   json.RawMessage `json:"result"`
}

var (
	errSilent = fmt.Errorf("the server has said nothing for %s; ask again", formatDuration(answerTime))
	errCut    = errors.New("the connection ended before the answer did; what was begun goes on there, unless the server has stopped: ask again")
)

// lines asks for what takes long, below /api/v1, and gives each line but the last to each. It returns the result, which is the last; without one the answer is not
// whole. in is sent as JSON; nil: nothing is.
func (c *client) lines(ctx context.Context, method, server, path string, query url.Values, in any, each func(answerLine) error) (result json.RawMessage, err error) {
	if _, err := c.open(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(answerTime, func() { cancel(errSilent) })
	defer silence.Stop()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address(server, componentsAPI+path, query), body)
	if err != nil {
		return nil, err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.sendOwn(req)
	if err == nil {
		defer res.Body.Close()
		err = refused(res)
	}
	if err == nil {
		result, err = readLines(res, func(l answerLine) error { silence.Reset(answerTime); return each(l) })
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errSilent) {
		err = cause
	}
	return result, err
}

func readLines(res *http.Response, each func(answerLine) error) (json.RawMessage, error) {
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, answerLimit)
	for lines.Scan() {
		var l answerLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, notAsAsked(res.Request.URL.Host, err)
		}
		if l.Result != nil {
			return l.Result, nil
		}
		if err := each(l); err != nil {
			return nil, err
		}
	}
	if err := res.Request.Context().Err(); err != nil {
		return nil, err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, notAsAsked(res.Request.URL.Host, fmt.Errorf("a line is longer than %s", humanSize(answerLimit)))
	}
	return nil, errCut
}

// toldThere is for lines: it shows how far a run is, and passes over what else a line says.
func toldThere[P any](show func(P)) func(answerLine) error {
	return func(l answerLine) error {
		var p P
		if l.Progress != nil && json.Unmarshal(l.Progress, &p) == nil {
			show(p)
		}
		return nil
	}
}

// runThere has something done that takes long, shows how far it is, as steps says it, and returns what came of it.
func runThere[P any](ctx context.Context, a *app, c *client, server, path string, in any, steps func(P) string) (json.RawMessage, error) {
	view := newRunView(a.stderr)
	defer view.close()
	return c.lines(ctx, http.MethodPost, server, path, nil, in, toldThere(func(p P) { view.show(steps(p)) }))
}

// resultOf reads what came of something.
func resultOf[R any](server string, raw json.RawMessage) (r R, err error) {
	if err = json.Unmarshal(raw, &r); err != nil {
		err = notAsAsked(server, err)
	}
	return r, err
}

// serverOf is the server that a verb is for which may name it: as an argument, or as all verbs do.
func (c *client) serverOf(args []string) string {
	if len(args) > 0 {
		c.flag = args[0]
	}
	return c.server()
}

// linesFlag adds -o to a verb that prints very many things, one after the other.
func linesFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVarP(into, "output", "o", asTable, "how to print: table, or json with a line for each thing")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if *into != asTable && *into != asJSON {
			return misuse(cmd, "--output %q is neither table nor json", *into)
		}
		return nil
	}
}

// printTold prints something as a line of JSON, under a word that says what it is.
func (a *app) printTold(word string, value json.RawMessage) error {
	text, err := rawJSON(map[string]json.RawMessage{word: value})
	if err == nil {
		_, err = a.stdout.Write(text)
	}
	return err
}

// runView tells how far a run is: with a line that is drawn again on a terminal, elsewhere with one now and then.
type runView struct {
	*progress
	told time.Time
}

func newRunView(w io.Writer) *runView {
	p := newProgress(w)
	p.close() // nothing is drawn but when there is news
	return &runView{progress: p, told: time.Now()}
}

func (v *runView) show(steps string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.terminal:
		v.erase()
		fmt.Fprintln(v.w, cutTo(steps, 79))
		v.drawn = 1
	case time.Since(v.told) >= mirrorTells:
		fmt.Fprintln(v.w, steps)
		v.told = time.Now()
	}
}

// close takes away what was drawn.
func (v *runView) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.erase()
}
