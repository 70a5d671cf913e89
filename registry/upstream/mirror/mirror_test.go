package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry/upstream/upstreamtest"
)

// Which tags are taken, by each way of asking for them.
func TestStart_takes_the_tags_that_are_asked_for(t *testing.T) {
	signature := "sha256-" + strings.Repeat("a", 64) + ".sig"
	upstreams := []string{"1.0.0", "1.1.0", "1.2.0", "v1.3.0", "1.3.1-rc.1", "2.0.0", "1.2", "edge", "latest", "20240101", signature}
	for name, c := range map[string]struct {
		entry Entry
		want  string
	}{
		"all, but for what is tagged for manifests": {Entry{}, "1.0.0 1.1.0 1.2 1.2.0 1.3.1-rc.1 2.0.0 20240101 edge latest v1.3.0"},
		"patterns":                    {Entry{Tags: []string{"1.?.0", "edge"}}, "1.0.0 1.1.0 1.2.0 edge"},
		"a pattern for signatures":    {Entry{Tags: []string{"sha256-*.sig"}}, signature},
		"versions":                    {Entry{Versions: ">=1.1 <2"}, "1.1.0 1.2 1.2.0 v1.3.0"},
		"versions, with a comma":      {Entry{Versions: ">= 1.1, < 1.2"}, "1.1.0"},
		"a pre-release by its name":   {Entry{Versions: ">=1.3.1-rc.1 <2"}, "1.3.1-rc.1"},
		"the newest versions":         {Entry{Versions: ">=1", Last: 2}, "2.0.0 v1.3.0"},
		"tags or the newest versions": {Entry{Tags: []string{"latest", "1.0.0"}, Versions: ">=1", Last: 1}, "1.0.0 2.0.0 latest"},
		"more than there are":         {Entry{Versions: "^1", Last: 100}, "1.0.0 1.1.0 1.2 1.2.0 v1.3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			c.entry.Repository = app
			h := build(t, c.entry)
			for _, tag := range upstreams {
				h.up.PushImage(there, tag, 10)
			}
			h.up.PageSize(3)
			r := h.start(0)
			if got := h.tags(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if want := len(strings.Fields(c.want)); r.Tags.Done != int64(want) || r.Tags.Known != int64(want) {
				t.Errorf("%+v are counted, want %d", r.Tags, want)
			}
			for _, tag := range upstreams {
				if got, want := h.Keeps(app, tag), strings.Contains(" "+c.want+" ", " "+tag+" "); got != want {
					t.Errorf("Keeps %s: %v, want %v", tag, got, want)
				}
			}
			if h.Keeps("up.example.com/team/other", "1.0.0") {
				t.Error("it keeps tags of a repository that nobody mirrors")
			}
		})
	}
}

// What is named as it is needs no list, and is missed if it is not there.
func TestStart_names_what_is_missing(t *testing.T) {
	h := build(t, Entry{Repository: app, Tags: []string{"1.0", "9.9"}})
	h.up.PushImage(there, "1.0", 10)
	if r := h.start(1); r.Failures[0].Tag != "9.9" || r.Tags.Done != 1 {
		t.Errorf("%+v", r)
	}
	if h.up.Asked("tags") != 0 {
		t.Error("the upstream was asked for all of its tags, although two were named")
	}
	h = build(t, Entry{Repository: app, Tags: []string{"1.*", "9.9"}})
	h.up.PushImage(there, "1.0", 10)
	if r := h.start(1); r.Failures[0].Tag != "9.9" || h.tags() != "1.0" {
		t.Errorf("%+v", r)
	}
	h = build(t, Entry{Repository: app, Tags: []string{"7.*"}})
	h.up.PushImage(there, "1.0", 10)
	if r := h.start(1); r.Failures[0].Tag != "" || !strings.Contains(r.Failures[0].Reason, "no tag") {
		t.Errorf("nothing fits, and it says %+v", r)
	}
	h = build(t, Entry{Repository: app})
	if r := h.start(1); !strings.Contains(r.Failures[0].Reason, "does not have it") {
		t.Errorf("there is no such repository, and it says %+v", r)
	}
}

