package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/entrepot/entrepot/conformance/spec/wire"
)

// maker is a client who makes versions of products of its own, and deploys them. It also fights with the others about what is deployed of one product.
type maker struct {
	t       testing.TB
	random  *rand.Rand
	reg     *wire.Registry
	own     []*product
	shared  *product
	ledger  *ledger
	mu      sync.Mutex
	changes int
}

// work goes on until the program is gone.
func (m *maker) work() {
	steps := []struct {
		weight int
		do     func(*product) error
	}{{6, m.push}, {6, m.promote}, {3, m.rollBack}, {1, m.withdraw}, {2, m.correct}, {2, m.again}, {3, m.fight}}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	for {
		n := m.random.IntN(total)
		for _, s := range steps {
			if n -= s.weight; n < 0 {
				if err := s.do(m.own[m.random.IntN(len(m.own))]); err != nil {
					return
				}
				break
			}
		}
	}
}

// ask sends a request. Any answer beside the wanted ones is a fault of the program; no answer ends the round.
func (m *maker) ask(method, target string, body []byte, want []int, headers ...string) (wire.Reply, error) {
	reply, err := m.reg.Try(method, target, bytes.NewReader(body), headers...)
	if err != nil {
		return reply, errGone{err}
	}
	if reply.Status == 503 { // it is being stopped
		return reply, errGone{fmt.Errorf("status 503")}
	}
	if !slices.Contains(want, reply.Status) {
		m.t.Errorf("%s: status %d, want %v\n%s", reply.Asked, reply.Status, want, reply.Excerpt())
		return reply, errGone{fmt.Errorf("status %d", reply.Status)}
	}
	return reply, nil
}

// part runs the request that brings a part of an edition.
func (m *maker) part(e *edition, part string, run func() error) error {
	m.mu.Lock()
	e.touched, e.under[part] = true, true
	m.mu.Unlock()
	err := run()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		e.has[part] = true
		delete(e.under, part)
		m.changes++
	}
	return err
}

// push brings what is missing of the last edition, or a new one.
func (m *maker) push(p *product) error {
	if n := len(p.editions); n > 0 && !p.editions[n-1].good() && m.random.IntN(10) > 0 {
		return m.complete(p.editions[n-1])
	}
	arches := processors
	if m.random.IntN(4) == 0 {
		arches = processors[:1]
	}
	return m.complete(p.edition(arches...))
}

