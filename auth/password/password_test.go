package password

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// vectors were made by other programs: Apache's htpasswd -nbB, crypt(3), and for argon2id the reference implementation's own tests.
var vectors = []struct{ by, hash, password string }{
	{"htpasswd -B", "$2y$05$f4AOAsESo.t3Yg/xJf5JGOI9XhOvwZLppCZ/hQNhU1FkUS.OkQC8u", "correct horse"},
	{"htpasswd -B -C 4", "$2y$04$akdy2OTolrjcqypKAwJ9zeiwxYT.VUBNdWXobIxiF3PWQbDG0Hhky", "Tr0ub4dor&3"},
	{"crypt", "$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "correct horse battery staple"},
	{"crypt", "$2a$04$abcdefghijklmnopqrstuuyx2n0Zzopyr9QuYTMCfOJJOj526QVoC", "pässwörd"},
	{"crypt, 72 bytes", "$2b$04$abcdefghijklmnopqrstuujRe6yI3YtnAMoWgTxVOmA3Awirp2OCW", strings.Repeat("U", 72)},
	{"argon2", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
	{"argon2", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
	{"argon2", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
}

func TestMatches_hashes_of_other_programs(t *testing.T) {
	h := New(0)
	for _, v := range vectors {
		for password, want := range map[string]bool{v.password: true, v.password + "x": false, v.password[1:]: false, "": false} {
			got, err := h.Matches(t.Context(), v.hash, password)
			if err != nil || got != want {
				t.Errorf("%s: %.80q matches: %v, %v, want %v", v.by, password, got, err, want)
			}
		}
	}
}

func TestMatches_no_bcrypt_hash_of_the_beginning(t *testing.T) {
	const of72, long = "$2b$04$abcdefghijklmnopqrstuujRe6yI3YtnAMoWgTxVOmA3Awirp2OCW", 73
	if ok, err := New(1).Matches(t.Context(), of72, strings.Repeat("U", long)); ok || err != nil {
		t.Errorf("a password of %d bytes matches the hash of its first 72: %v, %v", long, ok, err)
	}
}

func TestHash_then_Matches(t *testing.T) {
	h := New(1)
	seen := map[string]bool{}
	for _, password := range []string{"correct horse", "", strings.Repeat("ü", MaxLength/2), "correct horse"} {
		hash, err := h.Hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || seen[hash] || Check(hash) != nil {
			t.Errorf("%s: not a new argon2id hash with the parameters wanted (%v)", hash, Check(hash))
		}
		seen[hash] = true
		if ok, err := h.Matches(t.Context(), hash, password); !ok || err != nil {
			t.Errorf("%.20q does not match its own hash: %v", password, err)
		}
		if ok, err := h.Matches(t.Context(), hash, password+"x"); ok || err != nil {
			t.Errorf("%.20q and one more letter match: %v", password, err)
		}
	}
}

func TestPasswords_have_a_length(t *testing.T) {
	h, long := New(1), strings.Repeat("x", MaxLength+1)
	if hash, err := h.Hash(t.Context(), long); err == nil || strings.Contains(err.Error(), long) {
		t.Errorf("a password of %d bytes was hashed: %q, %v", len(long), hash, err)
	}
	if ok, err := h.Matches(t.Context(), vectors[0].hash, long); ok || err != nil {
		t.Errorf("%v, %v, want no match and no error", ok, err)
	}
	if err := h.Waste(t.Context(), long); err != nil {
		t.Error(err)
	}
}

func TestCheck_names_the_kind_and_never_the_hash(t *testing.T) {
	salt, key := strings.Repeat("A", 22), strings.Repeat("B", 42)+"A"
	argon := func(parameters string) string { return "$argon2id$v=19$" + parameters + "$" + salt + "$" + key }
	for _, c := range []struct{ hash, want string }{
		{"", "nothing"},
		{"hunter2", "plain text"},
		{"CZrY5lrlcFb2Y", "DES"},
		{"$apr1$JNTvHAIt$HHeGhxIRR67UG8AJwq9j9/", "MD5 (apr1)"},
		{"$1$JNTvHAIt$HHeGhxIRR67UG8AJwq9j9/", "MD5 (crypt)"},
		{"{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "SHA-1"},
		{"$5$Y0eyQHqjUvWfQmeV$6Bmri9XrwcLzH4CEV0zTB3DasevQEreD1TyNvMBt4n9", "SHA-256"},
		{"$2x$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "$2x$"},
		{"$2b$15$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "at most 14"},
		{"$2b$03$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "damaged"},
		{"$2b$ 9$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", "damaged"},
		{"$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6C", "damaged"},
		{"$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CGG", "damaged"},
		{"$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6C:", "damaged"},
		{"$2b$", "damaged"},
		{"$argon2i$v=19$m=65536,t=2,p=1$" + salt + "$" + key, "argon2i is not"},
		{"$argon2id$m=65536,t=2,p=1$" + salt + "$" + key, "damaged"},
		{"$argon2id$v=16$m=65536,t=2,p=1$" + salt + "$" + key, "damaged"},
		{argon("m=262145,t=1,p=1"), "costs too much"},
		{argon("m=1024,t=11,p=1"), "costs too much"},
		{argon("m=1024,t=1,p=17"), "costs too much"},
		{argon("m=262144,t=5,p=1"), "costs too much"},
		{argon("m=4294967296,t=1,p=1"), "damaged"},
		{argon("m=1024,t=0,p=1"), "damaged"},
		{argon("m=1024,t=1,p=0"), "damaged"},
		{argon("m=31,t=1,p=4"), "damaged"},
		{argon("m=+1024,t=1,p=1"), "damaged"},
		{argon("m=01024,t=1,p=1"), "damaged"},
		{argon("t=1,m=1024,p=1"), "damaged"},
		{argon("m=1024,t=1,p=1,keyid=a"), "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$$" + key, "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$", "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$AAAA", "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + key + "=", "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + key[:42] + "B", "damaged"}, // bits that belong to no byte
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + key + "\n", "damaged"},
		{"$argon2id$v=19$m=1024,t=1,p=1$" + salt + "$" + strings.Repeat("A", 88), "damaged"},
	} {
		err := Check(c.hash)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.hash, err, c.want)
			continue
		}
		if c.hash != "" && strings.Contains(err.Error(), strings.TrimSpace(c.hash)) || strings.Contains(err.Error(), key) {
			t.Errorf("the error repeats the hash: %v", err)
		}
		if ok, second := New(1).Matches(t.Context(), c.hash, c.hash); ok || second == nil {
			t.Errorf("%s: Matches takes what Check refuses", c.hash)
		}
	}
	for _, good := range []string{argon("m=262144,t=4,p=16"), argon("m=8,t=1,p=1"), "$2b$14$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG"} {
		if err := Check(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// occupy starts n works that do not end before the function it returns is called, and returns once all of them have begun.
func occupy(t *testing.T, h *Hasher, n int) (end func()) {
	began, over, ended := make(chan bool), make(chan bool), make(chan error)
	for range n {
		go func() { ended <- h.run(context.Background(), func() { began <- true; <-over }) }()
	}
	for range n {
		select {
		case <-began:
		case <-time.After(10 * time.Second):
			t.Fatal("a work did not begin")
		}
	}
	return func() {
		close(over)
		for range n {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so after 10 s: %s", what)
		}
	}
}

func TestHasher_works_on_few_at_once(t *testing.T) {
	const workers, more = 3, 40
	h := New(workers)
	end := occupy(t, h, workers) // so many do work at once
	var now, most atomic.Int64
	done := make(chan error)
	for range more {
		go func() {
			done <- h.run(context.Background(), func() {
				n := now.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				runtime.Gosched()
				now.Add(-1)
			})
		}()
	}
	waitFor(t, "all others wait", func() bool { return h.waiting.Load() == more })
	if n := most.Load(); n != 0 {
		t.Errorf("%d more are at work", n)
	}
	end()
	for range more {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := most.Load(); n < 1 || n > workers {
		t.Errorf("%d were at work at once, want at most %d", n, workers)
	}
	if n := cap(New(0).places); n < 1 {
		t.Errorf("%d workers by default", n)
	}
}

func TestHasher_every_verb_waits_its_turn(t *testing.T) {
	h := New(1)
	h.patience = time.Millisecond
	defer occupy(t, h, 1)()
	for verb, err := range map[string]error{
		"Hash":    second(h.Hash(t.Context(), "x")),
		"Matches": second(h.Matches(t.Context(), vectors[0].hash, "x")),
		"Waste":   h.Waste(t.Context(), "x"),
	} {
		if !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v, want ErrBusy after waiting too long", verb, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestHasher_whoever_leaves_waits_no_longer(t *testing.T) {
	h := New(1)
	end := occupy(t, h, 1)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() { got <- h.Waste(ctx, "x") }()
	waitFor(t, "one waits", func() bool { return h.waiting.Load() == 1 })
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	if n := h.waiting.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	end()
	if err := h.Waste(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v: hashed for one who had left before", err)
	}
	if err := h.Waste(t.Context(), "x"); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
}

func TestHasher_the_queue_has_an_end(t *testing.T) {
	h := New(1)
	end := occupy(t, h, 1)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	for range queueLength {
		go func() { got <- h.run(ctx, func() {}) }()
	}
	waitFor(t, "the queue is full", func() bool { return h.waiting.Load() == queueLength })
	if err := h.Waste(t.Context(), "x"); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy behind a full queue", err)
	}
	end()
	for range queueLength {
		if err := <-got; err != nil {
			t.Errorf("one in the queue was not served: %v", err)
		}
	}
	cancel()
	if err := h.Waste(t.Context(), "x"); err != nil {
		t.Errorf("%v, once the queue is empty again", err)
	}
}

func TestHasher_gives_the_place_back_after_a_panic(t *testing.T) {
	h := New(1)
	func() {
		defer func() { _ = recover() }()
		_ = h.run(t.Context(), func() { panic("x") })
	}()
	if len(h.places) != 0 {
		t.Error("the place is lost")
	}
}

// FuzzCheck looks for hashes that Check takes and Matches then stumbles over; those with a high cost are left to the bounds.
func FuzzCheck(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.hash)
	}
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	h := New(1)
	f.Fuzz(func(t *testing.T, hash string) {
		if Check(hash) != nil {
			return
		}
		if a, err := parseArgon(hash); err == nil && a.memory*a.passes > 1<<10 || strings.HasPrefix(hash, "$2") && hash[4:6] > "05" {
			return
		}
		if _, err := h.Matches(context.Background(), hash, "x"); err != nil {
			t.Errorf("%q passes Check, but: %v", hash, err)
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := New(1)
	for b.Loop() {
		if _, err := h.Hash(b.Context(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	h := New(1)
	own, err := h.Hash(b.Context(), "correct horse")
	if err != nil {
		b.Fatal(err)
	}
	hashes := map[string]string{"argon2id": own}
	for _, cost := range []int{5, 10, 12} {
		hashes[fmt.Sprintf("bcrypt-%d", cost)] = fmt.Sprintf("$2b$%02d$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG", cost)
	}
	for kind, hash := range hashes {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Matches(b.Context(), hash, "correct horse"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWaste(b *testing.B) {
	h := New(1)
	for b.Loop() {
		if err := h.Waste(b.Context(), "correct horse"); err != nil {
			b.Fatal(err)
		}
	}
}
