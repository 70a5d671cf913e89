package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/registry/upstream/remote"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// row is one fault, and what comes of it. What nobody asks the upstream for is the same under every fault, and so is no column: a tag that is fresh, and a blob that
// is kept, are served as they are, without a question.
type row struct {
	name string
	is   func(h *house) func(upstreamtest.Request) upstreamtest.Fault // what is wrong with answers from the moment on that the state is reached
	with []func(*plan)
	push func(up *upstreamtest.Upstream) upstreamtest.Image // what the tag names; each call another one; default: an image of OCI's media types

	cold  want // GET of a tag that was never pulled
	stale want // GET of a tag that was, long ago, and has moved upstream since
	blob  want // GET of a blob that is not kept, in whatever state the tag is
}

// want is what each of the clients sees, and what the upstream is asked for all of them.
type want struct {
	answer
	which       which
	heads, gets int
	more        int  // so many requests more are as good
	or503       bool // an error is as good, for who comes when it is known already that what comes is wrong
}

// which says what came by the image that it belongs to.
type which int

const (
	nothing which = iota
	first         // what the tag named when it was pulled, or the blob
	second        // what it names upstream now
)

// What clients see.
var (
	whole       = answer{status: 200}
	asBefore    = answer{status: 200, stale: true}
	unavailable = answer{status: 503, code: "UNAVAILABLE", retry: "10"}
	limited     = answer{status: 429, code: "TOOMANYREQUESTS", retry: "7"}
	refused     = answer{status: 403, code: "DENIED"}
	noManifest  = answer{status: 404, code: "MANIFEST_UNKNOWN"}
	noBlob      = answer{status: 404, code: "BLOB_UNKNOWN"}
	cutOff      = answer{}
)

func got(a answer, w which, heads, gets int) want {
	return want{answer: a, which: w, heads: heads, gets: gets}
}

// Sizes of the two layers of each image. Of the second, no answer that breaks at half brings all, and the third one does.
const (
	keptLayer    = 1000
	missingLayer = 250_000
	half         = 100_000
)

// wrong is a blob that is not what was asked for: that shows at its end, and the last of it goes out to nobody.
func wrong(gets int) want { return want{answer: cutOff, gets: gets, or503: true} }

// orTwice: net/http asks once more where a connection that it has kept turns out to be dead.
func (w want) orTwice() want { w.more = 1; return w }

// always is a fault in all answers about some kinds of things; none given: about all.
func always(f upstreamtest.Fault, kinds ...string) func(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(*house) func(upstreamtest.Request) upstreamtest.Fault { return upstreamtest.Always(f, kinds...) }
}

// forGood is a fault in each answer about a blob: the first brings half, and the others bring nothing.
func forGood(first, others upstreamtest.Fault) func(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(*house) func(upstreamtest.Request) upstreamtest.Fault {
		return func(q upstreamtest.Request) upstreamtest.Fault {
			switch {
			case q.Kind != "blobs":
				return nil
			case q.Nth == 1:
				return first
			}
			return others
		}
	}
}

// followed is a tag that is pulled without trouble: by one GET, and when it has moved by a HEAD and a GET.
var followedCold, followedStale = got(whole, first, 0, 1), got(whole, second, 1, 1)

// hanging is how long is waited for an upstream in the rows where it hangs.
const hanging = 3 * time.Second

