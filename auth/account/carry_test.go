package account

import (
	"slices"
	"testing"

	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
)

func TestCarry(t *testing.T) {
	former := kv.NewMemory()
	if err := former.Update(t.Context(), func(tx kv.Tx) error {
		tx.Put("auth/epoch", []byte("7"))
		tx.Put("auth/user/alice", []byte("{}"))
		tx.Put("blob/x", []byte("not mine"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		former kv.View
		event  string // in the journal of the new index
		keys   []string
		fails  bool
	}{
		{former, "user.add", []string{"auth/epoch=7", "auth/user/alice={}"}, false},
		{nil, "user.add", []string{"auth/epoch=1"}, true},
		{nil, "robot.remove", []string{"auth/epoch=1"}, true},
		{nil, "tag.set", nil, false},
		{kv.NewMemory(), "tag.set", nil, false},
	} {
		index := kv.NewMemory()
		if err := index.Update(t.Context(), func(tx kv.Tx) error {
			journal.Append(t.Context(), tx, journal.Event{Action: c.event})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := Carry(t.Context(), c.former, index); (err != nil) != c.fails {
			t.Error(err)
		}
		var got []string
		for row, err := range index.Scan(t.Context(), "auth/", "auth0") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Key+"="+string(row.Value))
		}
		if !slices.Equal(got, c.keys) {
			t.Errorf("%q, want %q", got, c.keys)
		}
	}
}
