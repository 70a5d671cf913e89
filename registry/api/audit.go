package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
)

// auditPage is the most lines of the journal that one answer holds, auditReach how far one request looks for those that the caller may read.
const (
	auditPage  = 1000
	auditReach = 100_000
)

// getAudit serves the journal as one JSON line an event: sealed ones after the given number, then those that are not sealed yet. Who may read only a
// part of it gets that part: what happened where one may audit, and what one has done oneself. Of a search that was cut short the Link header tells where
// it goes on.
func (a *API) getAudit(w http.ResponseWriter, r *http.Request, c door.Call) error {
	number := func(name string, otherwise, most uint64) (uint64, error) {
		value := c.Query.Get(name)
		if value == "" {
			return otherwise, nil
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return 0, &door.Refusal{Answer: door.BadQuery, Detail: map[string]string{"parameter": name, "value": auth.Clip(value), "hint": "a whole number, 0 or more"}}
		}
		return min(n, most), nil
	}
	after, err := number("after", 0, 1<<62)
	if err != nil {
		return err
	}
	n, err := number("n", auditPage, auditPage)
	if err != nil {
		return err
	}
	if n == 0 {
		n = auditPage
	}
	var body bytes.Buffer
	ctx := r.Context()
	me, all, reach := c.Who.String(), c.May(ctx, auth.Audit, ""), int(n)
	if !all {
		reach = auditReach
	}
	shown, looked, last := 0, 0, after
	for line, err := range a.registry.Journal().Tail(ctx, after, reach) {
		if err != nil {
			return err
		}
		looked, last = looked+1, max(last, line.Seq)
		if !all && line.Event.Actor != me && (line.Event.Repo == "" || !c.May(ctx, auth.Audit, line.Event.Repo)) {
			continue
		}
		if line.Seq > 0 {
			body.WriteString(line.Text()) // exactly as it is kept, so that whoever reads it can recompute the chain
		} else {
			event, err := json.Marshal(line.Event)
			if err != nil {
				return err
			}
			body.WriteString(`{"event":`)
			body.Write(event)
			body.WriteByte('}')
		}
		body.WriteByte('\n')
		if shown++; shown == int(n) {
			break
		}
	}
	if !all && shown < int(n) && looked == auditReach {
		next := url.Values{"after": {strconv.FormatUint(last, 10)}, "n": {strconv.FormatUint(n, 10)}}
		w.Header().Set("Link", "<"+r.URL.Path+"?"+next.Encode()+`>; rel="next"`)
	}
	return writeJSON(w, body.Bytes(), "application/x-ndjson")
}

// verifyAudit recomputes the journal's chain.
func (a *API) verifyAudit(w http.ResponseWriter, r *http.Request, _ door.Call) error {
	report, err := a.registry.Journal().Verify(r.Context())
	if err != nil {
		return err
	}
	verdict := map[string]any{"checked": report.Lines, "hash": report.Hash, "ok": report.Sound()}
	if !report.Sound() {
		verdict["broken"] = map[string]any{"seq": report.Seq, "fault": report.Fault, "reason": report.Detail}
	}
	body, err := json.Marshal(verdict)
	if err != nil {
		return err
	}
	return writeJSON(w, append(body, '\n'), "application/json")
}
