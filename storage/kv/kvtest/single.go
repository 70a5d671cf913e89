package kvtest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/entrepot/entrepot/storage/kv"
)

func getPut(t *testing.T, db kv.DB) {
	wantNone(t, db, "a")
	put(t, db, "a", "1", "b/c", "2")
	want(t, db, "a", "1")
	want(t, db, "b/c", "2")
	wantNone(t, db, "b")
	wantNone(t, db, "b/c/d")
	wantNone(t, db, "A")
	wantNone(t, db, "")
}

func overwrite(t *testing.T, db kv.DB) {
	put(t, db, "a", "first and longer")
	put(t, db, "a", "2")
	want(t, db, "a", "2")
	put(t, db, "a", "3", "a", "4")
	want(t, db, "a", "4")
}

func remove(t *testing.T, db kv.DB) {
	put(t, db, "a", "1", "b", "2")
	update(t, db, func(tx kv.Tx) error { tx.Delete("a"); tx.Delete("absent"); return nil })
	wantNone(t, db, "a")
	want(t, db, "b", "2")
	update(t, db, func(tx kv.Tx) error {
		tx.Delete("b")
		tx.Put("b", []byte("3"))
		tx.Put("c", nil)
		tx.Delete("c")
		return nil
	})
	want(t, db, "b", "3")
	wantNone(t, db, "c")
	wantScan(t, db, "", "", "b", "3")
}

func emptyValue(t *testing.T, db kv.DB) {
	update(t, db, func(tx kv.Tx) error {
		tx.Put("empty", []byte{})
		tx.Put("nil", nil)
		want(t, tx, "empty", "")
		want(t, tx, "nil", "")
		return nil
	})
	want(t, db, "empty", "")
	want(t, db, "nil", "")
	wantScan(t, db, "", "", "empty", "", "nil", "")
}

func binaryValues(t *testing.T, db kv.DB) {
	var all []byte
	for i := range 1024 {
		all = append(all, byte(i), byte(i>>2))
	}
	put(t, db, "all", string(all), "zero", "\x00\x00", "bad utf-8", "\xff\xfe\x80")
	want(t, db, "all", string(all))
	want(t, db, "zero", "\x00\x00")
	want(t, db, "bad utf-8", "\xff\xfe\x80")
}

func largeValues(t *testing.T, db kv.DB) {
	for i, size := range []int{4095, 4096, 4097, 65535, 65536, 1 << 20, 1<<20 + 1, 4 << 20} {
		value := strings.Repeat(string(rune('a'+i)), size)
		put(t, db, "large", value)
		want(t, db, "large", value)
	}
	put(t, db, "large", "small")
	want(t, db, "large", "small")
}

func ownValues(t *testing.T, db kv.DB) {
	put(t, db, "a", "1234", "b", "5678")
	scribble := func(v kv.View) {
		value, err := v.Get(t.Context(), "a")
		if err != nil {
			t.Errorf("get: %v", err)
		}
		copy(value, "XXXX")
		_ = append(value, "XXXX"...)
		for p, err := range v.Scan(t.Context(), "", "") {
			if err != nil {
				t.Errorf("scan: %v", err)
			}
			key := strings.Clone(p.Key)
			copy(p.Value, "YYYY")
			_ = append(p.Value, "YYYY"...)
			if p.Key != key {
				t.Errorf("key %q changed to %q with its value", key, p.Key)
			}
		}
	}
	scribble(db)
	wantScan(t, db, "", "", "a", "1234", "b", "5678")
	update(t, db, func(tx kv.Tx) error {
		tx.Put("b", []byte("9abc"))
		scribble(tx)
		wantScan(t, tx, "", "", "a", "1234", "b", "9abc")
		tx.Put("a", []byte("1234"))
		scribble(tx)
		wantScan(t, tx, "", "", "a", "1234", "b", "9abc")
		return nil
	})
	wantScan(t, db, "", "", "a", "1234", "b", "9abc")

	// What was read stays as it was, whatever is written afterwards.
	value, err := db.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	for range 8 {
		put(t, db, "a", "other", "b", "other")
	}
	if !bytes.Equal(value, []byte("1234")) {
		t.Errorf("a value that was read changed to %q", value)
	}
}

func longKeys(t *testing.T, db kv.DB) {
	long := strings.Repeat("k", kv.MaxKey)
	odd := strings.Repeat("\xff\x00", kv.MaxKey/2)
	put(t, db, long, "long", long[:kv.MaxKey-1], "shorter", odd, "odd", "\x00", "zero", "x", "one")
	want(t, db, long, "long")
	want(t, db, long[:kv.MaxKey-1], "shorter")
	want(t, db, odd, "odd")
	wantNone(t, db, long+"k")
	wantScan(t, db, "", "", "\x00", "zero", long[:kv.MaxKey-1], "shorter", long, "long", "x", "one", odd, "odd")
	wantScan(t, db, long, "", long, "long", "x", "one", odd, "odd")
	wantScan(t, db, long+"k", "y", "x", "one")
}

func badKeys(t *testing.T, db kv.DB) {
	for _, key := range []string{"", strings.Repeat("k", kv.MaxKey+1)} {
		for name, write := range map[string]func(kv.Tx){
			"put":    func(tx kv.Tx) { tx.Put(key, []byte("v")) },
			"delete": func(tx kv.Tx) { tx.Delete(key) },
		} {
			err := db.Update(t.Context(), func(tx kv.Tx) error { tx.Put("good", nil); write(tx); tx.Put("also good", nil); return nil })
			if !errors.Is(err, kv.ErrKey) {
				t.Errorf("%s of a key of %d bytes: %v, want ErrKey", name, len(key), err)
			}
		}
	}
	wantScan(t, db, "", "")
}

func size(t *testing.T, db kv.DB) {
	put(t, db, "a", strings.Repeat("x", 1<<20))
	if n := db.Size(); n != 0 && n < 1<<20 {
		t.Errorf("size is %d with 1 MiB in it", n)
	}
}
