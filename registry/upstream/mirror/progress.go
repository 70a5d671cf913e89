package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/registry"
)

// Count is how much is done of what is known so far.
type Count struct {
	Done  int64 `json:"done"`
	Known int64 `json:"known"`
}

// Tally counts what a run has to do with, each thing once.
type Tally struct {
	Tags      Count   `json:"tags"` // with those of signatures and the like
	Manifests Count   `json:"manifests"`
	Blobs     Count   `json:"blobs"`
	Bytes     Count   `json:"bytes"`   // of blobs
	Fetched   Fetched `json:"fetched"` // what was not here before
	Failed    int     `json:"failed"`  // things in the list of failures, or that would be if it were longer
}

// Fetched counts what came from the upstream.
type Fetched struct {
	Manifests int64 `json:"manifests"`
	Blobs     int64 `json:"blobs"`
	Bytes     int64 `json:"bytes"` // of blobs
}

// Progress is how far a run is.
type Progress struct {
	Repository string    `json:"repository"`
	Began      time.Time `json:"began"`
	Tally
	Resting bool `json:"resting"` // it waits because the upstream had better be left alone just now
}

// Result is what came of a run.
type Result struct {
	Repository string    `json:"repository"`
	Began      time.Time `json:"began"`
	Ended      time.Time `json:"ended"`
	By         string    `json:"by"` // who started it: system is the schedule
	Tally
	Failures []Failure `json:"failures,omitempty"` // the first of them
}

// Failure is something that could not be mirrored.
type Failure struct {
	Tag    string `json:"tag,omitempty"` // empty: the whole
	Reason string `json:"reason"`
}

// maxFailures bounds the list of a result.
const maxFailures = 100

// counter counts for a run.
type counter struct {
	mu       sync.Mutex
	tally    Tally
	resting  int
	seen     map[digest.Digest]bool // blobs
	failures []Failure
}

func (c *counter) count(do func(*Tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do(&c.tally)
}

// sized is what a blob counts for. An upstream can write any size into a manifest.
func sized(d ocispec.Descriptor) int64 { return max(0, min(d.Size, 1<<40)) }

// know counts blobs that are to be here, each once.
func (c *counter) know(blobs []ocispec.Descriptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range blobs {
		if !c.seen[d.Digest] {
			c.seen[d.Digest] = true
			c.tally.Blobs.Known++
			c.tally.Bytes.Known += sized(d)
		}
	}
}

// have counts a blob that is here.
func (c *counter) have(d ocispec.Descriptor, fetched bool) {
	c.count(func(t *Tally) {
		t.Blobs.Done++
		t.Bytes.Done += sized(d)
		if fetched {
			t.Fetched.Blobs++
			t.Fetched.Bytes += sized(d)
		}
	})
}

// fail lists what could not be mirrored. That the run was cut is no failure.
func (c *counter) fail(tag string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tally.Failed++; len(c.failures) < maxFailures {
		c.failures = append(c.failures, Failure{tag, reason(err)})
	}
}

// restAfter is how long somebody waits before that is called resting.
const restAfter = time.Second

// rest marks that somebody waits for the upstream to be asked again, until the function that it returns is called.
func (c *counter) rest() (done func()) {
	add := func(n int) {
		c.mu.Lock()
		c.resting += n
		c.mu.Unlock()
	}
	timer := time.AfterFunc(restAfter, func() { add(1) })
	return func() {
		if !timer.Stop() {
			add(-1)
		}
	}
}

// reason tells a person what went wrong with what: in the words that the registry has for a client, and with its cause.
func reason(err error) string {
	text := err.Error()
	var told *registry.Error
	if errors.As(err, &told) {
		text = strings.Replace(text, told.Error(), inWords(told), 1)
	}
	return clip(text, 600)
}

func inWords(told *registry.Error) string {
	text := told.Code
	switch detail, _ := told.Detail.(map[string]string); {
	case absent(told):
		text = "the upstream does not have it"
	case detail["hint"] != "":
		text = detail["hint"]
	case told.Detail != nil:
		text += fmt.Sprintf(" %v", told.Detail)
	}
	if told.Err != nil {
		text += " (" + told.Err.Error() + ")"
	}
	return text
}

func joined(words map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(words)), ", ")
}

// flights have each thing done once, by whoever comes first; the others wait for what came of it.
type flights[T any] struct {
	mu  sync.Mutex
	all map[digest.Digest]*flight[T]
}

type flight[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what came of the thing, which is done now if nobody has begun it; it is told how many there are with this one.
func (f *flights[T]) do(ctx context.Context, d digest.Digest, what func(nth int) (T, error)) (T, error) {
	f.mu.Lock()
	one := f.all[d]
	if one != nil {
		f.mu.Unlock()
		select {
		case <-one.done:
			return one.value, one.err
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
	}
	one = &flight[T]{done: make(chan struct{})}
	f.all[d] = one
	nth := len(f.all)
	f.mu.Unlock()
	defer close(one.done)
	one.value, one.err = what(nth)
	return one.value, one.err
}
