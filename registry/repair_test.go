package registry

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/kvtest"
)

// repairable is a registry with images, an index, a referrer, a doomed blob and a packed journal, at rest.
func repairable(t testing.TB, change ...func(*Config)) (*Registry, *ahead) {
	clock := &ahead{}
	r := open(t, append([]func(*Config){func(c *Config) { c.Now = clock.now }}, change...)...)
	mustPush(t, r, "a/x", sweptConfig, sweptLayer, sweptOther, []byte("{}"))
	mustPush(t, r, "b/y", sweptConfig, sweptLayer)
	image := imageOf(sweptConfig, [][]byte{sweptLayer})
	mustPut(t, r, "a/x", "1", image, "latest")
	mustPut(t, r, "b/y", "1", image)
	mustPut(t, r, "a/x", "all", indexOf(image))
	mustPut(t, r, "a/x", string(digest.FromBytes(referrerOf(image, "application/x-note", []byte("{}")))), referrerOf(image, "application/x-note", []byte("{}")))
	clock.advance(r.grace + time.Minute)
	if done, err := r.Sweep(t.Context(), SweepOptions{}); err != nil || done.Doomed != 1 {
		t.Fatal(done, err)
	}
	saveAll(t, r)
	verified(t, r.blobs, r.index)
	return r, clock
}

// repaired repairs and returns what was told.
func repaired(t testing.TB, r *Registry) (Repaired, []string) {
	t.Helper()
	var lines []string
	done, err := Repair(t.Context(), r.blobs, r.index, func(line string) { lines = append(lines, line) })
	if err != nil {
		t.Fatal(err)
	}
	return done, lines
}

func TestRepair_changes_nothing_of_what_is_right(t *testing.T) {
	r, _ := repairable(t)
	was := rows(t, r.index, "")
	if done, lines := repaired(t, r); done != (Repaired{}) || len(lines) != 0 || !maps.Equal(rows(t, r.index, ""), was) {
		t.Errorf("%+v, %q", done, lines)
	}
}

// TestRepair_writes_what_is_missing: each row that follows from others comes back as it was.
func TestRepair_writes_what_is_missing(t *testing.T) {
	r, _ := repairable(t)
	was := rows(t, r.index, "")
	tried := map[string]int{}
	for key, value := range was {
		kind := ""
		switch prefix, rest, _ := strings.Cut(key, "/"); {
		case prefix == "edge", prefix == "ref", prefix == "doomed":
			kind = prefix
		case (prefix == "blob" || prefix == "man") && strings.Contains(rest, "!"):
			kind = prefix + " holder"
		case prefix == "rev" && strings.Count(rest, "!") == 2:
			kind = "tag's name"
		case prefix == "repo":
			kind = prefix
		}
		if kind == "" {
			continue
		}
		tried[kind]++
		set(t, r.index, key, nil)
		if done, lines := repaired(t, r); done.Changed != 1 || done.Lost != 0 || len(lines) != 1 {
			t.Errorf("%s: %+v, %q; want one change", key, done, lines)
		}
		if got, there := rows(t, r.index, "")[key]; !there || got != value && kind != "repo" {
			t.Errorf("%s: %q, %v; want %q back", key, got, there, value)
		}
		set(t, r.index, key, []byte(value))
	}
	if len(tried) != 7 {
		t.Errorf("only these were tried: %v", tried)
	}
	verified(t, r.blobs, r.index)
}

