package account

import (
	"testing"

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
		keys   []string
		fails  bool
	}{
		{former, []string{"auth/epoch=7", "auth/user/alice={}"}, false},
		{nil, []string{"auth/epoch=1"}, true},
		{kv.NewMemory(), []string{"auth/epoch=1"}, false},
	} {
		index := kv.NewMemory()
		if err := Carry(t.Context(), c.former, index); (err != nil) != c.fails {
			t.Error(err)
		}
		var got []string
		for row, err := range index.Scan(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Key+"="+string(row.Value))
		}
		if len(got) != len(c.keys) || got[0] != c.keys[0] || got[len(got)-1] != c.keys[len(c.keys)-1] {
			t.Errorf("%q, want %q", got, c.keys)
		}
	}
}
