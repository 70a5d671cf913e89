package kvtest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/storage/kv"
)

// model compares the database with a map under random operations.
func model(t *testing.T, db kv.DB) {
	letters := rapid.SampledFrom([]string{"a", "b", "c", "/", "\x00", "\xff"})
	key := rapid.Map(rapid.SliceOfN(letters, 1, 3), func(s []string) string { return strings.Join(s, "") })
	bound := rapid.OneOf(rapid.Just(""), key)
	value := rapid.SliceOfN(rapid.Byte(), 0, 40)

	rapid.Check(t, func(rt *rapid.T) {
		if err := db.Update(t.Context(), func(tx kv.Tx) error {
			for p, err := range tx.Scan(t.Context(), "", "") {
				if err != nil {
					return err
				}
				tx.Delete(p.Key)
			}
			return nil
		}); err != nil {
			rt.Fatalf("clear: %v", err)
		}
		committed := map[string]string{}
		compareGet := func(v kv.View, is map[string]string, key string) {
			got, err := v.Get(t.Context(), key)
			wanted, found := is[key]
			if found && (err != nil || string(got) != wanted) || !found && !errors.Is(err, kv.ErrNotFound) {
				rt.Fatalf("get %q: %q, %v, want %q (%v)", key, got, err, wanted, found)
			}
		}
		compareScan := func(v kv.View, is map[string]string, from, to string) {
			var got, wanted []string
			for p, err := range v.Scan(t.Context(), from, to) {
				if err != nil {
					rt.Fatalf("scan: %v", err)
				}
				got = append(got, p.Key, string(p.Value))
			}
			for _, key := range slices.Sorted(maps.Keys(is)) {
				if key >= from && (to == "" || key < to) {
					wanted = append(wanted, key, is[key])
				}
			}
			if !slices.Equal(got, wanted) {
				rt.Fatalf("scan from %q to %q: %q, want %q", from, to, got, wanted)
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"get":  func(rt *rapid.T) { compareGet(db, committed, key.Draw(rt, "key")) },
			"scan": func(rt *rapid.T) { compareScan(db, committed, bound.Draw(rt, "from"), bound.Draw(rt, "to")) },
			"update": func(rt *rapid.T) {
				// Everything is drawn first: fn may run more than once.
				type step struct {
					do, key, to string
					value       []byte
				}
				var steps []step
				for range rapid.IntRange(1, 8).Draw(rt, "steps") {
					do := rapid.SampledFrom([]string{"put", "put", "delete", "get", "scan"}).Draw(rt, "do")
					steps = append(steps, step{do, key.Draw(rt, "key"), bound.Draw(rt, "to"), value.Draw(rt, "value")})
				}
				refuse := rapid.IntRange(0, 3).Draw(rt, "outcome") == 0
				var pending map[string]string
				err := db.Update(t.Context(), func(tx kv.Tx) error {
					pending = maps.Clone(committed)
					for _, s := range steps {
						switch s.do {
						case "put":
							tx.Put(s.key, s.value)
							pending[s.key] = string(s.value)
						case "delete":
							tx.Delete(s.key)
							delete(pending, s.key)
						case "get":
							compareGet(tx, pending, s.key)
						case "scan":
							compareScan(tx, pending, s.key, s.to)
						}
					}
					if refuse {
						return errRefused
					}
					return nil
				})
				switch {
				case refuse && !errors.Is(err, errRefused), !refuse && err != nil:
					rt.Fatalf("update: %v", err)
				case !refuse:
					committed = pending
				}
			},
			"": func(*rapid.T) { compareScan(db, committed, "", "") },
		})
	})
}
