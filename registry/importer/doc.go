// Package importer moves a whole registry over: repositories, tags, manifests of all platforms, what refers to them, and blobs.
//
//	old, err := importer.OpenFolder("/var/lib/registry")               // what distribution keeps on disk; NewFolder reads the same in a bucket
//	to := &importer.Local{Registry: reg}                               // a registry in this process; a running one is reached otherwise
//	report, err := importer.Run(ctx, importer.Config{From: old, To: to})
//	for _, f := range report.Failures { … }                            // what did not come, and why
//
// The promises:
//   - Manifests keep their bytes, and everything its digest: content that is not what its digest says is not brought.
//   - A manifest comes after all that it is made of, and a tag with its manifest. Whoever looks meanwhile sees what was, or all of what is new.
//   - What is here is not brought again: a run that was killed goes on where it was when it is repeated. No blob is sent twice.
//   - What fails stops nothing else. It is in the report, each with its reason; only a registry that is full or away ends a run early.
//   - A tag that names something else here stays, and is reported, unless the source is to win.
//   - A source's folder is read strictly: links are digests of a bounded length, and no symbolic link is followed. Nothing in it is changed, but that
//     files which are linked get the time of their arrival. A bucket is never written to.
//   - Where the medium can, bytes are not written a second time: a file gets one more name ([Links]), and a server copies what it has ([Copies]). All of
//     them are read and hashed before.
//
// It leaves to others: who may push (the caller decides), whether a push is good (the admissions of the registry do), and to speak with registries over
// HTTP (whoever implements [From] and [To] for them). Rows that a source keeps beside content, as accounts, are not moved.
package importer
