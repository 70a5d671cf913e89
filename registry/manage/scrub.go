package manage

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

// scrubs are the routes of scrubbing.
type scrubs struct {
	*manage
	*registry.Scrubber
}

// ScrubRoutes returns the part of the table that is about reading all content again; it goes beside what Routes returns. stopping is as in Config.
//
//	curl -u root https://registry.example.com/api/v1/scrub
//	curl -u root -N -H 'Content-Type: application/json' -d '{}' https://registry.example.com/api/v1/scrub/runs
func ScrubRoutes(s *registry.Scrubber, stopping <-chan struct{}) []door.Route {
	all := &scrubs{&manage{Config{Stopping: stopping}}, s}
	return []door.Route{
		row{"scrub", "/scrub", map[string]method{http.MethodGet: {all.scrubState, nil}}}.route(),
		row{"scrub-runs", "/scrub/runs", map[string]method{http.MethodPost: {all.runScrub, nil}}}.route(),
	}
}

// scrubState tells how it is with scrubbing, and which blobs are damaged.
func (s *scrubs) scrubState(w http.ResponseWriter, r *http.Request, c door.Call) error {
	state, err := s.State(r.Context())
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
func (s *scrubs) runScrub(w http.ResponseWriter, r *http.Request, c door.Call) error {
	if err := read(w, r, c, &struct{}{}); err != nil {
		return err
	}
	begun := false
	err := watch(c.By(r), s.manage, w, func(ctx context.Context, tell func(registry.ScrubTally)) (registry.ScrubResult, error) {
		return s.Start(ctx, func(t registry.ScrubTally) { begun = true; tell(t) })
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

var scrubsElsewhere = door.Answer{Status: http.StatusConflict, Code: "BUSY", Message: "another replica is at it"}