// Of an index the children for the platforms that are asked for, and what attests to them.
func TestStart_takes_platforms(t *testing.T) {
	for name, c := range map[string]struct {
		platforms []string
		want      string
	}{
		"all":           {nil, "amd64 arm64 arm s390x"},
		"one":           {[]string{"linux/amd64"}, "amd64"},
		"two":           {[]string{"linux/arm64/v8", "linux/s390x", "windows/amd64"}, "arm64 s390x"},
		"with variants": {[]string{"linux/arm/v7"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := build(t, Entry{Repository: app, Platforms: c.platforms})
			index := h.up.PushIndex(there, "1.0", "amd64", "arm64", "arm", "s390x")
			failures := 0
			if c.want == "" {
				failures = 1
			}
			r := h.start(failures)
			if failures > 0 && !strings.Contains(r.Failures[0].Reason, "linux/amd64, linux/arm, linux/arm64, linux/s390x") {
				t.Errorf("it does not say which platforms there are: %+v", r.Failures)
			}
			for i, architecture := range []string{"amd64", "arm64", "arm", "s390x"} {
				image := index.Images[i]
				if strings.Contains(" "+c.want+" ", " "+architecture+" ") {
					h.whole(image)
				} else {
					h.none(image.Descriptor.Digest, image.Layers[0].Digest, image.Config.Digest)
				}
			}
		})
	}
}

// What refers to an image comes along, and what refers to that: by the API, by the tag that stands in for it, and by cosign's tags.
func TestStart_takes_referrers(t *testing.T) {
	for _, api := range []bool{true, false} {
		t.Run(fmt.Sprintf("API: %v", api), func(t *testing.T) {
			h := build(t, Entry{Repository: app, Tags: []string{"1.0"}, Platforms: []string{"linux/amd64"}, Referrers: true})
			index := h.up.PushIndex(there, "1.0", "amd64", "arm64")
			other := h.up.PushImage(there, "2.0", 10)
			sbom := h.up.PushReferrer(there, index.Descriptor, "application/spdx+json")
			onSBOM := h.up.PushReferrer(there, sbom.Descriptor, "application/vnd.example.signature")
			onChild := h.up.PushReferrer(there, index.Images[0].Descriptor, "application/vnd.example.signature")
			onArm := h.up.PushReferrer(there, index.Images[1].Descriptor, "application/vnd.example.arm")
			onOther := h.up.PushReferrer(there, other.Descriptor, "application/vnd.example.other")
			want := "1.0"
			if !api {
				for _, d := range []digest.Digest{index.Descriptor.Digest, sbom.Descriptor.Digest, index.Images[0].Descriptor.Digest, other.Descriptor.Digest} {
					h.up.TagReferrers(there, d)
				}
				h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
					if r.Kind == "referrers" {
						return upstreamtest.NoReferrersAPI()
					}
					return nil
				})
				want = "3 tags that stand in for the API"
			}
			h.start(0)
			h.whole(sbom)
			h.whole(onSBOM)
			h.whole(onChild)
			h.none(onArm.Descriptor.Digest, onOther.Descriptor.Digest)
			got := h.tags()
			if fields := strings.Fields(got); api && got != want || !api && len(fields) != 4 {
				t.Errorf("got %s, want %s", got, want)
			}
			// They are found here when the upstream is gone.
			h.up.Close()
			n := 0
			for _, err := range h.through.Referrers(t.Context(), app, index.Descriptor.Digest, "", "") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != 1 {
				t.Errorf("%d referrers of the index are listed here, want 1", n)
			}
		})
	}
}

// Signatures, attestations and SBOMs that are tagged for a digest go with it, and what is tagged for those.
func TestStart_takes_what_cosign_tags(t *testing.T) {
	h := build(t, Entry{Repository: app, Tags: []string{"1.*"}, Referrers: true})
	image, other := h.up.PushImage(there, "1.0", 10), h.up.PushImage(there, "2.0", 10)
	signature, attestation, sbom := h.sign(image.Descriptor.Digest, ".sig"), h.sign(image.Descriptor.Digest, ".att"), h.sign(image.Descriptor.Digest, ".sbom")
	onSignature := h.sign(signature.Descriptor.Digest, ".sig")
	onOther := h.sign(other.Descriptor.Digest, ".sig")
	r := h.start(0)
	for _, i := range []upstreamtest.Image{signature, attestation, sbom, onSignature} {
		h.whole(i)
		if !strings.Contains(h.tags(), i.Tag) || !h.Keeps(app, i.Tag) {
			t.Errorf("the tag %s is not here, or not kept", i.Tag)
		}
	}
	h.none(onOther.Descriptor.Digest)
	if r.Tags.Done != 5 || r.Manifests.Done != 5 {
		t.Errorf("%+v", r.Tally)
	}
	// A signature that comes later is seen in the list of tags.
	h.up.Forget()
	late := h.sign(attestation.Descriptor.Digest, ".sig")
	h.start(0)
	h.whole(late)
	// Without referrers none of them is taken.
	h = build(t, Entry{Repository: app, Tags: []string{"1.*"}})
	signed := h.sign(h.up.PushImage(there, "1.0", 10).Descriptor.Digest, ".sig")
	h.start(0)
	h.none(signed.Descriptor.Digest)
}

