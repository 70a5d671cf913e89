package advisory

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// CVE-2023-2253 (distribution): n was allocated before it was filled. A page of a thousand million entries costs what it holds.
func TestHugeN_CostsNothing(t *testing.T) {
	p := program.Start(t, program.Env("GOMEMLIMIT=256MiB"))
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	desc, _ := r.PushImage(t, repo, "here")
	before := memory(t, p, "VmRSS")
	for _, n := range []string{"1000000000", "2147483647", "2147483648", "9223372036854775807"} {
		for _, path := range []string{"/v2/_catalog", "/v2/" + repo + "/tags/list", wire.ReferrersPath(repo, desc.Digest)} {
			for range 20 {
				r.Do(t, "GET", path+"?n="+n, nil).Want(t, 200, 400)
			}
		}
	}
	if grown := memory(t, p, "VmHWM") - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// CVE-2017-11468 (distribution): a manifest's body was read whatever its length. A gigabyte is 413, with its length told and without,
// and memory stays flat.
func TestHugeManifest_IsRefusedWithFlatMemory(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	_, body := r.PushImage(t, repo, "here")
	r.Put(t, repo, "here", image, append(bytes.Repeat([]byte(" "), 4<<20-len(body)), body...)).Want(t, 201) // the largest allowed, to warm up
	before := memory(t, p, "VmRSS")
	for name, length := range map[string]string{"with its length": "Content-Length: 1073741824", "without its length": "Transfer-Encoding: chunked"} {
		for _, ref := range []string{"here", absent().String()} {
			head := "PUT " + wire.ManifestPath(repo, ref) + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + image + "\r\n" + length + "\r\n\r\n"
			status, sent := pour(t, p.Addr, head, strings.Contains(length, "chunked"), 1<<30)
			if status != 413 {
				t.Errorf("%s: status %d", name, status)
			}
			if sent > 256<<20 {
				t.Errorf("%s: the server took %d MiB of a manifest", name, sent>>20)
			}
		}
	}
	if grown := memory(t, p, "VmHWM") - max(before, 0); grown > 48<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	r.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200)
}

// pour sends a head and then a body of spaces until the reply has come or the server hangs up; it returns the status (0 if none) and
// how much of the body was sent.
func pour(t *testing.T, addr, head string, chunked bool, size int64) (status int, sent int64) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	piece := bytes.Repeat([]byte(" "), 64<<10)
	if chunked {
		piece = append(append([]byte("10000\r\n"), piece...), "\r\n"...)
	}
	var answered atomic.Bool
	done := make(chan int64)
	go func() {
		_, err := io.WriteString(conn, head)
		total := int64(0)
		for err == nil && total < size && !answered.Load() {
			var n int
			n, err = conn.Write(piece)
			total += int64(n)
		}
		done <- total
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: "PUT"})
	answered.Store(true)
	if err == nil {
		status = res.StatusCode
		_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	}
	conn.Close()
	return status, <-done
}

// Many of them at once are no more than many small buffers.
func TestHugeManifests_AtOnce(t *testing.T) {
	p := program.Start(t)
	repo := wire.Repo(t)
	before := memory(t, p, "VmRSS")
	done := make(chan int)
	for range 32 {
		go func() {
			head := "PUT " + wire.ManifestPath(repo, "x") + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + image + "\r\nTransfer-Encoding: chunked\r\n\r\n"
			status, _ := pour(t, p.Addr, head, true, 64<<20)
			done <- status
		}()
	}
	for range 32 {
		if status := <-done; status != 413 {
			t.Errorf("status %d", status)
		}
	}
	grown := memory(t, p, "VmHWM") - before
	t.Logf("memory grew by %d MiB", grown>>20)
	if grown > 512<<20 {
		t.Errorf("memory grew by %d MiB for 32 manifests of at most 4 MiB each", grown>>20)
	}
}

