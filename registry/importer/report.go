package importer

// Tally counts what was moved, or what was here already.
type Tally struct {
	Tags      int
	Manifests int
	Blobs     int
	Bytes     int64 // of the blobs
}

// Report is what became of a run.
type Report struct {
	Repositories int   // that were looked at
	Came         Tally // or would come, if nothing was to be changed
	Here         Tally // before
	Mounted      int   // blobs among those that came which another repository had
	Linked       int   // blobs among those that came whose file is shared with the source
	Duplicated   int   // blobs among those that came which were copied by the server that has them
	Lists        int   // tags that only list referrers: what they list came, and is listed by itself
	Failures     []Failure
	More         int // failures beyond those
}

// Failure is something that did not come.
type Failure struct {
	Repo string // as the source calls it; may be empty
	What string // "tag 1.0", "manifest sha256:…"
	Err  error
}

// maxFailures are kept; what is beyond is counted.
const maxFailures = 10_000
