package oracle

import "regexp"

// difference is one that is meant to be, with the reason why.
type difference struct {
	pattern *regexp.Regexp
	reason  string
}

func differs(pattern, reason string) difference {
	return difference{regexp.MustCompile(pattern), reason}
}

// accepted is every difference between the two that is meant to be. Patterns match lines of the form
// "question: what: entrepot <> distribution".
var accepted = []difference{
	differs(`: Docker-Distribution-Api-Version:  <> registry/2\.0$`,
		"an optional header of Docker's; entrepot sends it where clients look for it, on /v2/, and not with every reply"),
	differs(`^ping by POST: `, "distribution answers every method of /v2/ alike; the specification knows GET"),
	differs(`: (codes: \[UNSUPPORTED\] <> \[\]|Content-Type: application/json <> text/plain)$`,
		"distribution refuses methods and routes that it does not know in plain text; entrepot keeps to the envelope"),
	differs(`^no such root: Content-Type: application/problem\+json <> text/plain$`, "below /v2/ errors are in the envelope, elsewhere problem details (RFC 9457)"),
	differs(`^chunk (out of order|again): codes: \[BLOB_UPLOAD_INVALID\] <> \[RANGE_INVALID\]$`, "RANGE_INVALID is not in the specification's table"),
	differs(`^chunk (out of order|again): (Location|Range): .* <> $`, "entrepot tells at once where to go on, which saves the client a GET"),
	differs(`^(chunk|close) of an upload that never was: codes: \[BLOB_UPLOAD_UNKNOWN\] <> \[BLOB_UPLOAD_INVALID\]$`,
		"without a state in the query distribution cannot tell an unknown upload from a damaged one"),
	differs(`^single POST: status: 201 <> 202$`, "distribution has no single POST and begins an upload instead, which the specification allows"),
	differs(`^GET where uploads begin: `, "distribution takes the empty id for an unknown upload; entrepot says that only POST is meant there"),
	differs(`^mount of a digest that is none: `, "distribution begins an upload; the specification's 400 for invalid digests tells the client sooner"),
	differs(`^manifest without Accept: `, "distribution hides an OCI manifest from clients that do not ask for its type; a tag or a digest names one manifest"),
	differs(`^manifest that the client has: (Docker-Content-Digest|Etag): .+ <> $`, "RFC 9110 (15.4.5) wants the ETag on a 304"),
	differs(`tag that is no tag: (status: 400 <> 404|codes: \[\w+\] <> \[\])$`, "distribution has no route for such a tag; entrepot tells a push what is wrong with it, and a pull that there is none"),
	differs(`name (in capitals|that begins with a dash): (status: 400 <> 404|codes: \[NAME_INVALID\] <> \[\])$`,
		"distribution has no route for such a name; entrepot says what is wrong with it"),
	differs(`^push with an unknown blob: status: 404 <> 400$`, "the specification's table has 404 for end-7; the code is the same"),
	differs(`^push of more than the limit: `, "the specification asks for 413"),
	differs(`^(tags|catalog), (fewer than none|no number): codes: \[UNSUPPORTED\] <> \[PAGINATION_NUMBER_INVALID\]$`,
		"PAGINATION_NUMBER_INVALID is not in the specification's table"),
	differs(`: Allow: .*HEAD.* <> |^HEAD of tags: `, "where GET is, HEAD is too (RFC 9110, 9.3.2): lists have it here"),
	differs(`^blob, (beyond its end|backwards): Docker-Content-Digest:  <> `, "an error's body is not what the digest names"),
	differs(`^catalog, one: Link: `, "a repository that holds only a mounted blob is in distribution's catalog, and not in entrepot's until it has a manifest"),
}
