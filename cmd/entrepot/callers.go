package main

import (
	"context"
	"errors"
	"fmt"

	rights "github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/login"
	"github.com/entrepot/entrepot/registry/upstream"
	"github.com/entrepot/entrepot/registry/upstream/remote"
)

// callersOf are the upstreams that each caller shows credentials of her own.
func callersOf(all []UpstreamEntry) (callers []upstream.CallersConfig) {
	for _, entry := range all {
		if entry.Callers {
			callers = append(callers, upstream.CallersConfig{Upstream: entry.Name, Admission: entry.AdmissionTTL})
		}
	}
	return callers
}

// loginsAt lets the people of such upstreams log in, by asking these whether they take what is shown.
func loginsAt(callers []upstream.CallersConfig, through *upstream.Callers) (all []login.Upstream) {
	for _, c := range callers {
		all = append(all, login.Upstream{Name: c.Upstream, Check: func(ctx context.Context, name, secret string) (login.Word, error) {
			proven, until, err := through.Login(ctx, c.Upstream, remote.Credentials{Username: name, Password: secret})
			if errors.Is(err, remote.ErrDenied) {
				err = fmt.Errorf("%w: %w", rights.ErrWrong, err)
			}
			return login.Word{Proven: proven, Until: until}, err
		}})
	}
	return all
}

// asCaller puts what a caller shows to an upstream into the context of her request.
func asCaller(ctx context.Context, who rights.Identity) context.Context {
	name, there, ok := who.AtUpstream()
	if !ok {
		return ctx
	}
	return upstream.WithCaller(ctx, name, remote.Credentials{Username: there, Password: who.Secret.Reveal()})
}