// complete brings what is missing of an edition: its image, its packages at once, and then its documents.
func (m *maker) complete(e *edition) error {
	name := e.product.name
	if e.product.imaged && !e.has[picture] {
		for _, content := range [][]byte{e.config(), e.layer()} {
			target := wire.With(wire.UploadsPath(name), "digest", digest.FromBytes(content).String())
			if _, err := m.ask("POST", target, content, []int{201}, "Content-Type", wire.Octets); err != nil {
				return err
			}
		}
		err := m.part(e, picture, func() error {
			_, err := m.ask("PUT", wire.ManifestPath(name, e.number()), e.image(), []int{201}, "Content-Type", ocispec.MediaTypeImageManifest)
			return err
		})
		if err != nil {
			return err
		}
	}
	missing := slices.DeleteFunc(slices.Clone(e.arches), func(arch string) bool { return e.has[arch] })
	var both sync.WaitGroup
	errs := make([]error, len(missing))
	for i, arch := range missing {
		both.Go(func() {
			errs[i] = m.part(e, arch, func() error {
				_, err := m.ask("PUT", "/apt/upload/"+name+"/"+e.file(arch)+"?version="+e.number(), e.deb(arch), []int{200, 201})
				return err
			})
		})
	}
	both.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for _, paper := range e.papers() {
		if e.says[paper] == "" {
			if err := m.attach(e, paper, e.paper(paper, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *maker) attach(e *edition, what, text string) error {
	target := "/api/v1/components/" + e.product.name + "/versions/" + e.number() + "/" + what + "/manifest.yaml"
	if what == "metadata" {
		target = "/api/v1/components/" + e.product.name + "/versions/" + e.number() + "/metadata.yaml"
	}
	e.touched, e.saying[what] = true, text
	_, err := m.ask("PUT", target, []byte(text), []int{200, 201}, "Content-Type", "application/yaml")
	if err == nil {
		e.says[what] = text
		delete(e.saying, what)
		m.changes++
	}
	return err
}

// anyGood returns an edition that may be deployed; the later ones come more often.
func (m *maker) anyGood(p *product) *edition {
	var good []*edition
	for _, e := range p.editions {
		if e.good() {
			good = append(good, e)
		}
	}
	if len(good) == 0 {
		return nil
	}
	return good[max(m.random.IntN(len(good)), m.random.IntN(len(good)))]
}

// correct replaces a manifest.yaml by another one.
func (m *maker) correct(p *product) error {
	e := m.anyGood(p)
	if e == nil {
		return m.push(p)
	}
	if e.changes > 0 && m.random.IntN(3) == 0 {
		e.changes-- // back to what it was before
	} else {
		e.changes++
	}
	papers := e.papers()
	what := papers[m.random.IntN(len(papers)-1)] // not metadata.yaml, of which there is only one
	return m.attach(e, what, e.paper(what, e.changes))
}

// again pushes once more what is there: nothing changes.
func (m *maker) again(p *product) error {
	e := m.anyGood(p)
	if e == nil {
		return m.push(p)
	}
	e.touched = true
	arch := e.arches[m.random.IntN(len(e.arches))]
	_, err := m.ask("PUT", "/apt/upload/"+p.name+"/"+e.file(arch)+"?version="+e.number(), e.deb(arch), []int{200})
	return err
}

// move sends an order. Whoever is the only one to move knows what is there, and expects it.
func (m *maker) move(kind string, p *product, place, version string, want []int) error {
	body := map[string]any{"component": p.name, "reason": "a crash test"}
	path, member := "/api/v1/promotions", "to"
	switch kind {
	case "rollback":
		path, member = "/api/v1/rollbacks", "at"
	case "withdraw":
		path, member = "/api/v1/withdrawals", "at"
	}
	body[member] = place
	if version != "" {
		body["version"] = version
	}
	if p != m.shared {
		body["expect"] = after(m.ledger.of(p.name, place)).version
	}
	e := errand{kind, p.name, place, version}
	m.ledger.begin(e)
	reply, err := m.ask("POST", path, wire.JSON(body), want, "Content-Type", "application/json")
	if err != nil {
		return err
	}
	if was := after(m.ledger.of(p.name, place)).version; reply.Status == 200 && p != m.shared && version != "" && was != version {
		m.t.Errorf("%s: it is said to be deployed already, and it is %s that is", reply.Asked, was)
	}
	if reply.Status != 201 {
		m.ledger.end(e, nil)
		return nil
	}
	var s step
	if err := json.Unmarshal(reply.Body, &s); err != nil || s.Component != p.name || s.place() != place || version != "" && s.To != version {
		m.t.Errorf("%s: answers %s (%v), asked for %s", reply.Asked, reply.Excerpt(), err, shows(body))
	}
	m.ledger.end(e, &s)
	m.mu.Lock()
	m.changes++
	m.mu.Unlock()
	return nil
}

func (m *maker) place() string { return domains[m.random.IntN(len(domains))] }

func (m *maker) promote(p *product) error {
	e := m.anyGood(p)
	if e == nil {
		return m.push(p)
	}
	return m.move("promote", p, m.place(), e.number(), []int{200, 201}) // 200: it is deployed already
}

func (m *maker) rollBack(p *product) error {
	place := m.place()
	former := after(m.ledger.of(p.name, place)).former
	if len(former) == 0 {
		return m.promote(p)
	}
	version := ""
	if m.random.IntN(2) == 0 {
		version = former[m.random.IntN(len(former))]
	}
	return m.move("rollback", p, place, version, []int{200, 201})
}

func (m *maker) withdraw(p *product) error {
	place := m.place()
	if after(m.ledger.of(p.name, place)).version == "" {
		return m.promote(p)
	}
	return m.move("withdraw", p, place, "", []int{201})
}

// fight moves what others move, too.
func (m *maker) fight(*product) error {
	kind := []string{"promote", "promote", "promote", "rollback", "withdraw"}[m.random.IntN(5)]
	version := ""
	if kind == "promote" {
		version = m.anyGood(m.shared).number()
	}
	return m.move(kind, m.shared, m.place(), version, []int{200, 201, 404, 409, 422})
}
