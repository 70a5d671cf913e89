package kvtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/entrepot/entrepot/storage/kv"
)

// access is one operation on one key: a read, a write of value, a removal, or a write of value if the key has the value expected.
// "" stands for no value.
type access struct{ kind, key, value, expected string }

// outcome is what an access returned: the value that was read, or whether the expected one was there.
type outcome struct {
	value   string
	swapped bool
}

// register is what one key may do, as porcupine wants it told.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, op := range history {
			key := op.Input.(access).key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out := input.(access), output.(outcome)
		switch in.kind {
		case "read":
			return out.value == state, state
		case "write":
			return true, in.value
		case "remove":
			return true, ""
		}
		if state == in.expected {
			return out.swapped, in.value
		}
		return !out.swapped, state
	},
}

func linearizable(t *testing.T, db kv.DB) {
	const clients, each, keys, values = 6, 120, 3, 4
	var mu sync.Mutex
	var history []porcupine.Operation
	begin := time.Now()
	together(clients, func(client int) {
		rng := rand.New(rand.NewPCG(uint64(client), uint64(begin.UnixNano())))
		for range each {
			in := access{
				kind:     []string{"read", "read", "write", "remove", "swap", "swap"}[rng.IntN(6)],
				key:      fmt.Sprintf("key/%d", rng.IntN(keys)),
				value:    fmt.Sprint("v", rng.IntN(values)),
				expected: []string{"", "v0", "v1", "v2", "v3"}[rng.IntN(values+1)],
			}
			call := time.Since(begin)
			out, err := perform(t, db, in)
			end := time.Since(begin)
			if err != nil {
				t.Errorf("%v: %v", in, err)
				return
			}
			mu.Lock()
			history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(end)})
			mu.Unlock()
		}
	})
	if verdict := porcupine.CheckOperationsTimeout(register, history, patience); verdict == porcupine.Illegal {
		t.Errorf("no order of the %d operations explains what they returned", len(history))
	}
}

func perform(t *testing.T, db kv.DB, in access) (out outcome, err error) {
	read := func(v kv.View) (string, error) {
		value, err := v.Get(t.Context(), in.key)
		if errors.Is(err, kv.ErrNotFound) {
			return "", nil
		}
		return string(value), err
	}
	if in.kind == "read" {
		out.value, err = read(db)
		return out, err
	}
	err = db.Update(t.Context(), func(tx kv.Tx) error {
		out = outcome{}
		switch in.kind {
		case "write":
			tx.Put(in.key, []byte(in.value))
		case "remove":
			tx.Delete(in.key)
		case "swap":
			now, err := read(tx)
			if err != nil {
				return err
			}
			if out.swapped = now == in.expected; out.swapped {
				tx.Put(in.key, []byte(in.value))
			}
		}
		return nil
	})
	return out, err
}