// TestRepair_of_each_damage: verify finds it before, and nothing afterwards.
func TestRepair_of_each_damage(t *testing.T) {
	image := digest.FromBytes(imageOf(sweptConfig, [][]byte{sweptLayer}))
	layer, other, none := digest.FromBytes(sweptLayer), digest.FromBytes(sweptOther), digest.FromString("none")
	for name, c := range map[string]struct {
		damage map[string]string // key to value; "-": no row
		silent bool              // verify says nothing of it
	}{
		"an edge too many":                 {damage: map[string]string{keyEdge(layer, "a/x", none): ""}},
		"an edge that the manifest denies": {damage: map[string]string{keyEdge(other, "a/x", image): ""}, silent: true},
		"a referrer too many":              {damage: map[string]string{keyRef("a/x", image, "x", none): "{}"}},
		"a referrer that is none":          {damage: map[string]string{keyRef("a/x", image, "x", image): "{}"}, silent: true},
		"a manifest's holder too many":     {damage: map[string]string{keyHas(image, "c"): ""}},
		"a blob's holder too many":         {damage: map[string]string{keyHeld(layer, "c"): ""}},
		"a tag's name too many":            {damage: map[string]string{keyNamed("a/x", image, "2"): ""}},
		"a repository too many":            {damage: map[string]string{keyRepo("c"): "2026-01-01T00:00:00Z"}, silent: true},
		"a stale doom":                     {damage: map[string]string{keyDoomed(epoch, layer): "held"}, silent: true},
		"a doom of nothing":                {damage: map[string]string{keyDoomed(epoch, none): "held"}, silent: true},
		"a doomed blob that is held":       {damage: map[string]string{keyBlob(layer): stock{size: int64(len(sweptLayer)), doomed: epoch}.row2()}},
		"no hold":                          {damage: map[string]string{keyHold("a/x", layer): "-"}},
		"no blob row":                      {damage: map[string]string{keyBlob(layer): "-"}},
		"a damaged blob row":               {damage: map[string]string{keyBlob(layer): "nonsense"}},
		"a manifest that a tag names":      {damage: map[string]string{keyRev("b/y", image): "-"}},
		"a manifest's damaged row":         {damage: map[string]string{keyRev("b/y", image): "nonsense"}},
		"all rows of a manifest but its tag": {damage: map[string]string{keyRev("b/y", image): "-", keyHas(image, "b/y"): "-", keyEdge(layer, "b/y", image): "-",
			keyNamed("b/y", image, "1"): "-", keyRepo("b/y"): "-"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := repairable(t)
			was := rows(t, r.index, "")
			for key, value := range c.damage {
				if value == "-" {
					set(t, r.index, key, nil)
				} else {
					set(t, r.index, key, []byte(value))
				}
			}
			problems := 0
			if _, err := Verify(t.Context(), r.blobs, r.index, func(string) { problems++ }); err != nil || (problems == 0) != c.silent {
				t.Errorf("before: %d problems, %v", problems, err)
			}
			done, lines := repaired(t, r)
			if done.Changed == 0 || done.Lost != 0 || len(lines) != done.Changed {
				t.Errorf("%+v, %q", done, lines)
			}
			verified(t, r.blobs, r.index)
			now := rows(t, r.index, "")
			for key := range was {
				if _, there := now[key]; !there {
					t.Errorf("%s is gone", key)
				}
			}
			for key := range now {
				if _, there := was[key]; !there {
					t.Errorf("%s is too much", key)
				}
			}
			if _, again := repaired(t, r); len(again) != 0 {
				t.Errorf("once more: %q", again)
			}
			for _, repo := range []string{"a/x", "b/y"} {
				if err := read(t.Context(), r, repo, layer); err != nil {
					t.Errorf("%s: %v", repo, err)
				}
			}
		})
	}
}

// row2 is a row with all times set.
func (s stock) row2() string { s.committed, s.touched = epoch, epoch; return string(s.row()) }

// TestRepair_lists_what_is_lost and leaves it.
func TestRepair_lists_what_is_lost(t *testing.T) {
	r, _ := repairable(t)
	layer, image := digest.FromBytes(sweptLayer), digest.FromBytes(imageOf(sweptConfig, [][]byte{sweptLayer}))
	if err := r.blobs.Delete(t.Context(), layer); err != nil {
		t.Fatal(err)
	}
	was := rows(t, r.index, "")
	done, lines := repaired(t, r)
	if done != (Repaired{Lost: 1}) || len(lines) != 1 || !maps.Equal(rows(t, r.index, ""), was) {
		t.Fatalf("%+v, %q; want one blob that is lost, and nothing to be changed", done, lines)
	}
	for _, want := range []string{"blob " + string(layer) + ": its content is missing", "a/x:1,latest@" + string(image), "b/y:1@" + string(image), "a/x:all@"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("%s: want %q", lines[0], want)
		}
	}
	set(t, r.index, keyMan(image), nil)
	if done, lines = repaired(t, r); done != (Repaired{Lost: 2}) || !strings.Contains(fmt.Sprint(lines), "manifest "+string(image)+": its bytes are missing or damaged") {
		t.Errorf("%+v, %q; want the manifest, too", done, lines)
	}
}

// TestRepair_breaks_off at every call, and the next one comes to the same end.
func TestRepair_breaks_off(t *testing.T) {
	crash := errors.New("crash")
	layer := digest.FromBytes(sweptLayer)
	for n := 1; ; n++ {
		faulty := kvtest.Faulty(kv.NewMemory())
		r, _ := repairable(t, func(c *Config) { c.Index = faulty })
		set(t, r.index, keyBlob(layer), nil)
		set(t, r.index, keyHeld(layer, "b/y"), nil)
		set(t, r.index, keyHas(layer, "c"), []byte{})
		faulty.FailAt(n, crash)
		_, err := Repair(t.Context(), r.blobs, faulty, func(string) {})
		reached := faulty.Calls() >= n
		faulty.FailAt(0, nil)
		if reached != errors.Is(err, crash) {
			t.Fatalf("call %d: %v", n, err)
		}
		repaired(t, r)
		verified(t, r.blobs, r.index)
		if !reached {
			return
		}
	}
}
