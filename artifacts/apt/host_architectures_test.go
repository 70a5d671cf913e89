//go:build clients

package apt

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
)

var both = []string{"amd64", "arm64"}

// uploadBoth uploads the packages of a version for both architectures at the same moment. meanwhile, if there is any, happens at that moment, too.
func (h *house) uploadBoth(component, number string, meanwhile ...func() error) error {
	name := component[strings.LastIndexByte(component, '/')+1:]
	begin, outcomes := make(chan struct{}), make(chan error, len(both)+len(meanwhile))
	for _, architecture := range both {
		req := h.request("PUT", fmt.Sprintf("/apt/upload/%s/%s_%s.deb?version=%s", component, name, architecture, number), string(hello(name, number, architecture)))
		go func() {
			<-begin
			res, err := h.server.Client().Do(req)
			if err != nil {
				outcomes <- err
				return
			}
			defer res.Body.Close()
			text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
			if err == nil && res.StatusCode != 201 {
				err = fmt.Errorf("upload %s %s for %s: %s: %s", name, number, architecture, res.Status, text)
			}
			outcomes <- err
		}()
	}
	for _, f := range meanwhile {
		go func() { <-begin; outcomes <- f() }()
	}
	close(begin)
	var failed error
	for range cap(outcomes) {
		if err := <-outcomes; err != nil {
			failed = err
		}
	}
	return failed
}

// listed returns the architectures for which a suite lists a version of a package.
func (h *house) listed(name, number string) (architectures []string) {
	h.t.Helper()
	for _, architecture := range both {
		list := h.get("/apt/dists/cloud-prod/dmp/binary-" + architecture + "/Packages")
		if list.StatusCode != 200 {
			continue // not before there is a package for it
		}
		for paragraph := range strings.SplitSeq(list.body, "\n\n") {
			lines := strings.Split(paragraph, "\n")
			if slices.Contains(lines, "Package: "+name) && slices.Contains(lines, "Version: "+number) && slices.Contains(lines, "Architecture: "+architecture) {
				architectures = append(architectures, architecture)
			}
		}
	}
	return architectures
}

func TestHost_both_architectures_of_a_version_come_at_once(t *testing.T) {
	h, host := onDisk(t), newHost(t)
	for n := range 20 {
		number := fmt.Sprintf("1.%d.0", n)
		if err := h.uploadBoth(service, number); err != nil {
			t.Fatal(err)
		}
		v, err := h.catalog.Version(h.ctx, service, number)
		if err != nil || len(v.Formats[artifacts.Deb].Files) != len(both) {
			t.Fatalf("version %s is %+v, %v: a package is lost", number, v, err)
		}
		h.promote(service, number, prod)
		if got := h.listed("ms-ingestion", number); !slices.Equal(got, both) {
			t.Fatalf("version %s is listed for %q", number, got)
		}
	}
	host.isSetUp(t, h, "cloud-prod")
	host.updated(t)
	for _, architecture := range both {
		host.ok(t, "apt-get", "download", "ms-ingestion:"+architecture)
		if out := host.ok(t, "dpkg-deb", "-f", "ms-ingestion_1.19.0_"+architecture+".deb", "Architecture"); out != architecture+"\n" {
			t.Errorf("apt fetches a package for %q, want %s", out, architecture)
		}
	}
}

// Who promotes a version whose second package is on its way finds both in the suite a little later, however the three fall together.
func TestHost_both_architectures_come_while_the_version_is_promoted(t *testing.T) {
	h, host := onDisk(t), newHost(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.catalog.Run(ctx) })
	defer running.Wait()
	defer stop()
	var names []string
	for n := range 10 {
		name := fmt.Sprintf("svc-%d", n)
		names = append(names, name)
		component := "cloud/dmp/" + name
		h.add(component, "1.0.0", hello(name, "1.0.0", "amd64"), hello(name, "1.0.0", "arm64"))
		h.promote(component, "1.0.0", prod)
		h.clock.pass(10 * time.Second)
		promote := func() error {
			for ctx.Err() == nil {
				_, err := h.catalog.Move(h.ctx, artifacts.Order{Kind: artifacts.Promotion, Component: component, Version: "2.0.0", Place: prod})
				if err == nil || !strings.Contains(err.Error(), "there is no version 2.0.0") {
					return err
				}
			}
			return ctx.Err()
		}
		if err := h.uploadBoth(component, "2.0.0", promote); err != nil {
			t.Fatal(err)
		}
	}
	late := time.Now().Add(30 * time.Second)
	for _, name := range names {
		for !slices.Equal(h.listed(name, "2.0.0"), both) {
			if time.Now().After(late) {
				t.Fatalf("%s is listed for %q alone", name, h.listed(name, "2.0.0"))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	host.isSetUp(t, h, "cloud-prod")
	host.updated(t)
	for _, name := range names {
		host.ok(t, "apt-get", "download", name+":amd64=2.0.0", name+":arm64=2.0.0")
	}
}
