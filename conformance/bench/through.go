package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	pullers   = 16       // clients at once
	abreast   = 3        // layers that a client pulls at once, as docker and containerd do
	farLayers = 4        // of an image
	farLayer  = 50 * mib // each
	gigabit   = 1e9 / 8  // bytes a second of a common line
	farName   = "far.example.com"
)

// throughScenarios are about images that are elsewhere: the peers are proxies of one registry, far, that counts what it is asked for.
var throughScenarios = []*scenario{
	{
		name: "through-cold", title: text("16 clients pull an image of 200 MiB through, which nobody had before"), stock: farAway, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.throughCold(ctx, 0) },
		marks: marks(atMost(askedEach, 1), atMost(lag, 20_000)),
	},
	{
		name: "through-cold-1g", title: text("the same, where what is pulled through is behind 1 Gbit/s"), stock: farAway, peers: keepers,
		run:   func(ctx context.Context, s *site) (measure, error) { return s.throughCold(ctx, gigabit) },
		marks: marks(atMost(askedEach, 1), atMost(lag, 20_000), atMost(overOne, 1.1)),
	},
	{
		name: "through-warm", title: text("16 clients pull the same again, × an image that was pushed here"), stock: farAway, peers: keepers,
		run:   by((*site).throughWarm),
		marks: marks(atMost(askedEach, 0), atLeast(toLocal, 0.95)),
	},
}

// farAway: the server is started anew as a proxy. This registry has an image of the same size of its own besides; distribution takes no
// pushes then.
var farAway = &stock{"an image of its own, and one far away", func(ctx context.Context, s *site) error {
	var err error
	if s.far, err = newFar(); err != nil {
		return err
	}
	if s.peer.name == distribution {
		return s.restart(ctx, s.peer.configured("proxy:\n  remoteurl: http://"+s.far.addr+"\n"))
	}
	s.near = s.newFarImage()
	if err := spread(ctx, s.server, 1, func(c *conn, _ int) error { return s.near.push(c) }); err != nil {
		return err
	}
	return s.restart(ctx, s.peer.with(fmt.Sprintf("ENTREPOT_UPSTREAMS=[{name: %s, urls: ['http://%s']}]", farName, s.far.addr)))
}}

// farImage is an image with its blobs.
type farImage struct {
	tag      string
	manifest []byte
	blobs    []blob // config and layers
}

