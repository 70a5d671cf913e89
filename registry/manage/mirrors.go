package manage

import (
	"context"
	"errors"
	"net/http"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry/upstream/mirror"
)

func (m *manage) mirrorRows() []row {
	return []row{
		{"mirrors", "/mirrors", map[string]method{http.MethodGet: {m.listMirrors, paging}}},
		{"mirror-runs", "/mirrors/runs", map[string]method{http.MethodPost: {m.runMirror, nil}}},
	}
}

// listMirrors lists what is mirrored, and how it is with it.
func (m *manage) listMirrors(w http.ResponseWriter, r *http.Request, c door.Call) error {
	all := []mirror.State{}
	if m.Mirrors != nil {
		all = m.Mirrors.States()
	}
	return list(w, r, c, all, func(s mirror.State) string { return s.Repository })
}

// runMirror mirrors a repository now, or follows the run that is under way.
func (m *manage) runMirror(w http.ResponseWriter, r *http.Request, c door.Call) error {
	var asked struct {
		Repository string `json:"repository"`
	}
	if err := read(w, r, c, &asked); err != nil {
		return err
	}
	if asked.Repository == "" {
		return refused(badRequest, `name a repository, as {"repository": "docker.io/library/alpine"}`)
	}
	if m.Mirrors == nil {
		return noMirror(asked.Repository)
	}
	ctx, leave := context.WithCancel(c.By(r))
	defer leave()
	go func() {
		select {
		case <-m.Stopping:
			leave()
		case <-ctx.Done():
		}
	}()
	var out *lines
	result, err := m.Mirrors.Start(ctx, asked.Repository, func(p mirror.Progress) {
		if out == nil {
			out = begin(w)
		}
		if out.say("progress", p); out.err != nil {
			leave()
		}
	})
	switch {
	case errors.Is(err, mirror.ErrUnknown):
		return noMirror(asked.Repository)
	case out == nil && errors.Is(err, mirror.ErrStopped):
		return refused(stopping, mirror.ErrStopped.Error())
	case err != nil:
		return err // cuts an answer that has begun
	}
	out.say("result", result)
	return out.err
}

func noMirror(repo string) error {
	return refused(notThere, auth.Clip(auth.Redact(repo))+" is not mirrored; what is stands below mirror: in the configuration, and in the list at "+base+"/mirrors")
}