// A second run costs one HEAD a tag, and a list.
func TestStart_again_asks_for_heads_alone(t *testing.T) {
	h := build(t, Entry{Repository: app, Referrers: true})
	var images []upstreamtest.Image
	for i := range 6 {
		images = append(images, h.up.PushImage(there, fmt.Sprintf("1.%d", i), 1000, 2000))
	}
	h.up.PushReferrer(there, images[0].Descriptor, "application/spdx+json")
	first := h.start(0)
	if first.Fetched.Manifests != 7 || first.Fetched.Blobs != 19 || first.Fetched.Bytes < 18_000 || first.Blobs != (Count{19, 19}) || first.Bytes.Done != first.Bytes.Known {
		t.Errorf("%+v", first.Tally)
	}
	if got := h.asked(); got["GET blobs"] != 19 || got["GET manifests"] != 7 || got["HEAD manifests"] != 0 {
		t.Errorf("the first run asked for %v", got)
	}
	h.up.Forget()
	h.clock.later(6 * time.Hour)
	second := h.start(0)
	if want := map[string]int{"GET tags": 1, "HEAD manifests": 6}; !maps.Equal(h.asked(), want) {
		t.Errorf("the second run asked for %v, want %v", h.asked(), want)
	}
	if second.Fetched != (Fetched{}) || second.Tags != first.Tags || second.Blobs != first.Blobs || second.Bytes != first.Bytes || second.Manifests != first.Manifests {
		t.Errorf("%+v after %+v", second.Tally, first.Tally)
	}
	// A day later it is asked what refers to them, and that is found.
	h.up.Forget()
	late := h.up.PushReferrer(there, images[3].Descriptor, "application/vnd.example.signature")
	h.clock.later(24 * time.Hour)
	if third := h.start(0); third.Fetched.Manifests != 1 {
		t.Errorf("%+v", third.Tally)
	}
	h.whole(late)
}

// A tag that has moved: what is new is fetched, and nothing else.
func TestStart_follows_a_tag(t *testing.T) {
	h := build(t, Entry{Repository: app})
	h.up.PushImage(there, "1.0", 100)
	h.up.PushImage(there, "2.0", 100)
	h.start(0)
	h.up.Forget()
	moved := h.up.PushImage(there, "1.0", 200)
	r := h.start(0)
	h.whole(moved)
	if d, err := h.reg.Resolve(t.Context(), app, "1.0"); err != nil || d.Digest != moved.Descriptor.Digest {
		t.Errorf("%v, %v", d, err)
	}
	want := map[string]int{"GET tags": 1, "HEAD manifests": 2, "GET manifests": 1, "GET blobs": 2}
	if !maps.Equal(h.asked(), want) || r.Fetched.Manifests != 1 || r.Fetched.Blobs != 2 {
		t.Errorf("it asked for %v, want %v, and fetched %+v", h.asked(), want, r.Fetched)
	}
}

// A broken blob of one tag: the others are mirrored, the result says what is wrong, and the next run needs no more than what is missing.
func TestStart_goes_on_behind_what_is_broken(t *testing.T) {
	h := build(t, Entry{Repository: app})
	var images []upstreamtest.Image
	for i := range 5 {
		images = append(images, h.up.PushImage(there, fmt.Sprintf("1.%d", i), 1000, 2000))
	}
	broken := images[2].Layers[1].Digest
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Ref == string(broken) {
			return upstreamtest.WrongDigest()
		}
		return nil
	})
	r := h.start(1)
	if f := r.Failures[0]; f.Tag != "1.2" || !strings.Contains(f.Reason, string(broken)) {
		t.Errorf("it says %+v, and not which blob of 1.2 is wrong", f)
	}
	if r.Tags != (Count{4, 5}) || r.Manifests != (Count{4, 5}) || r.Blobs != (Count{14, 15}) {
		t.Errorf("%+v", r.Tally)
	}
	for i, image := range images {
		if i != 2 {
			h.whole(image)
		}
	}
	h.none(broken)
	h.up.Fault(nil)
	h.up.Forget()
	if r := h.start(0); r.Fetched.Blobs != 1 || h.asked()["GET blobs"] != 1 {
		t.Errorf("%+v, asked for %v", r.Tally, h.asked())
	}
	h.whole(images[2])
}

// An upstream that wants fewer requests is asked again when it wants to be.
func TestStart_waits_for_who_wants_fewer_requests(t *testing.T) {
	h := build(t, Entry{Repository: app})
	image := h.up.PushImage(there, "1.0", 100)
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "manifests" && r.Nth == 1 {
			return upstreamtest.TooMany(time.Second)
		}
		return nil
	})
	began := time.Now()
	h.start(0)
	h.whole(image)
	if took := time.Since(began); took < time.Second {
		t.Errorf("it asked again after %v, want 1s", took)
	}
}

