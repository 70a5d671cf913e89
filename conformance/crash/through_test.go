package crash

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/conformance/program"
	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// TestThrough kills the program while it fetches blobs from an upstream for several clients. Whatever came whole to a client is right, a part is never taken for
// the whole, and what is kept is what the upstream has.
func TestThrough(t *testing.T) {
	up := upstreamtest.New(t)
	img := up.PushImage("team/app", "1", 4<<20, 3<<20, 2<<20, 100)
	up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if strings.Contains(r.Path, "/blobs/") {
			return upstreamtest.Slow(12 << 20)
		}
		return nil
	})
	p := program.Start(t, program.Config("upstreams:\n  - {name: up.example.com, urls: [\""+up.URL+"\"], tagTTL: 1s}\n"))
	client := &http.Client{Timeout: 20 * time.Second}
	get := func(path string) ([]byte, error) {
		res, err := client.Get("http://" + p.Addr + "/v2/up.example.com/team/app/" + path)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d: %.200s", res.StatusCode, body)
		}
		return body, err
	}
	pull := func() error {
		if _, err := get("manifests/1"); err != nil {
			return err
		}
		for _, l := range img.Layers {
			body, err := get("blobs/" + string(l.Digest))
			if err != nil {
				return err
			}
			if digest.FromBytes(body) != l.Digest {
				t.Errorf("a client got %d bytes for the whole of %s", len(body), l.Digest)
			}
		}
		return nil
	}
	for range 6 {
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() { _ = pull() })
		}
		time.Sleep(time.Duration(rand.IntN(700)) * time.Millisecond)
		p.Kill()
		clients.Wait()
		p.Restart()
	}
	up.Fault(func(upstreamtest.Request) upstreamtest.Fault { return nil })
	if err := pull(); err != nil {
		t.Error(err)
	}
	up.Forget()
	if err := pull(); err != nil || up.Asked("blobs") != 0 {
		t.Errorf("%v, and the upstream was asked for %d blobs", err, up.Asked("blobs"))
	}
	p.Stop()
	verify(t, p)
}
