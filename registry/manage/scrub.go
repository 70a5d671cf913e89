package manage

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

func (m *manage) scrubRows() []row {
	return []row{
		{"scrub", "/scrub", map[string]method{http.MethodGet: {m.scrubState, nil}}},
		{"scrub-runs", "/scrub/runs", map[string]method{http.MethodPost: {m.runScrub, nil}}},
	}
}

// scrubState tells how it is with scrubbing, and which blobs are damaged.
func (m *manage) scrubState(w http.ResponseWriter, r *http.Request, _ door.Call) error {
	if m.Scrubber == nil {
		return refused(notThere, noScrubs)
	}
	state, err := m.Scrubber.State(r.Context())
	if err != nil {
		return err
	}
	body, err := line(state)
	if err != nil {
		return err
	}
	head(w, "application/json").Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// runScrub reads everything now, or goes on with a run that was cut, or follows the one that is under way.
func (m *manage) runScrub(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := read(w, r, c, &struct{}{}); err != nil {
		return err
	}
	if m.Scrubber == nil {
		return refused(notThere, noScrubs)
	}
	begun := false
	err := watch(c.By(r), m, w, func(ctx context.Context, tell func(registry.ScrubTally)) (registry.ScrubResult, error) {
		return m.Scrubber.Start(ctx, func(t registry.ScrubTally) { begun = true; tell(t) })
	})
	switch {
	case begun:
		return err // it cuts the answer
	case errors.Is(err, registry.ErrScrubStopped):
		return refused(stopping, registry.ErrScrubStopped.Error())
	case errors.Is(err, registry.ErrScrubElsewhere):
		return refused(scrubsElsewhere, registry.ErrScrubElsewhere.Error())
	}
	return err
}

const noScrubs = "this registry does not read its content again"

var scrubsElsewhere = door.Answer{Status: http.StatusConflict, Code: "BUSY", Message: "another replica is at it"}