var matrix = []row{
	{
		name: "none", is: always(nil),
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "slow", is: always(upstreamtest.Slow(1 << 20)),
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "hang before headers", is: always(upstreamtest.HangBeforeHeaders()), with: []func(*plan){patience(hanging)},
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "hang in the manifest", is: hangsInManifest, with: []func(*plan){patience(hanging)},
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{ // what has come is not asked for again
		name: "hang in the blob", is: hangsTwice, with: []func(*plan){patience(hanging)},
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 3),
	},
	{
		name: "truncated manifest", is: always(upstreamtest.TruncateAt(100), "manifests"),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "truncated blob", is: always(upstreamtest.TruncateAt(half), "blobs"),
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 3),
	},
	{ // five more tries bring nothing
		name: "truncated for good", is: forGood(upstreamtest.TruncateAt(half), upstreamtest.TruncateAt(0)),
		cold: followedCold, stale: followedStale, blob: got(cutOff, nothing, 0, 6),
	},
	{
		name: "reset in the manifest", is: always(upstreamtest.Reset(100), "manifests"),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "reset in the blob", is: always(upstreamtest.Reset(half), "blobs"),
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 3),
	},
	{
		name: "down after half of the blob", is: forGood(upstreamtest.Reset(half), upstreamtest.Status(503)),
		cold: followedCold, stale: followedStale, blob: got(cutOff, nothing, 0, 6),
	},
	{
		name: "reset at once", is: always(upstreamtest.NoAnswer()),
		cold: got(unavailable, nothing, 0, 1).orTwice(), stale: got(asBefore, first, 1, 0).orTwice(), blob: got(unavailable, nothing, 0, 1).orTwice(),
	},
	{
		name: "connection refused", is: refuses,
		cold: got(unavailable, nothing, 0, 0), stale: got(asBefore, first, 0, 0), blob: got(unavailable, nothing, 0, 0),
	},
	{
		name: "500", is: always(upstreamtest.Status(500)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "502", is: always(upstreamtest.Status(502)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "503", is: always(upstreamtest.Status(503)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "left alone after a failure", is: leftAlone, with: []func(*plan){fragile},
		cold: got(unavailable, nothing, 0, 0), stale: got(asBefore, first, 0, 0), blob: got(unavailable, nothing, 0, 0),
	},
	{
		name: "429", is: always(upstreamtest.TooMany(7 * time.Second)),
		cold: got(limited, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(limited, nothing, 0, 1),
	},
	{ // one more try for each object, with another login; a refusal is no reason to serve what is kept
		name: "401 storm", is: always(upstreamtest.Always401()), with: []func(*plan){as("robot", password)},
		cold: got(refused, nothing, 0, 2), stale: got(refused, nothing, 2, 0), blob: got(refused, nothing, 0, 2),
	},
	{
		name: "401 storm with tokens", is: always(upstreamtest.Always401(), "manifests", "blobs"), with: []func(*plan){byToken("robot", password)},
		cold: got(refused, nothing, 0, 2), stale: got(refused, nothing, 2, 0), blob: got(refused, nothing, 0, 2),
	},
	{
		name: "token service is broken", is: noTokens, with: []func(*plan){byToken("robot", password)},
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "403", is: always(upstreamtest.Status(403)),
		cold: got(refused, nothing, 0, 1), stale: got(refused, nothing, 1, 0), blob: got(refused, nothing, 0, 1),
	},
	{
		name: "404", is: always(upstreamtest.Status(404)),
		cold: got(noManifest, nothing, 0, 1), stale: got(noManifest, nothing, 1, 0), blob: got(noBlob, nothing, 0, 1),
	},
	{
		name: "wrong digest of a manifest", is: always(upstreamtest.WrongDigest(), "manifests"),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "wrong digest of a blob", is: always(upstreamtest.WrongDigest(), "blobs"),
		cold: followedCold, stale: followedStale, blob: wrong(1),
	},
	{
		name: "longer than it should be", is: always(upstreamtest.WrongLength(5)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: wrong(1),
	},
	{
		name: "shorter than it should be", is: always(upstreamtest.WrongLength(-5)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: wrong(1),
	},
	{
		name: "no Content-Length", is: always(upstreamtest.Without("Content-Length")),
		cold: followedCold, stale: got(whole, second, 1, 2), blob: got(whole, first, 0, 1),
	},
	{
		name: "packed", is: always(upstreamtest.Gzip()),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(unavailable, nothing, 0, 1),
	},
	{
		name: "wrong Docker-Content-Digest", is: always(upstreamtest.With("Docker-Content-Digest", nobody)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 2), blob: got(whole, first, 0, 1),
	},
	{
		name: "Docker-Content-Digest that is none", is: always(upstreamtest.With("Docker-Content-Digest", "sha256:../../etc/passwd")),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 0), blob: got(whole, first, 0, 1),
	},
	{ // what HEAD named is not there, so the tag is asked for itself
		name: "HEAD is not GET", is: always(upstreamtest.HeadDiffersFromGet(), "manifests"),
		cold: followedCold, stale: got(whole, second, 1, 2), blob: got(whole, first, 0, 1),
	},
	{
		name: "HEAD is not allowed", is: noHead,
		cold: followedCold, stale: got(whole, second, 1, 2), blob: got(whole, first, 0, 1),
	},
	{ // what HEAD named is still there under its digest
		name: "tag moves after each answer", is: always(upstreamtest.TagMoves(), "manifests"),
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "tag moves, and what it named goes", is: movesAndGoes,
		cold: followedCold, stale: got(whole, nothing, 1, 2), blob: got(whole, first, 0, 1),
	},
	{
		name: "redirect to another host", is: elsewhere, with: []func(*plan){as("robot", password)},
		cold: got(whole, first, 0, 2), stale: got(whole, second, 2, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "redirect in circles", is: always(upstreamtest.RedirectTo("/")),
		cold: got(unavailable, nothing, 0, 6), stale: got(asBefore, first, 6, 0), blob: got(unavailable, nothing, 0, 6),
	},
	{
		name: "schema 2 only", is: always(upstreamtest.Schema2Only()), push: schema2,
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "HTML instead of everything", is: always(upstreamtest.Status(200)),
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 2), blob: wrong(1),
	},
	{
		name: "schema 1", is: always(nil), push: schema1,
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "huge manifest", is: huge,
		cold: got(unavailable, nothing, 0, 1), stale: got(asBefore, first, 1, 1), blob: got(whole, first, 0, 1),
	},
	{
		name: "endless headers", is: always(upstreamtest.EndlessHeaders()),
		cold: got(unavailable, nothing, 0, 1).orTwice(), stale: got(asBefore, first, 1, 0).orTwice(), blob: got(unavailable, nothing, 0, 1).orTwice(),
	},
	{
		name: "first URL refuses connections", is: always(nil), with: []func(*plan){before(nowhere)},
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "first URL hangs", is: always(nil), with: []func(*plan){patience(hanging), fragile, beforeFaulty(upstreamtest.HangBeforeHeaders())},
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
	{
		name: "first URL is broken", is: always(nil), with: []func(*plan){beforeFaulty(upstreamtest.Status(502))},
		cold: followedCold, stale: followedStale, blob: got(whole, first, 0, 1),
	},
}

// nobody is the digest of what nobody has.
const nobody = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

// fragile leaves a URL alone after one failure.
func fragile(p *plan) { p.remote.Breaker = remote.Breaker{Failures: 1, Cooldown: 10 * time.Second} }

func leftAlone(h *house) func(upstreamtest.Request) upstreamtest.Fault {
	h.fault(upstreamtest.Always(upstreamtest.Status(500)))
	h.get(h.url, app+"/manifests/another")
	h.up.Forget()
	return nil
}

// refuses lets nobody connect.
func refuses(h *house) func(upstreamtest.Request) upstreamtest.Fault {
	h.url = h.refused
	return nil
}

func hangsInManifest(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "manifests" && q.Method == "GET" {
			return upstreamtest.HangInBody(100)
		}
		return nil
	}
}

func hangsTwice(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "blobs" && q.Nth <= 2 {
			return upstreamtest.HangInBody(half)
		}
		return nil
	}
}

// huge is made anew for each answer, since it counts down what it still has to send.
func huge(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "manifests" {
			return upstreamtest.HugeManifest(5 << 20)
		}
		return nil
	}
}

func noHead(*house) func(upstreamtest.Request) upstreamtest.Fault {
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Method == "HEAD" {
			return upstreamtest.Status(405)
		}
		return nil
	}
}

// noTokens lets no token be good, nor a new one be had.
func noTokens(h *house) func(upstreamtest.Request) upstreamtest.Fault {
	h.up.RevokeTokens()
	return upstreamtest.Always(upstreamtest.Status(500), "token")
}

// movesAndGoes: after a HEAD the tag names something else, and what it named is not there any more.
func movesAndGoes(h *house) func(upstreamtest.Request) upstreamtest.Fault {
	gone := false
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Kind == "manifests" && strings.HasPrefix(q.Ref, "sha256:") && !gone {
			gone = true
			h.up.PushImage(there, "1", 10)
			return upstreamtest.Status(404)
		}
		return nil
	}
}

