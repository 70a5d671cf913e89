package retain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/registry"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

const app = "cloud/dmp/app"

// Each row is a set of rules about the same tags, with what the plan says of them: "goes", or a part of why a tag stays.
func TestPlan_of_tags(t *testing.T) {
	// All tags, with how old each is when the plan is made.
	ages := []struct {
		tag string
		age time.Duration
	}{
		{"1.0.0", 90 * day}, {"1.10.0", 80 * day}, {"1.9.0", 70 * day}, {"2.0.0-rc.1", 60 * day}, {"deb-1.0.0", 60 * day}, {"deb-1.1.0", 59 * day},
		{"pr-1", 50 * day}, {"pr-2", 40 * day}, {"pr-3", 30 * day}, {"1.2", 20 * day}, {"pr-4", 3 * day}, {"pr-5", time.Hour},
	}
	for name, c := range map[string]struct {
		rules []Rule
		want  map[string]string // what is not said: "no rule"
	}{
		"by age": {
			[]Rule{{Repositories: []string{"cloud/**"}, Tags: []string{"pr-*"}, OlderThan: 35 * day}},
			map[string]string{"pr-1": "goes", "pr-2": "goes", "pr-3": "pushed 30d ago, and olderThan is 35d", "pr-4": "olderThan is 35d", "pr-5": "the grace is 24h"},
		},
		"the newest by age": {
			[]Rule{{Repositories: []string{app}, Tags: []string{"pr-?"}, KeepLast: 2}},
			map[string]string{"pr-1": "goes", "pr-2": "goes", "pr-3": "goes", "pr-4": "among the newest 2", "pr-5": "the grace is 24h"},
		},
		"the newest by version, in each format": {
			[]Rule{{Repositories: []string{"cloud/*/*"}, Tags: []string{"*.*"}, KeepLast: 1}},
			map[string]string{"1.0.0": "goes", "1.9.0": "goes", "1.10.0": "goes", "2.0.0-rc.1": "among the newest 1", "deb-1.0.0": "goes", "deb-1.1.0": "among the newest 1",
				"1.2": "among the newest 1"},
		},
		"what was pulled": {
			[]Rule{{Repositories: []string{"**"}, Tags: []string{"pr-*"}, KeepPulled: 7 * day}},
			map[string]string{"pr-1": "last pulled or pushed 2d ago, and keepPulled is 7d", "pr-2": "goes", "pr-3": "goes", "pr-4": "pushed 3d ago", "pr-5": "grace"},
		},
		"all of it keeps": {
			[]Rule{{Repositories: []string{"**"}, Tags: []string{"pr-*"}, KeepPulled: 7 * day, KeepLast: 3, OlderThan: 10 * day}},
			map[string]string{"pr-1": "last pulled", "pr-2": "goes", "pr-3": "among the newest 3", "pr-4": "olderThan", "pr-5": "grace"},
		},
		"every rule keeps": {
			[]Rule{{Repositories: []string{"**"}, Tags: []string{"pr-*"}, OlderThan: 2 * day}, {Repositories: []string{app}, Tags: []string{"pr-3"}, OlderThan: 40 * day}},
			map[string]string{"pr-1": "goes", "pr-2": "goes", "pr-3": "olderThan is 40d", "pr-4": "goes", "pr-5": "grace"},
		},
		"another repository": {[]Rule{{Repositories: []string{"cloud/dmp"}, OlderThan: time.Hour}}, nil},
		"what must stay": {
			[]Rule{{Repositories: []string{"**"}, Tags: []string{"pr-1", "pr-2"}, OlderThan: time.Hour}},
			map[string]string{"pr-1": "goes", "pr-2": "somebody said so"},
		},
	} {
		h := build(t.Context(), t)
		at := func(ago time.Duration) { h.ahead.Store(int64(100*day - ago)) }
		pulled := false
		for _, a := range ages {
			if a.age < 2*day && !pulled {
				at(2 * day)
				s, err := h.reg.Stored(t.Context(), app, "pr-1")
				h.must(err)
				h.reg.Pulled(app, s.Digest)
				pulled = true
			}
			at(a.age)
			h.image(app, a.tag)
		}
		at(0)
		stays := func(_ context.Context, _, tag string, _ registry.Stored) (string, error) {
			if name == "what must stay" && tag == "pr-2" {
				return "somebody said so", nil
			}
			return "", nil
		}
		plan, tally := h.plan(h.retention(c.rules, func(c *Config) { c.Stays = stays }))
		var gone int64
		for _, a := range ages {
			f, told := plan[app+" "+a.tag]
			want := c.want[a.tag]
			if want == "goes" {
				gone++
			}
			switch {
			case name == "another repository":
				if told {
					t.Errorf("%s: the plan tells of %s: %+v", name, a.tag, f)
				}
			case !told:
				t.Errorf("%s: the plan does not tell of %s", name, a.tag)
			case want == "goes" && (!f.Goes || f.Rule == 0 || !strings.Contains(f.Why, "pushed")):
				t.Errorf("%s: %s stays, since %s; want that it goes", name, a.tag, f.Why)
			case want == "" && !strings.Contains(f.Why, "no rule"), want != "goes" && (f.Goes || !strings.Contains(f.Why, want)):
				t.Errorf("%s: %s goes: %v, since %s; want %q", name, a.tag, f.Goes, f.Why, want)
			}
		}
		if tally.Goes.Tags != gone || tally.Goes.Manifests != 0 {
			t.Errorf("%s: the sums are %+v, want %d tags", name, tally, gone)
		}
	}
}

