package upstream

import (
	"context"

	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// callerKey and clientKey are the keys under which a context has who asks, and by which client.
type (
	callerKey struct{}
	clientKey struct{}
)

type caller struct {
	upstream    string
	credentials remote.Credentials
}

// WithCaller returns a context in which somebody asks who shows an upstream these credentials. To other upstreams they are shown to nobody.
func WithCaller(ctx context.Context, upstream string, credentials remote.Credentials) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{upstream, credentials})
}

// CallerOf returns the upstream and the credentials of WithCaller.
func CallerOf(ctx context.Context) (upstream string, credentials remote.Credentials, ok bool) {
	c, ok := ctx.Value(callerKey{}).(caller)
	return c.upstream, c.credentials, ok
}

type client struct {
	upstream string
	remote   *remote.Remote
}

// client is who asks the upstream: the caller, where she was admitted, else this registry.
func (u *Upstream) client(ctx context.Context) *remote.Remote {
	if c, ok := ctx.Value(clientKey{}).(client); ok && c.upstream == u.Remote.Name() {
		return c.remote
	}
	return u.Remote
}

// shows returns what the context's caller shows an upstream; the zero value is nobody.
func shows(ctx context.Context, name string) remote.Credentials {
	if upstream, credentials, ok := CallerOf(ctx); ok && upstream == name {
		return credentials
	}
	return remote.Credentials{}
}

func (p pass) carry(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, clientKey{}, client{name, p.remote})
}
