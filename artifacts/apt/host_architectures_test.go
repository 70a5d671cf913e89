//go:build clients

package apt

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/entrepot/entrepot/artifacts"
)

var both = []string{"amd64", "arm64"}

// outcome is what became of an upload.
type outcome struct {
	architecture string
	status       int
	text         string
	err          error
}

func (h *house) outcome(architecture string, req *http.Request) outcome {
	res, err := h.server.Client().Do(req)
	if err != nil {
		return outcome{architecture: architecture, err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return outcome{architecture, res.StatusCode, string(text), err}
}

// uploadBoth uploads the packages of a version for both architectures at the same moment, does something else meanwhile, and returns what became of them.
func (h *house) uploadBoth(component, number string, meanwhile func()) (all []outcome) {
	h.t.Helper()
	name := component[strings.LastIndexByte(component, '/')+1:]
	begin, done := make(chan struct{}), make(chan outcome, len(both))
	for _, architecture := range both {
		req := h.request("PUT", fmt.Sprintf("/apt/upload/%s/%s_%s.deb?version=%s", component, name, architecture, number), string(hello(name, number, architecture)))
		go func() {
			<-begin
			done <- h.outcome(architecture, req)
		}()
	}
	close(begin)
	meanwhile()
	for range both {
		all = append(all, <-done)
	}
	return all
}

// listed returns the architectures for which a suite lists a version of a package.
func (h *house) listed(name, number string) (architectures []string) {
	h.t.Helper()
	for _, architecture := range both {
		list := h.get("/apt/dists/cloud-prod/dmp/binary-" + architecture + "/Packages")
		if list.StatusCode == 404 && architecture != "amd64" {
			continue // until there is a package for it
		}
		for paragraph := range strings.SplitSeq(list.want(200).body, "\n\n") {
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
		for _, o := range h.uploadBoth(service, number, func() {}) {
			if o.err != nil || o.status != 201 {
				t.Fatalf("upload of %s for %s: %d %s, %v", number, o.architecture, o.status, o.text, o.err)
			}
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
	host.Updated(t)
	for _, architecture := range both {
		host.OK(t, "apt-get", "download", "ms-ingestion:"+architecture)
		if out := host.OK(t, "dpkg-deb", "-f", "ms-ingestion_1.19.0_"+architecture+".deb", "Architecture"); out != architecture+"\n" {
			t.Errorf("apt fetches a package for %q, want %s", out, architecture)
		}
	}
}

// What falls together with a promotion is in the suite with it or is refused: nothing that was taken is lost.
func TestHost_both_architectures_come_while_the_version_is_promoted(t *testing.T) {
	h, host := onDisk(t), newHost(t)
	for n := range 20 {
		number := fmt.Sprintf("1.%d.0", n)
		h.clock.pass(time.Minute)
		promote := func() {
			late := time.Now().Add(20 * time.Second)
			for err := error(&artifacts.Refused{Code: artifacts.NotThere}); err != nil; {
				_, err = h.catalog.Move(h.ctx, artifacts.Order{Kind: artifacts.Promotion, Component: service, Version: number, Place: prod})
				if err != nil && (!strings.Contains(err.Error(), "there is no version "+number) || time.Now().After(late)) {
					t.Fatal(err)
				}
			}
		}
		var taken []string
		for _, o := range h.uploadBoth(service, number, promote) {
			switch {
			case o.err == nil && o.status == 201:
				taken = append(taken, o.architecture)
			case o.err != nil || o.status != 403 || !strings.Contains(o.text, "files are added to a version until it is deployed"):
				t.Fatalf("upload of %s for %s: %d %s, %v", number, o.architecture, o.status, o.text, o.err)
			}
		}
		slices.Sort(taken)
		if got := h.listed("ms-ingestion", number); len(got) == 0 || !slices.Equal(got, taken) {
			t.Fatalf("of version %s the packages for %q were taken, and those for %q are listed", number, taken, got)
		}
	}
	host.isSetUp(t, h, "cloud-prod")
	host.Updated(t)
}

// Who promoted too early is told so by whoever comes too late.
func TestHost_second_architecture_comes_when_the_version_is_deployed(t *testing.T) {
	h, host := onDisk(t), newHost(t)
	h.add(service, "1.0.0", hello("hello", "1.0.0", "amd64"))
	content := hello("hello", "1.0.0", "arm64")
	body, rest := io.Pipe()
	req := h.request("PUT", "/apt/upload/"+service+"/hello_arm64.deb?version=1.0.0", "")
	req.Body, req.ContentLength = body, int64(len(content))
	uploaded := make(chan outcome, 1)
	go func() {
		o := h.outcome("arm64", req)
		body.CloseWithError(io.ErrClosedPipe) // or who writes would wait for ever
		uploaded <- o
	}()
	if _, err := rest.Write(content[:len(content)/2]); err != nil {
		t.Fatal(err)
	}
	h.promote(service, "1.0.0", prod)
	if _, err := rest.Write(content[len(content)/2:]); err != nil {
		t.Fatal(err)
	}
	rest.Close()
	if o := <-uploaded; o.err != nil || o.status != 403 || !strings.Contains(o.text, "it is or was deployed in cloud.prod; push a new version") {
		t.Errorf("the upload is answered %d %s, %v", o.status, o.text, o.err)
	}
	if got := h.listed("hello", "1.0.0"); !slices.Equal(got, both[:1]) {
		t.Errorf("the version is listed for %q", got)
	}
	host.isSetUp(t, h, "cloud-prod")
	host.Updated(t)
	host.OK(t, "apt-get", "install", "hello")
}
