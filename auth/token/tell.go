package token

import (
	"context"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// Processes on one index tell each other that keys changed, if it lets them: after a leak no token of an old key is good anywhere.

const (
	channel = "entrepot keys"
	// maxTell bounds the time of telling others.
	maxTell = 2 * time.Second
	// rereadEvery is how often keys are read that other processes may have changed without being heard.
	rereadEvery = 5 * time.Second
)

// tell tells other processes that the keys changed. If that fails they find it out by themselves.
func (i *Issuer) tell(ctx context.Context) {
	teller, ok := i.c.Index.(kv.Teller)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxTell)
	defer cancel()
	if err := teller.Notify(ctx, channel, ""); err != nil {
		i.c.Log.WarnContext(ctx, "other registries are not told of changed signing keys; they look for them themselves", "error", err, "within", rereadEvery)
	}
}

// listen reads the keys whenever another process tells that they changed, and now and then, until ctx ends. What fails is tried again, and is logged by Run.
func (i *Issuer) listen(ctx context.Context) {
	teller, ok := i.c.Index.(kv.Teller)
	if !ok {
		return
	}
	reread := func(string) {
		bounded, cancel := context.WithTimeout(ctx, maxTend)
		defer cancel()
		_ = i.reload(bounded)
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		teller.Listen(ctx, channel, reread)
	}()
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			<-listening
			return
		case <-tick.C:
			reread("")
		}
	}
}