// newFarImage makes an image that nobody has seen.
func (s *site) newFarImage() farImage {
	i := farImage{blobs: []blob{s.supply(kib).next()}}
	for range farLayers {
		i.blobs = append(i.blobs, s.supply(farLayer).next())
	}
	var layers []string
	for _, l := range i.blobs[1:] {
		layers = append(layers, fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, layerType, l.digest, l.size))
	}
	i.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[%s]}`,
		imageType, configType, i.blobs[0].digest, i.blobs[0].size, strings.Join(layers, ","))
	i.tag = digest(i.manifest)[len("sha256:"):][:16]
	return i
}

func (i farImage) push(c *conn) error {
	for _, b := range i.blobs {
		if err := c.push(repo, b, 0); err != nil {
			return err
		}
	}
	return c.tag(repo, i.tag, i.manifest)
}

// objects returns the paths of all that makes the image, in the order in which it is pulled, with their sizes.
func (i farImage) objects() (paths []string, sizes []int64) {
	paths, sizes = []string{"manifests/" + i.tag}, []int64{int64(len(i.manifest))}
	for _, b := range i.blobs {
		paths, sizes = append(paths, "blobs/"+b.digest), append(sizes, b.size)
	}
	return paths, sizes
}

// farRepo is what a peer calls the repository that is far away.
func (s *site) farRepo() string {
	if s.peer.name == ours {
		return farName + "/" + farRepo
	}
	return farRepo
}

// throughCold pulls a new image straight from far, by one client and by all at once, and then through the server by all at once.
func (s *site) throughCold(ctx context.Context, rate float64) (measure, error) {
	i := s.newFarImage()
	s.far.add(i)
	s.far.forget(rate)
	one, err := s.pullImage(ctx, s.far.addr, farRepo, i, 1)
	if err != nil {
		return nil, err
	}
	s.far.forget(rate)
	all, err := s.pullImage(ctx, s.far.addr, farRepo, i, pullers)
	if err != nil {
		return nil, err
	}
	s.far.forget(rate)
	m, err := s.timed(func() (*pulled, error) { return s.pullImage(ctx, s.addr, s.farRepo(), i, pullers) })
	if err != nil {
		return nil, err
	}
	m[overOne] = m[total] / micros(one.took)
	m[overAll] = m[total] / micros(all.took)
	s.said(m, i)
	return m, nil
}

// throughWarm pulls what was pulled through before, by all at once, in turns with an image that was pushed here.
func (s *site) throughWarm(ctx context.Context) (measure, error) {
	i := s.newFarImage()
	s.far.add(i)
	s.far.forget(0)
	if _, err := s.pullImage(ctx, s.addr, s.farRepo(), i, 1); err != nil {
		return nil, err
	}
	var here, there []measure
	var rates []float64
	for begin := time.Now(); len(there) < 3 || time.Since(begin) < s.opt.time(1); {
		if s.near.manifest != nil {
			m, err := s.timed(func() (*pulled, error) { return s.pullImage(ctx, s.addr, repo, s.near, pullers) })
			if err != nil {
				return nil, err
			}
			here = append(here, m)
		}
		s.far.forget(0)
		m, err := s.timed(func() (*pulled, error) { return s.pullImage(ctx, s.addr, s.farRepo(), i, pullers) })
		if err != nil {
			return nil, err
		}
		if there = append(there, m); len(here) > 0 {
			rates = append(rates, here[len(here)-1][total]/m[total])
		}
	}
	m := medians(there)
	if len(here) > 0 {
		m[toLocal], m[cpuLocal] = median(rates), medians(here)[cpu]
	}
	delete(m, lag) // far has sent nothing
	delete(m, lagMost)
	s.said(m, i)
	return m, nil
}

// said adds what far was asked for since it forgot.
func (s *site) said(m measure, i farImage) {
	asked, sent := s.far.sums()
	paths, _ := i.objects()
	m[askedEach] = float64(asked) / float64(len(paths))
	m[farSent] = float64(sent) / mib
}

// timed looks at the server while clients pull.
func (s *site) timed(pull func() (*pulled, error)) (measure, error) {
	before, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	p, err := pull()
	if err != nil {
		return nil, err
	}
	after, err := cpuOf(s.pid)
	if err != nil {
		return nil, err
	}
	m := measure{}
	m[total] = micros(p.took)
	m[cpu] = micros(after-before) / pullers
	m[throughput] = pullers * farLayers * farLayer / mib / p.took.Seconds()
	slices.Sort(p.lags)
	m[lag], m[lagMost] = micros(percentile(p.lags, 0.5)), micros(percentile(p.lags, 1))
	m[rss], err = memoryOf(s.pid, "VmRSS")
	return m, err
}

// pullImage lets clients pull an image at once: each its manifest, and then the rest, some of it at once, on connections of its own.
func (s *site) pullImage(ctx context.Context, addr, from string, i farImage, clients int) (*pulled, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var (
		all sync.WaitGroup
		p   = &pulled{}
	)
	paths, sizes := i.objects()
	begin := time.Now()
	for range clients {
		all.Go(func() {
			transport := &http.Transport{DisableCompression: true, ReadBufferSize: 64 * kib}
			defer transport.CloseIdleConnections()
			get := func(n int) { p.note(s.pullObject(ctx, transport, "http://"+addr+"/v2/"+from+"/", paths[n], sizes[n])) }
			get(0)
			var layers sync.WaitGroup
			turn := make(chan struct{}, abreast)
			for n := range paths[1:] {
				turn <- struct{}{}
				layers.Go(func() {
					get(n + 1)
					<-turn
				})
			}
			layers.Wait()
		})
	}
	all.Wait()
	p.took = time.Since(begin)
	return p, p.bad
}

// pulled is how clients that pulled an image at once fared.
type pulled struct {
	took time.Duration // until the last had all of it

	mu   sync.Mutex
	lags []time.Duration // for each client and object: how long the first byte took after it was asked for and far had sent it
	bad  error
}

func (p *pulled) note(lag time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lags, p.bad = append(p.lags, lag), cmp.Or(p.bad, err)
}

// pullObject pulls one object, and returns how late its first byte was.
func (s *site) pullObject(ctx context.Context, transport http.RoundTripper, base, path string, want int64) (late time.Duration, err error) {
	asked := time.Now()
	first, size, err := read(ctx, transport, base+path)
	if err == nil && size != want {
		err = fmt.Errorf("%s has %d bytes, want %d", path, size, want)
	}
	if sent := s.far.first(path); sent.After(asked) {
		asked = sent
	}
	return first.Sub(asked), err
}

// read reads an object, and returns when its first byte came, and how many did.
func read(ctx context.Context, transport http.RoundTripper, url string) (first time.Time, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return first, 0, err
	}
	req.Header.Set("Accept", imageType)
	res, err := transport.RoundTrip(req)
	if err != nil {
		return first, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
		return first, 0, fmt.Errorf("GET %s: %s: %s", url, res.Status, text)
	}
	buf := make([]byte, waste)
	for {
		n, err := res.Body.Read(buf)
		if n > 0 && size == 0 {
			first = time.Now()
		}
		size += int64(n)
		if err == io.EOF {
			return first, size, nil
		}
		if err != nil {
			return first, size, fmt.Errorf("GET %s: %w", url, err)
		}
	}
}
