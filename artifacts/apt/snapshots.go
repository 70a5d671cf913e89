package apt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/artifacts/suite"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// dateForm is how a snapshot is called in paths.
const dateForm = "20060102T150405Z"

func parseDate(text string) (time.Time, bool) {
	t, err := time.Parse(dateForm, text)
	return t, err == nil && t.Format(dateForm) == text // Parse takes fractions, too
}

// getOldFile serves a file of the snapshot that was published at a time.
func (v *view) getOldFile(w http.ResponseWriter, r *http.Request, c door.Call) error {
	date, name, _ := strings.Cut(c.Last, "/")
	at, _ := parseDate(date)
	s, err := v.suiteAt(r.Context(), suiteOf(c.On), at)
	if err != nil {
		return err
	}
	// Between two dates a third one may still come, if they are those of the future.
	return v.sendFile(w, r, c, s, name, s.Date.Equal(at))
}

// suiteAt returns the snapshot of a time: the newest that is not later.
func (v *view) suiteAt(ctx context.Context, name string, at time.Time) (suite.Snapshot, error) {
	s, err := v.catalog.SuiteAt(ctx, name, at)
	if errors.Is(err, artifacts.ErrUnknown) {
		var date time.Time
		if date, err = v.newest(ctx, name, at); err != nil {
			return s, err
		}
		s, err = v.catalog.SuiteAt(ctx, name, date)
	}
	if errors.Is(err, artifacts.ErrUnknown) { // it went since
		return s, tooOld(name)
	}
	if err != nil {
		return s, fmt.Errorf("read suite %s as of %s: %w", name, at.Format(dateForm), err)
	}
	return s, nil
}

// newest returns the date of the newest snapshot that is not later than a time.
func (v *view) newest(ctx context.Context, name string, at time.Time) (date time.Time, err error) {
	for d, err := range v.catalog.Snapshots(ctx, name) {
		if err != nil && !errors.Is(err, artifacts.ErrUnknown) {
			return date, fmt.Errorf("list snapshots of suite %s: %w", name, err)
		}
		if err != nil || d.After(at) {
			break
		}
		date = d
	}
	if !date.IsZero() {
		return date, nil
	}
	if _, err := v.suite(ctx, name); err != nil {
		return date, err
	}
	return date, tooOld(name)
}

func tooOld(name string) error {
	return notFound("no snapshot of suite "+name+" is kept that is so old", "/apt/snapshots/?suite="+name+" lists those that are")
}

// maxDates is how many dates a page of the list has, if not less are asked for.
const maxDates = 1000

// getSnapshots lists the dates of a suite that are kept, the oldest first.
func (v *view) getSnapshots(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := knows(c.Query, "suite", "after", "limit"); err != nil {
		return err
	}
	name := c.Query.Get("suite")
	if err := suite.CheckName(name); err != nil {
		return badRequest("name a suite, as /apt/snapshots/?suite=cloud-prod: " + err.Error())
	}
	if err := c.Ask(r.Context(), auth.Pull, artifacts.SuiteRepo(name)); err != nil {
		return err
	}
	after, limit, err := page(c.Query)
	if err != nil {
		return err
	}
	dates, more, err := v.dates(r.Context(), name, after, limit)
	if err != nil {
		return err
	}
	next := ""
	if more {
		next = dates[len(dates)-1]
		link := url.URL{Path: "/apt/snapshots/", RawQuery: url.Values{"suite": {name}, "after": {next}, "limit": {strconv.Itoa(limit)}}.Encode()}
		w.Header().Set("Link", "<"+link.String()+`>; rel="next"`)
	}
	return sendDates(w, r, dates, next)
}

// page reads which dates are wanted.
func page(q url.Values) (after time.Time, limit int, err error) {
	if text := q.Get("after"); text != "" {
		var ok bool
		if after, ok = parseDate(text); !ok {
			return after, 0, badRequest("after is a date of the page before, as 20260102T030405Z")
		}
	}
	if text := q.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxDates {
			return after, 0, badRequest("limit is a number from 1 to " + strconv.Itoa(maxDates))
		}
		return after, limit, nil
	}
	return after, maxDates, nil
}

// dates returns a page of dates.
func (v *view) dates(ctx context.Context, name string, after time.Time, limit int) (page []string, more bool, err error) {
	for date, err := range v.catalog.Snapshots(ctx, name) {
		switch {
		case errors.Is(err, artifacts.ErrUnknown):
			return nil, false, noSuite(name)
		case err != nil:
			return nil, false, fmt.Errorf("list snapshots of suite %s: %w", name, err)
		case !date.After(after):
			continue
		case len(page) == limit:
			return page, true, nil
		}
		page = append(page, date.UTC().Format(dateForm))
	}
	if len(page) == 0 && after.IsZero() {
		_, err = v.suite(ctx, name)
	}
	return page, false, err
}

// sendDates writes a line for each date, or JSON for who asks for it.
func sendDates(w http.ResponseWriter, r *http.Request, dates []string, next string) error {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		return sendText(w, r, plain, private, []byte(lines(dates)))
	}
	body, err := json.Marshal(struct {
		Items []string `json:"items"`
		Next  string   `json:"next,omitempty"`
	}{append([]string{}, dates...), next})
	if err != nil {
		return err
	}
	return sendText(w, r, "application/json", private, append(body, '\n'))
}

// lines are texts with a line each.
func lines(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return strings.Join(all, "\n") + "\n"
}
