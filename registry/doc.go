// Package registry holds the rules of an OCI registry: names, uploads, blobs, manifests, tags and referrers.
//
// It stands on two floors, content ([blob.Store]) and index ([kv.DB]), and records each change in the journal, within the change's
// own transaction. It knows no HTTP and takes no decision about who may do what: the doors (registry/api, door) do both.
//
//	reg, err := registry.Open(ctx, registry.Config{Blobs: store, Index: index, Uploads: uploads})
//	go reg.Run(ctx)                                              // seals the journal, settles content, expires uploads
//	up, err := reg.Begin(ctx, "cloud/dmp/ms-ingestion", "")      // POST   blobs/uploads/
//	size, err := reg.Append(ctx, repo, up.ID, -1, -1, body)      // PATCH  blobs/uploads/<id>
//	err = reg.Finish(ctx, repo, up.ID, -1, -1, nil, digest)      // PUT    blobs/uploads/<id>?digest=…
//	put, err := reg.PutManifest(ctx, registry.Put{…})            // PUT    manifests/1.0.2
//
// The promises:
//   - A nil error means durable: the change survives a power cut. An error means that nothing of it is visible.
//   - Content is hashed once, here, as it streams by; what is readable under a digest matches it.
//   - A blob is stored once for all repositories; that a repository may read it is a row of its own, a hold.
//   - A manifest's bytes, and small blobs, lie in the index, durable with the row that names them, and are copied to the blob
//     store soon after ([Registry.Run]), from which the index can be rebuilt ([Reindex]).
//   - An upload's row survives a restart of the program; it need not survive a power cut.
//
// What is stored under which key is declared in keys.go and nowhere else.
package registry