// elsewhere sends whoever has logged in to another host, which must not be told by what.
func elsewhere(h *house) func(upstreamtest.Request) upstreamtest.Fault {
	other := upstreamtest.New(h.t)
	other.Fault(func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Authorization != "" {
			h.t.Errorf("another host was told %s", q.Authorization)
		}
		h.up.CopyTo(other, there)
		return nil
	})
	return func(q upstreamtest.Request) upstreamtest.Fault {
		if q.Authorization == "" {
			return nil
		}
		return upstreamtest.RedirectTo(other.URL + "/")
	}
}

// before puts another URL before the upstream's.
func before(url string) func(*plan) {
	return func(p *plan) { p.remote.URLs = append([]string{url}, p.remote.URLs...) }
}

func beforeFaulty(f upstreamtest.Fault) func(*plan) {
	return func(p *plan) {
		other := upstreamtest.New(p.t)
		other.Fault(upstreamtest.Always(f))
		before(other.URL)(p)
	}
}

func oci(up *upstreamtest.Upstream) upstreamtest.Image {
	return up.PushImage(there, "1", keptLayer, missingLayer)
}

func schema2(up *upstreamtest.Upstream) upstreamtest.Image {
	return up.PushSchema2(there, "1", keptLayer, missingLayer)
}

// schema1 is what Docker pushed before 2016: layers without a config, and a signature.
func schema1(up *upstreamtest.Upstream) upstreamtest.Image {
	image := up.PushImage(there, "", keptLayer, missingLayer)
	image.Bytes = []byte(`{"schemaVersion":1,"name":"team/app","tag":"1","architecture":"amd64","fsLayers":[{"blobSum":"` + string(image.Layers[0].Digest) +
		`"}],"history":[{"v1Compatibility":"{}"}],"signatures":[]}`)
	image.Descriptor = up.PutManifest(there, "1", "application/vnd.docker.distribution.manifest.v1+prettyjws", image.Bytes)
	return image
}

// TestMatrix: every fault, in every state, for one client and for sixteen at once.
func TestMatrix(t *testing.T) {
	for _, r := range matrix {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, state := range []string{"cold", "fresh", "stale"} {
				t.Run(state, func(t *testing.T) {
					t.Parallel()
					for _, clients := range []int{1, 16} {
						t.Run(fmt.Sprint(clients), func(t *testing.T) {
							t.Parallel()
							r.cell(t, state, clients)
						})
					}
				})
			}
		})
	}
}
