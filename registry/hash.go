package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"fmt"
	"hash"
	"io"
	"unsafe"

	"github.com/opencontainers/go-digest"
)

// newHash returns the hash of an algorithm, continued from a saved state unless that is empty.
func newHash(a digest.Algorithm, state []byte) (hash.Hash, error) {
	var h hash.Hash
	switch a {
	case digest.SHA256:
		h = sha256.New()
	case digest.SHA512:
		h = sha512.New()
	default:
		return nil, &Error{Code: DigestInvalid, Detail: map[string]string{"algorithm": clip(string(a)), "hint": "use sha256 or sha512"}}
	}
	if len(state) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("continue %s: %w", a, err)
	}
	return h, nil
}

// hashState saves what newHash continues from.
func hashState(h hash.Hash) []byte {
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil // content is then hashed anew from the store
	}
	return state
}

// overlapFrom is the number of bytes from which hashing beside the writing pays for handing them to another goroutine.
const overlapFrom = 64 << 10

// hashing is a reader that hashes what passes. Large reads are hashed while the reader's user does its own work with them (writes them
// to disk): the next Read waits for the hash before it touches the same memory, and a Read that ends the stream waits as well, since its user
// may then give the memory away. Close before asking for the sum.
type hashing struct {
	src       io.Reader
	h         hash.Hash
	asItComes bool  // others follow what is read
	n         int64 // bytes handed out
	work      chan []byte
	done      chan struct{}
	busy      []byte // what is being hashed; nil: nothing is
}

func (r *hashing) Read(p []byte) (int, error) {
	if overlap(p, r.busy) {
		r.wait()
	}
	// Fill p: short reads would make short writes, and small pieces to hash. What others follow is passed on as it comes.
	n, err := 0, error(nil)
	for n < len(p) && err == nil && !(r.asItComes && n > 0) {
		var m int
		m, err = r.src.Read(p[n:])
		n += m
	}
	r.wait()
	r.n += int64(n)
	if n < overlapFrom || err != nil {
		r.h.Write(p[:n])
		return n, err
	}
	if r.work == nil {
		r.work, r.done = make(chan []byte), make(chan struct{})
		go func() {
			for b := range r.work {
				r.h.Write(b)
				r.done <- struct{}{}
			}
		}()
	}
	r.busy = p[:n]
	r.work <- r.busy
	return n, nil
}

// overlap tells whether two slices share memory.
func overlap(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 &&
		uintptr(unsafe.Pointer(&a[0])) <= uintptr(unsafe.Pointer(&b[len(b)-1])) &&
		uintptr(unsafe.Pointer(&b[0])) <= uintptr(unsafe.Pointer(&a[len(a)-1]))
}

func (r *hashing) wait() {
	if r.busy != nil {
		<-r.done
		r.busy = nil
	}
}

// Close waits for the hash and ends its goroutine. The sum and the count are true from here on.
func (r *hashing) Close() {
	r.wait()
	if r.work != nil {
		close(r.work)
		r.work = nil
	}
}
