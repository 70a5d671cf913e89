package upstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// question is one that many wait for.
type question struct {
	done chan struct{}
	err  error
}

// ask has one question asked for all who want the same. It goes on when whoever came first has left.
func (t *Through) ask(ctx context.Context, name string, do func(context.Context) error) error {
	t.mu.Lock()
	q := t.asking[name]
	if q == nil {
		q = &question{done: make(chan struct{})}
		t.asking[name] = q
		work, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		go func() {
			defer cancel()
			err := do(work)
			t.mu.Lock()
			q.err = err
			delete(t.asking, name)
			t.mu.Unlock()
			close(q.done)
		}()
	}
	t.mu.Unlock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func denied(u *Upstream, repo string) error {
	return &registry.Error{Code: registry.Denied, Detail: map[string]string{"name": repo, "hint": "it may not be pulled through from " + u.Remote.Name() + ": the configuration does not allow it"}}
}

// absent tells whether an error says that something is not here.
func absent(err error) bool {
	code := registry.Code(err)
	return code == registry.BlobUnknown || code == registry.BlobDamaged || code == registry.NameUnknown || code == registry.ManifestUnknown
}

// refusal tells a client what its upstream said.
func (t *Through) refusal(u *Upstream, repo string, err error) error {
	if registry.Code(err) == registry.ManifestInvalid {
		return unfit(u, repo, err)
	}
	var e *remote.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	detail := map[string]string{"name": repo, "upstream": u.Remote.Name(), "hint": strings.TrimSpace(e.Code + " " + e.Message)}
	if detail["hint"] == "" {
		detail["hint"] = u.Remote.Name() + " does not answer as it should, and nothing is kept here; try again later"
	}
	out := &registry.Error{Code: registry.UpstreamDown, Detail: detail, Err: err}
	switch {
	case errors.Is(err, remote.ErrNotFound):
		out.Code = registry.NameUnknown
	case errors.Is(err, remote.ErrDenied):
		out.Code = registry.Denied
	case errors.Is(err, remote.ErrLimited):
		out.Code = registry.UpstreamLimited
	}
	out.After = e.RetryAfter
	if out.After == 0 && (out.Code == registry.UpstreamDown || out.Code == registry.UpstreamLimited) {
		out.After = 10 * time.Second
	}
	return out
}

// unfit tells a client that what its upstream has is no manifest that is kept here. It is not the client who has sent that.
func unfit(u *Upstream, repo string, err error) error {
	hint := "what " + u.Remote.Name() + " has under this name is no manifest that is kept here"
	var e *registry.Error
	if errors.As(err, &e) {
		if detail, ok := e.Detail.(map[string]any); ok {
			if faults, ok := detail["faults"].([]string); ok {
				hint += ": " + strings.Join(faults, "; ")
			}
		}
	}
	return &registry.Error{Code: registry.UpstreamDown, Detail: map[string]string{"name": repo, "upstream": u.Remote.Name(), "hint": hint}, Err: err, After: 10 * time.Second}
}

func (t *Through) blobRefusal(u *Upstream, repo string, d digest.Digest, err error) error {
	if errors.Is(err, remote.ErrNotFound) {
		return &registry.Error{Code: registry.BlobUnknown, Detail: map[string]string{"name": repo, "digest": string(d)}}
	}
	return t.refusal(u, repo, err)
}
