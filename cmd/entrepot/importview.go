package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/importer"
)

// importRun moves, tells how it goes, and at the end what came and what did not.
func (a *app) importRun(ctx context.Context, plan importer.Config) (importer.Report, error) {
	v := &importView{w: a.stderr}
	if f, ok := a.stderr.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		v.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	plan.Tell = v.tell
	report, err := importer.Run(ctx, plan)
	v.end()
	if err != nil && report.Repositories == 0 {
		return report, err
	}
	for _, f := range report.Failures {
		fmt.Fprintln(a.stderr, "entrepot: "+printable(strings.TrimPrefix(f.Repo+": ", ": ")+f.What)+": "+whyNot(f.Err))
	}
	if report.More > 0 {
		fmt.Fprintf(a.stderr, "entrepot: and %d more\n", report.More)
	}
	came := "came"
	if plan.DryRun {
		came = "would come"
	}
	fmt.Fprintf(a.stdout, "looked at %d repositories\n%s: %s", report.Repositories, came, tallied(report.Came))
	switch {
	case report.Duplicated > 0:
		fmt.Fprintf(a.stdout, " (%d blobs copied by S3 itself, %d from another repository here)", report.Duplicated, report.Mounted)
	case report.Linked+report.Mounted > 0:
		fmt.Fprintf(a.stdout, " (%d blobs by a link, %d from another repository here)", report.Linked, report.Mounted)
	}
	fmt.Fprintf(a.stdout, "\nwere here: %s\n", tallied(report.Here))
	if report.Lists > 0 {
		fmt.Fprintf(a.stdout, "left away: %d tags that only list referrers; this registry lists them itself\n", report.Lists)
	}
	if err != nil {
		return report, fmt.Errorf("the import ended early: %w", err)
	}
	if n := len(report.Failures) + report.More; n > 0 {
		return report, fmt.Errorf("%d things did not come, as told above; put them right, or leave them away with --repositories and --tags, and run it again", n)
	}
	return report, nil
}

func tallied(t importer.Tally) string {
	return fmt.Sprintf("%d tags, %d manifests, %d blobs, %s", t.Tags, t.Manifests, t.Blobs, humanSize(t.Bytes))
}

// whyNot says why something did not come, in a line or a few.
func whyNot(err error) string {
	var e *registry.Error
	if !errors.As(err, &e) {
		var p *problem
		if errors.As(err, &p) {
			return oneLine(p.Error())
		}
		_, text, _ := strings.Cut(explainAll(err, "it").Error(), ": ")
		return text
	}
	if e.Err != nil {
		return oneLine(err.Error())
	}
	var d refusalDetail
	if text, broken := json.Marshal(e.Detail); broken != nil || json.Unmarshal(text, &d) != nil {
		return oneLine(err.Error())
	}
	return d.text(e.Code)
}

// importView tells of an import while it runs: on a terminal in one line that changes, elsewhere in a line for each repository that is done.
type importView struct {
	w        io.Writer
	terminal bool
	repo     string          // under way
	last     importer.Report // as far as it was told of
	now      importer.Report
	drawn    time.Time
}

func (v *importView) tell(repo string, so importer.Report) {
	if repo != v.repo {
		v.done()
		v.repo, v.last = repo, v.now
	}
	v.now = so
	if v.terminal && time.Since(v.drawn) > 150*time.Millisecond {
		v.drawn = time.Now()
		line := fmt.Sprintf("%d repositories, %s; %s", so.Repositories, tallied(so.Came), printable(repo))
		fmt.Fprintf(v.w, "\r\x1b[K%.78s", line)
	}
}

// done tells of the repository that was under way.
func (v *importView) done() {
	if v.repo == "" || v.terminal {
		return
	}
	t, was := v.now.Came, v.last.Came
	fmt.Fprintf(v.w, "%s: %s\n", printable(v.repo),
		tallied(importer.Tally{Tags: t.Tags - was.Tags, Manifests: t.Manifests - was.Manifests, Blobs: t.Blobs - was.Blobs, Bytes: t.Bytes - was.Bytes}))
}

func (v *importView) end() {
	v.done()
	v.repo = ""
	if v.terminal {
		fmt.Fprint(v.w, "\r\x1b[K")
	}
}