// A quota that is nearly used up: nothing is asked until there is more of it.
func TestStart_rests_when_the_quota_is_nearly_used_up(t *testing.T) {
	h := build(t, Entry{Repository: app})
	for i := range 12 {
		h.up.PushImage(there, fmt.Sprintf("1.%d", i), 10)
	}
	h.up.RateLimit(100, 15, 6*time.Hour)
	ended := make(chan Result, 1)
	var mu sync.Mutex
	rested := false
	go func() {
		r, err := h.Start(t.Context(), app, func(p Progress) {
			mu.Lock()
			rested = rested || p.Resting && p.Tags.Done < 12
			mu.Unlock()
		})
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	h.await("it rests", func() bool { mu.Lock(); defer mu.Unlock(); return rested })
	if n := h.up.Asked("manifests"); n > 2*tagsAtOnce {
		t.Errorf("%d manifests were asked for with a quota that is nearly used up", n)
	}
	h.up.RateLimit(100, 90, 6*time.Hour)
	h.clock.later(time.Hour)
	select {
	case r := <-ended:
		if r.Failed != 0 || r.Tags.Done != 12 {
			t.Errorf("%+v", r)
		}
	case <-time.After(patience):
		t.Fatal("it does not go on")
	}
}

// A run that is cut goes on where it stood: nothing is fetched twice.
func TestRun_goes_on_after_it_was_cut(t *testing.T) {
	h := build(t, Entry{Repository: app, Every: time.Hour})
	for i := range 10 {
		h.up.PushImage(there, fmt.Sprintf("1.%d", i), 1000)
	}
	hang := true
	var mu sync.Mutex
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if hang && r.Kind == "manifests" && r.Ref >= "1.6" {
			return upstreamtest.HangBeforeHeaders()
		}
		return nil
	})
	stop := h.running(h.Mirrors)
	h.await("half of it is here", func() bool { s := h.States()[0]; return s.Running != nil && s.Running.Tags.Done == 6 })
	follower := make(chan error, 1)
	go func() {
		_, err := h.Start(context.Background(), app, nil)
		follower <- err
	}()
	h.await("two follow it", func() bool { return h.States()[0].Running != nil })
	stop()
	if err := <-follower; !errors.Is(err, ErrStopped) {
		t.Errorf("who follows gets %v, want %v", err, ErrStopped)
	}
	if _, err := h.Start(t.Context(), app, nil); !errors.Is(err, ErrStopped) {
		t.Errorf("after the end a run begins: %v", err)
	}
	mu.Lock()
	hang = false
	mu.Unlock()
	h.up.Forget()
	h.connect()
	again := h.replica(Entry{Repository: app, Every: time.Hour})
	if s := again.States()[0]; s.Last != nil || s.Next == nil || s.Next.After(h.clock.now()) {
		t.Errorf("a run that was cut is not due at once: %+v", s)
	}
	h.running(again)
	h.await("it is done", func() bool { return again.States()[0].Last != nil })
	r := again.States()[0].Last
	if r.Tags.Done != 10 || r.Failed != 0 || r.Fetched.Blobs != 8 || h.asked()["GET blobs"] != 8 {
		t.Errorf("%+v, asked for %v", r, h.asked())
	}
}

// Whoever starts a run that is under way follows it, and whoever leaves does not end it.
func TestStart_is_followed_and_left(t *testing.T) {
	h := build(t, Entry{Repository: app})
	h.up.PushImage(there, "1.0", 100)
	release := make(chan struct{})
	h.up.Fault(func(r upstreamtest.Request) upstreamtest.Fault {
		if r.Kind == "blobs" {
			<-release
		}
		return nil
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := h.Start(ctx, app, nil)
		left <- err
	}()
	h.await("it runs", func() bool { return h.States()[0].Running != nil })
	results := make(chan Result, 2)
	for range 2 {
		go func() {
			r, err := h.Start(t.Context(), app, nil)
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	close(release)
	a, b := <-results, <-results
	if !a.Began.Equal(b.Began) || a.Tags.Done != 1 || h.up.Asked("tags") != 1 {
		t.Errorf("it ran more than once: %+v, %+v", a, b)
	}
	if _, err := h.Start(t.Context(), "up.example.com/team/other", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("a repository that is not mirrored: %v", err)
	}
}

// The rules of the pull-through hold.
func TestStart_keeps_to_what_may_be_pulled_through(t *testing.T) {
	h := build(t, Entry{Repository: "up.example.com/team/secret"})
	h.up.PushImage("team/secret", "1.0", 10)
	r, err := h.Start(t.Context(), "up.example.com/team/secret", nil)
	if err != nil || r.Failed != 1 || !strings.Contains(r.Failures[0].Reason, "does not allow") || h.up.Asked("manifests")+h.up.Asked("tags") != 0 {
		t.Errorf("%+v, %v; %v", r, err, h.asked())
	}
}