// What has no tag goes, but for what belongs to something that stays.
func TestPlan_of_manifests_without_tags(t *testing.T) {
	h := build(t.Context(), t)
	told := map[string]digest.Digest{}
	told["part"] = h.image(app)
	told["index"] = h.indexOf(app, []digest.Digest{told["part"]})
	told["part of a kept one"] = h.image(app)
	kept := h.indexOf(app, []digest.Digest{told["part of a kept one"]}, "1.0.0")
	told["referrer of a kept one"] = h.about(app, kept)
	told["alone"] = h.image(app)
	told["referrer of it"] = h.about(app, told["alone"])
	told["referrer of nothing"] = h.about(app, digest.FromString("nothing"))
	told["pulled"] = h.image(app)
	told["needed"] = h.image(app)
	told["tagged"] = h.image(app, "pr-1")
	h.advance(29 * day)
	h.reg.Pulled(app, told["pulled"])
	told["young"] = h.image(app)
	h.advance(2 * day)
	r := h.retention([]Rule{{Repositories: []string{"**"}, Untagged: 30 * day}, {Repositories: []string{"cloud/**"}, Untagged: 7 * day}}, func(c *Config) {
		c.Stays = func(_ context.Context, repo, tag string, s registry.Stored) (string, error) {
			if repo == app && tag == "" && s.Digest == told["needed"] {
				return "it is needed", nil
			}
			return "", nil
		}
	})
	plan, tally := h.plan(r)
	for what, want := range map[string]string{
		"index": "goes", "alone": "goes", "referrer of nothing": "goes",
		"pulled": "pulled or pushed 2d ago, and untagged is 30d", "young": "2d ago, and untagged is 30d", "needed": "it is needed",
		"part": "", "part of a kept one": "", "referrer of a kept one": "", "referrer of it": "", "tagged": "",
	} {
		f, found := plan[app+" "+string(told[what])]
		switch {
		case want == "" && found:
			t.Errorf("%s: the plan tells %+v; want that it is not looked at", what, f)
		case want == "goes" && !f.Goes, want != "goes" && want != "" && (f.Goes || !strings.Contains(f.Why, want)):
			t.Errorf("%s: %+v; want %q", what, f, want)
		}
	}
	if tally.Goes.Manifests != 3 || tally.Goes.Tags != 0 {
		t.Errorf("%+v, want 3 manifests", tally)
	}
	h.run(r)
	for _, what := range []string{"index", "alone", "referrer of nothing"} {
		if h.has(app, string(told[what])) {
			t.Errorf("%s is still there", what)
		}
	}
	// What that leaves behind goes in the run after.
	if plan, _ := h.plan(r); !plan[app+" "+string(told["part"])].Goes || !plan[app+" "+string(told["referrer of it"])].Goes || len(going(plan)) != 2 {
		t.Errorf("after that goes %q", going(plan))
	}
}

