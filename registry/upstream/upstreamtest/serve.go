package upstreamtest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// serve answers every request, on both servers.
func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	q := u.record(r)
	u.mu.Lock()
	decide := u.fault
	u.mu.Unlock()
	honest := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { u.honest(w, r, q) })
	if decide != nil {
		if fault := decide(q); fault != nil {
			fault(u, w, r, q, honest)
			return
		}
	}
	honest(w, r)
}

func (u *Upstream) honest(w http.ResponseWriter, r *http.Request, q Request) {
	if q.Kind == "token" {
		u.serveToken(w, r)
		return
	}
	if !u.admits(w, r, q) {
		return
	}
	switch q.Kind {
	case "ping":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	case "manifests":
		u.serveManifest(w, r, q)
	case "blobs":
		u.serveBlob(w, r, q)
	case "tags":
		u.serveTags(w, r, q)
	case "referrers":
		u.serveReferrers(w, r, q)
	default:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "no such path")
	}
}

// refuse answers with an error of the distribution-spec.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func (u *Upstream) serveManifest(w http.ResponseWriter, r *http.Request, q Request) {
	if !u.withinQuota(w, r) {
		return
	}
	u.mu.Lock()
	d := digest.Digest(q.Ref)
	if tagged, ok := u.repo(q.Repo).tags[q.Ref]; ok {
		d = tagged
	}
	m, ok := u.repo(q.Repo).manifests[d]
	u.mu.Unlock()
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Docker-Content-Digest", string(d))
	w.Header().Set("Content-Length", strconv.Itoa(len(m.bytes)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(m.bytes)
	}
}

// withinQuota tells the quota, and uses it.
func (u *Upstream) withinQuota(w http.ResponseWriter, r *http.Request) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.quota.limit == 0 {
		return true
	}
	over := u.quota.remaining <= 0
	if !over && r.Method == http.MethodGet {
		u.quota.remaining--
	}
	w.Header().Set("ratelimit-limit", fmt.Sprintf("%d;w=%d", u.quota.limit, int(u.quota.window.Seconds())))
	w.Header().Set("ratelimit-remaining", fmt.Sprintf("%d;w=%d", u.quota.remaining, int(u.quota.window.Seconds())))
	if over && r.Method == http.MethodGet {
		refuse(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
		return false
	}
	return true
}

func (u *Upstream) serveBlob(w http.ResponseWriter, r *http.Request, q Request) {
	content := u.Blob(q.Repo, digest.Digest(q.Ref))
	if content == nil {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", q.Ref)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func (u *Upstream) serveTags(w http.ResponseWriter, r *http.Request, q Request) {
	u.mu.Lock()
	tags := slices.Sorted(maps.Keys(u.repo(q.Repo).tags))
	known := len(u.repo(q.Repo).manifests) > 0
	size := u.pageSize
	u.mu.Unlock()
	if !known {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "repository unknown")
		return
	}
	if last := q.Query.Get("last"); last != "" {
		tags = slices.DeleteFunc(tags, func(t string) bool { return t <= last })
	}
	if n, err := strconv.Atoi(q.Query.Get("n")); err == nil && n > 0 && (size == 0 || n < size) {
		size = n
	}
	if size > 0 && len(tags) > size {
		tags = tags[:size]
		next := url.Values{"last": {tags[size-1]}, "n": {strconv.Itoa(size)}}
		w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, next.Encode()))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(map[string]any{"name": q.Repo, "tags": tags}))
}

func (u *Upstream) serveReferrers(w http.ResponseWriter, r *http.Request, q Request) {
	list := u.referrers(q.Repo, digest.Digest(q.Ref))
	u.mu.Lock()
	size := u.pageSize
	u.mu.Unlock()
	from, _ := strconv.Atoi(q.Query.Get("from"))
	list.Manifests = list.Manifests[min(max(from, 0), len(list.Manifests)):]
	if size > 0 && len(list.Manifests) > size {
		list.Manifests = list.Manifests[:size]
		w.Header().Set("Link", fmt.Sprintf(`<%s?from=%d>; rel="next"`, r.URL.Path, from+size))
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_, _ = w.Write(encode(list))
}

func sortByDigest(all []ocispec.Descriptor) {
	slices.SortFunc(all, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
}

func seconds(d time.Duration) string { return strconv.Itoa(cmp.Or(int(d.Seconds()), 1)) }
