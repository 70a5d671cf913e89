// Package remote is the client towards one upstream registry: it pulls manifests, blobs, tags and referrers (distribution-spec 1.1, "Pull" and
// "Content Discovery") and keeps out of trouble while it does.
//
//	hub, err := remote.New(remote.Config{
//		Name:        "docker.io",
//		URLs:        []string{"https://registry-1.docker.io"},
//		Credentials: remote.PasswordFile("robot", "/etc/entrepot/hub-password"),
//	})
//	d, err := hub.Head(ctx, "library/alpine", "3.20")                // what the tag names now
//	d, content, err := hub.Manifest(ctx, "library/alpine", "3.20")   // its bytes
//	body, err := hub.Blob(ctx, "library/alpine", layer, 1<<20)       // a blob from its second MiB on
//	if errors.Is(err, remote.ErrLimited) { … }                       // [Error] has what the upstream said
//
// The promises:
//   - Passwords and tokens go to the hosts of Config.URLs and to the realms that are listed, and to nobody else, wherever a challenge or a
//     redirect points; over plain http to this machine only. They are in no error and no line of the log.
//   - What the upstream sends is bounded: headers, manifests, lists, pages, tokens, redirects, the text of errors, and the time of all of it.
//     A manifest matches its digest.
//   - An upstream that hangs costs one bounded wait; after a few it is left alone for a while ([Breaker]), with its other URLs in its place.
//   - Nothing is asked twice, but for one more try at the next URL after a failure, and once more with a new token. It never sleeps on a 429.
//
// It leaves to others: to hash blobs, to bound their size by what a manifest says, to go on at an offset after a blob broke off, to judge manifests
// (registry.ParseManifest), to keep anything, and to decide what is fresh. Whoever opens a blob closes it: it holds a connection until then.
package remote