func TestPlan_keeps_what_is_tagged_for_a_manifest_that_is_there(t *testing.T) {
	h := build(t.Context(), t)
	d := h.image(app, "1.0.0")
	tag := strings.Replace(string(d), ":", "-", 1)
	h.image(app, tag+".sig")
	h.image(app, tag)
	other := "sha256-" + digest.FromString("nothing").Encoded()
	h.image(app, other+".sig")
	h.advance(30 * day)
	plan, _ := h.plan(h.retention([]Rule{{Repositories: []string{"**"}, Tags: []string{"sha256-*"}, OlderThan: day}}))
	if got := going(plan); !slices.Equal(got, []string{app + " " + other + ".sig"}) {
		t.Errorf("%q go", got)
	}
	if why := plan[app+" "+tag+".sig"].Why; why != "it is about "+string(d)+", which is there" {
		t.Error(why)
	}
}

func TestRules_leave_upstreams_alone(t *testing.T) {
	for pattern, want := range map[string][]string{
		"**":                      {"app", "cloud/dmp", "cloud/dmp/app"},
		"cloud/**":                {"cloud/dmp", "cloud/dmp/app"},
		"cloud/dmp/**":            {"cloud/dmp", "cloud/dmp/app"},
		"*/dmp/*":                 {"cloud/dmp/app"},
		"cl?ud/*":                 {"cloud/dmp"},
		"app":                     {"app"},
		"*":                       {"app"},
		"docker.io/**":            {"docker.io/library/alpine"},
		"docker.io/*/*":           {"docker.io/library/alpine"},
		"*.io/**":                 nil,
		"docker.*/library/alpine": nil,
		"*/library/alpine":        nil,
		"clou/**":                 nil,
	} {
		r, err := New(Config{Rules: []Rule{{Repositories: []string{pattern}, KeepLast: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, repo := range []string{"app", "cloud/dmp", "cloud/dmp/app", "docker.io/library/alpine"} {
			if len(r.forRepo(repo)) > 0 {
				got = append(got, repo)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is about %q, want %q", pattern, got, want)
		}
	}
}

func TestRules_faults(t *testing.T) {
	good := Rule{Repositories: []string{"**"}, KeepLast: 1}
	for field, change := range map[string]func(*Rule){
		"repositories":    func(r *Rule) { r.Repositories = nil },
		"repositories[1]": func(r *Rule) { r.Repositories = []string{"**", "a/**/b"} },
		"repositories[0]": func(r *Rule) { r.Repositories = []string{"a**"} },
		"tags[0]":         func(r *Rule) { r.Tags = []string{"a/b"} },
		"tags[1]":         func(r *Rule) { r.Tags = []string{"a", strings.Repeat("x", 200)} },
		"tags":            func(r *Rule) { *r = Rule{Repositories: r.Repositories, Tags: []string{"a"}, Untagged: day} },
		"keepLast":        func(r *Rule) { r.KeepLast = -1 },
		"keepPulled":      func(r *Rule) { r.KeepPulled = time.Second },
		"olderThan":       func(r *Rule) { r.OlderThan = -time.Hour },
		"untagged":        func(r *Rule) { r.Untagged = 1 },
		"":                func(r *Rule) { r.KeepLast = 0 },
	} {
		r := good
		change(&r)
		faults := r.Faults()
		if len(faults) != 1 || faults[0].Field != field {
			t.Errorf("%q: %+v", field, faults)
		}
		if _, err := New(Config{Rules: []Rule{good, r}}); err == nil || !strings.Contains(err.Error(), "rule 2") {
			t.Errorf("%q: %v", field, err)
		}
	}
	if f := good.Faults(); len(f) > 0 {
		t.Errorf("%+v", f)
	}
}

// guardian is an admission that does not let some tags go.
type guardian struct{ tag string }

func (guardian) Admit(context.Context, registry.Push) (registry.Verdict, error) {
	return registry.Verdict{}, nil
}

func (g guardian) Remove(_ context.Context, _ kv.Tx, _, tag string, _ registry.Stored) error {
	if tag == g.tag {
		return &registry.Error{Code: registry.Denied, Detail: map[string]string{"hint": "it is mine"}}
	}
	return nil
}

func TestRun_tells_what_was_refused_and_goes_on(t *testing.T) {
	h := build(t.Context(), t, guardian{"pr-2"})
	for _, tag := range []string{"pr-1", "pr-2", "pr-3", "1.0.0"} {
		h.image(app, tag)
	}
	h.advance(30 * day)
	r := h.retention([]Rule{{Repositories: []string{"**"}, Tags: []string{"pr-*"}, OlderThan: 2 * day}})
	ctx := journal.By(t.Context(), journal.Actor{Name: "user:root", Request: "r-1"})
	result, err := r.Start(ctx, nil)
	if err != nil || result.By != "user:root" || result.Goes.Tags != 2 || result.Refused != 1 || len(result.Refusals) != 1 ||
		result.Refusals[0].Tag != "pr-2" || result.Refusals[0].Reason != "it is mine" {
		t.Errorf("%+v, %v", result, err)
	}
	if got := h.tags(app); !slices.Equal(got, []string{"1.0.0", "pr-2"}) {
		t.Errorf("%q are left", got)
	}
	// The journal has it: who removed, and whose run it was.
	deleted, ended := 0, false
	for l, err := range journal.New(h.index).Tail(t.Context(), 0, 100) {
		h.must(err)
		if l.Event.Action == "tag.delete" {
			deleted++
			if l.Event.Actor != Actor || l.Event.Request != "r-1" {
				t.Errorf("%+v, want that %s did it", l.Event, Actor)
			}
		}
		ended = ended || l.Event.Action == "retention.run" && l.Event.Actor == "user:root" && l.Event.Note == "2 tags and 0 manifests went; 1 were refused"
	}
	if deleted != 2 || !ended {
		t.Errorf("%d deletions, and the run: %v", deleted, ended)
	}
}

// What changes between the decision and the deed stays.
func TestRun_spares_what_was_pushed_meanwhile(t *testing.T) {
	h := build(t.Context(), t)
	h.image(app, "pr-1")
	loose := h.image(app)
	body := h.manifest(app, nil)
	tagged := h.put(app, body)
	h.advance(30 * day)
	asked := map[string]int{}
	r := h.retention([]Rule{{Repositories: []string{"**"}, OlderThan: day, Untagged: day}}, func(c *Config) {
		c.Stays = func(_ context.Context, _, tag string, s registry.Stored) (string, error) {
			key := tag + string(s.Digest)
			asked[key]++
			switch {
			case tag == "pr-1":
				h.image(app, "pr-1") // moved just now
			case s.Digest == tagged && asked[key] == 2:
				h.put(app, body, "new") // the last question before it goes
			case s.Digest == loose && asked[key] == 1:
				h.indexOf(app, []digest.Digest{loose}, "index") // after the first decision
			}
			return "", nil
		}
	})
	if result := h.run(r); result.Goes.Tags != 0 || result.Goes.Manifests != 0 || result.Refused != 0 {
		t.Errorf("%+v", result)
	}
	for _, ref := range []string{"pr-1", "new", "index", string(loose), string(tagged)} {
		if !h.has(app, ref) {
			t.Errorf("%s is gone", ref)
		}
	}
}

// A run that is cut goes on behind the repositories that it has done, also in another replica.
func TestRun_goes_on_where_it_was_cut(t *testing.T) {
	h := build(t.Context(), t)
	for i := range 5 {
		h.image(fmt.Sprintf("cloud/dmp/app%d", i), "pr-1", "pr-2")
	}
	h.advance(30 * day)
	rules := []Rule{{Repositories: []string{"**"}, OlderThan: day}}
	var first *Retention
	seen := map[string]int{}
	look := func(stop string) func(*Config) {
		return func(c *Config) {
			c.Every = time.Hour
			c.Stays = func(ctx context.Context, repo, tag string, _ registry.Stored) (string, error) {
				if seen[repo]++; repo == stop {
					go first.runs.Stop()
					<-ctx.Done()
				}
				return "", ctx.Err()
			}
		}
	}
	first = h.retention(rules, look("cloud/dmp/app2"))
	h.must(first.adopt(t.Context()))
	h.advance(time.Hour)
	first.look(t.Context())
	if len(h.tags("cloud/dmp/app1")) != 0 || len(h.tags("cloud/dmp/app2")) != 2 {
		t.Fatalf("%q and %q are left", h.tags("cloud/dmp/app1"), h.tags("cloud/dmp/app2"))
	}
	second := h.retention(rules, look(""))
	clear(seen)
	second.look(t.Context())
	if seen["cloud/dmp/app0"] != 0 || seen["cloud/dmp/app1"] != 0 || seen["cloud/dmp/app4"] != 2 || len(h.tags("cloud/dmp/app4")) != 0 {
		t.Errorf("the second looked at %v", seen)
	}
	known, err := second.known(t.Context())
	if err != nil || known.Open || known.After != "" {
		t.Errorf("%+v, %v", known, err)
	}
}

func TestRun_by_the_schedule(t *testing.T) {
	h := build(t.Context(), t)
	rules := []Rule{{Repositories: []string{"**"}, OlderThan: day}}
	every := func(c *Config) { c.Every = time.Hour }
	one, two := h.retention(rules, every), h.retention(rules, every)
	put := func() { h.image(app, "pr-1"); h.advance(30 * day) }
	put()
	left := func(want int, when string) {
		t.Helper()
		if got := len(h.tags(app)); got != want {
			t.Errorf("%s: %d tags are left, want %d", when, got, want)
		}
	}
	one.look(t.Context())
	left(1, "before the rules are known")
	h.must(one.adopt(t.Context()))
	h.must(two.adopt(t.Context()))
	one.look(t.Context())
	left(1, "at the start")
	h.advance(time.Hour)
	began, err := two.claim(t.Context(), h.now(), true)
	h.must(err)
	one.look(t.Context())
	left(1, "while another replica is at it")
	if _, err := one.claim(t.Context(), h.now(), true); !errors.Is(err, errNotNow) {
		t.Errorf("%v", err)
	}
	h.advance(lease + time.Second)
	one.look(t.Context())
	left(0, "when that one has gone")
	if began.After != "" {
		t.Errorf("%+v", began)
	}
	put()
	one.look(t.Context())
	left(0, "when it is due again")
	// Other rules begin anew, and those that they replace do nothing more.
	put()
	three := h.retention([]Rule{{Repositories: []string{"**"}, OlderThan: 2 * day}}, every)
	h.must(three.adopt(t.Context()))
	one.look(t.Context())
	three.look(t.Context())
	left(1, "by new rules")
	h.advance(time.Hour)
	one.look(t.Context())
	left(1, "by rules that were replaced")
	three.look(t.Context())
	left(0, "an hour later")
	// By hand it is always now, and without a schedule only then.
	put()
	four := h.retention(rules)
	h.must(four.adopt(t.Context()))
	h.advance(1000 * day)
	four.look(t.Context())
	left(1, "without a schedule")
	h.run(four)
	left(0, "by hand")
}

// Run ends with its context, and lets nothing begin from then on.
func TestRun_ends(t *testing.T) {
	h := build(t.Context(), t)
	r := h.retention([]Rule{{Repositories: []string{"**"}, OlderThan: day}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	cancel()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	if _, err := r.Start(t.Context(), nil); err == nil {
		t.Error("a run began after the end")
	}
}

// A repository with very many tags is no burden.
func TestRun_many_tags(t *testing.T) {
	h := build(t.Context(), t)
	const many = 5000
	body := h.manifest(app, nil)
	for i := 0; i < many; i += 50 {
		var tags []string
		for n := range 50 {
			tags = append(tags, fmt.Sprintf("1.%d.0", i+n))
		}
		h.put(app, body, tags...)
	}
	h.advance(30 * day)
	r := h.retention([]Rule{{Repositories: []string{"**"}, KeepLast: 10}})
	if result := h.run(r); result.Goes.Tags != many-10 || result.Looked.Tags != many {
		t.Errorf("%+v", result)
	}
	if got := h.tags(app); len(got) != 10 || got[0] != "1.4990.0" || got[9] != "1.4999.0" {
		t.Errorf("%q are left", got)
	}
}