// A promise of bytes costs nothing: five hundred clients that announce the largest manifest and then send nothing hold connections, not
// two gigabytes.
func TestAnnouncedManifests_CostNothing(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	_, body := r.PushImage(t, repo, "here")
	full := append(bytes.Repeat([]byte(" "), 4<<20-len(body)), body...)
	for range 20 { // memory that was used before is dearer than memory that never was
		r.Put(t, repo, "here", image, full).Want(t, 201)
	}
	before := memory(t, p, "VmRSS")
	for range 500 {
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "PUT "+wire.ManifestPath(repo, "x")+" HTTP/1.1\r\nHost: x\r\nContent-Type: "+image+"\r\nContent-Length: 4194304\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
	}
	r.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200)
	time.Sleep(time.Second) // until all of them have been read
	if grown := memory(t, p, "VmHWM") - before; grown > 256<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	r.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200)
}

// Memory stays flat while a large blob passes either way, whole or in chunks.
func TestLargeBlob_FlatMemory(t *testing.T) {
	p := program.Start(t)
	r := wire.At(p.URL)
	repo := wire.Repo(t)
	r.PushImage(t, repo, "here")
	before := memory(t, p, "VmRSS")
	const size = 256 << 20
	hash := digest.SHA256.Digester()
	if _, err := io.CopyN(hash.Hash(), zeros{}, size); err != nil {
		t.Fatal(err)
	}
	d := hash.Digest()
	loc := r.Begin(t, repo)
	r.Stream(t, "PATCH", loc, io.LimitReader(zeros{}, size), "Content-Type", wire.Octets).Want(t, 202)
	r.Close(t, loc, d, nil).Want(t, 201)
	res, err := http.Get(r.URL + wire.BlobPath(repo, d))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if n, err := io.Copy(io.Discard, res.Body); err != nil || n != size {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if grown := memory(t, p, "VmHWM") - before; grown > 48<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// zot 120c2005: nested indexes were walked again for each path that leads to them, under a lock. Forty levels of two references
// each are 2^40 paths; wide ones name thousands. Each push, pull and deletion is bounded, and others are served meanwhile.
func TestNestedIndexes_AreBounded(t *testing.T) {
	repo := wire.Repo(t)
	leaf, _ := reg.PushImage(t, repo, "leaf")
	within := func(what string, most time.Duration, do func()) {
		t.Helper()
		began := time.Now()
		do()
		if took := time.Since(began); took > most {
			t.Errorf("%s took %v", what, took)
		}
	}
	deep := []ocispec.Descriptor{leaf}
	within("forty levels of two", 20*time.Second, func() {
		for level := range 40 {
			last := deep[len(deep)-1]
			list := wire.Index(last, last)
			list.Annotations = map[string]string{"level": fmt.Sprint(level)}
			desc, _ := reg.PushManifest(t, repo, "", index, list)
			deep = append(deep, desc)
		}
	})
	top := deep[len(deep)-1]
	var many []ocispec.Descriptor
	for range 10_000 {
		many = append(many, top)
	}
	var wide ocispec.Descriptor
	within("ten thousand references to it", 10*time.Second, func() { wide, _ = reg.PushManifest(t, repo, "wide", index, wire.Index(many...)) })
	var strangers []ocispec.Descriptor
	for range 10_000 {
		strangers = append(strangers, ocispec.Descriptor{MediaType: image, Digest: absent(), Size: 10})
	}
	within("ten thousand manifests that are not there", 10*time.Second, func() { reg.PushManifest(t, repo, "strangers", index, wire.Index(strangers...)) })
	within("to tag and to pull them", 5*time.Second, func() {
		_, body := reg.PushManifest(t, repo, "top", index, wire.Index(top))
		reg.Put(t, repo, "again", index, body).Want(t, 201)
		reg.Do(t, "GET", wire.ManifestPath(repo, "wide"), nil).Want(t, 200)
		reg.Do(t, "GET", wire.ManifestPath(repo, top.Digest), nil).Want(t, 200)
		reg.Do(t, "GET", "/v2/"+repo+"/tags/list", nil).Want(t, 200)
	})
	within("to delete them", 20*time.Second, func() {
		reg.Do(t, "DELETE", wire.ManifestPath(repo, wide.Digest), nil).Want(t, 202)
		for i := len(deep) - 1; i > 0; i-- {
			reg.Do(t, "DELETE", wire.ManifestPath(repo, deep[i].Digest), nil).Want(t, 202)
		}
	})
	reg.Do(t, "GET", wire.ManifestPath(repo, "leaf"), nil).Want(t, 200)
}

// An index that names itself by subject, or two that name each other, are only names.
func TestCircularSubjects_AreBounded(t *testing.T) {
	repo := wire.Repo(t)
	a := absent()
	list := wire.Index()
	list.Subject = &ocispec.Descriptor{MediaType: index, Digest: a, Size: 1}
	for range 100 { // each the subject of the next
		desc, _ := reg.PushManifest(t, repo, "chain", index, list)
		list.Subject = &desc
		reg.Do(t, "GET", wire.ReferrersPath(repo, desc.Digest), nil).Want(t, 200)
	}
}

// Headers and addresses beyond any use are refused by the server and do not end it.
func TestOversized_HeadersAndAddresses(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	long := strings.Repeat("a", 4<<20)
	for name, request := range map[string]string{
		"address":           "GET /v2/" + long + "/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
		"tag":               "GET " + wire.ManifestPath(repo, long) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"query":             "GET /v2/" + repo + "/tags/list?last=" + long + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"header":            "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Long: " + long + "\r\n\r\n",
		"authorization":     "GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + long + "\r\n\r\n",
		"accept":            "GET " + wire.ManifestPath(repo, "here") + " HTTP/1.1\r\nHost: x\r\nAccept: " + long + "\r\n\r\n",
		"many headers":      "GET /v2/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-Many: a\r\n", 200_000) + "\r\n",
		"range":             "GET " + wire.BlobPath(repo, absent()) + " HTTP/1.1\r\nHost: x\r\nRange: bytes=" + strings.Repeat("0-1,", 1<<20) + "\r\n\r\n",
		"content-type":      "PUT " + wire.ManifestPath(repo, "x") + " HTTP/1.1\r\nHost: x\r\nContent-Type: " + long + "\r\nContent-Length: 2\r\n\r\n{}",
		"levels":            "GET /v2/" + strings.Repeat("a/", 500_000) + "tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
		"no such host line": "GET /v2/ HTTP/1.1\r\n\r\n",
	} {
		// The server may also hang up while megabytes are still on their way; a reply, if one comes, is a refusal.
		if got, err := reg.Raw(request); err == nil && (got.Status < 400 || got.Status >= 500) {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
	reg.Do(t, "GET", wire.ManifestPath(repo, "here"), nil).Want(t, 200)
}

// A tag query of tens of thousands of bytes that still fits the server's bounds is only a name that is too long.
func TestOversized_Last(t *testing.T) {
	repo := wire.Repo(t)
	reg.PushImage(t, repo, "here")
	long := strings.Repeat("z", 64<<10)
	for _, path := range []string{"/v2/" + repo + "/tags/list?last=" + long, "/v2/_catalog?last=" + long, wire.ReferrersPath(repo, absent()) + "?artifactType=" + long, wire.ReferrersPath(repo, absent()) + "?last=" + long} {
		reg.Do(t, "GET", path, nil).Want(t, 200, 400, 414)
	}
}

// A client that sends the head of its request line by line, one a second, does not hold its connection for ever.
func TestSlowHead_IsCut(t *testing.T) {
	t.Parallel() // it only waits
	conn, err := net.Dial("tcp", shared.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(90 * time.Second))
	began := time.Now()
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = io.Copy(io.Discard, conn)
	}()
	_, _ = io.WriteString(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n")
	for i := 0; i < 70; i++ {
		select {
		case <-cut:
			return
		case <-time.After(time.Second):
		}
		if _, err := fmt.Fprintf(conn, "X-%d: a\r\n", i); err != nil {
			return
		}
	}
	t.Errorf("a request whose head never ends is still open after %v", time.Since(began).Round(time.Second))
}
