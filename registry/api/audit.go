package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
)

// auditPage is the most lines of the journal that one answer holds.
const auditPage = 1000

// getAudit serves the journal as one JSON line an event: sealed ones after the given number, then those that are not sealed yet.
func (a *API) getAudit(w http.ResponseWriter, r *http.Request, c call) error {
	number := func(name string, otherwise, most uint64) (uint64, error) {
		value := c.query.Get(name)
		if value == "" {
			return otherwise, nil
		}
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return 0, &refusal{answer: badQuery, detail: map[string]string{"parameter": name, "value": clip(value), "hint": "a whole number, 0 or more"}}
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
	var body bytes.Buffer
	for line, err := range a.registry.Journal().Tail(r.Context(), after, int(n)) {
		if err != nil {
			return err
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
	}
	return writeJSON(w, body.Bytes(), "application/x-ndjson")
}

// verifyAudit recomputes the journal's chain.
func (a *API) verifyAudit(w http.ResponseWriter, r *http.Request, _ call) error {
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
