package bolt

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// maxGroup bounds a group, and with it how long its first member waits for the last.
const maxGroup = 256

// request is one Update on its way through the queue.
type request struct {
	ctx      context.Context
	fn       func(kv.Tx) error
	wake     chan bool // true: this caller leads now; false: the answer is there. Nil as long as nobody waits.
	err      error
	panicked bool
	reason   any // what fn panicked with
}

// run calls fn and returns what it wants to write, or nil if that is nothing.
func (r *request) run(base kv.View) (writes *kv.Buffer) {
	if r.err = r.ctx.Err(); r.err != nil {
		return nil
	}
	tx := kv.NewBuffer(base)
	if r.err = r.call(tx); r.err == nil {
		r.err = tx.Err()
	}
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err != nil || r.panicked || tx.Empty() {
		return nil
	}
	return tx
}

// call keeps a panic of fn for the caller whose fn it is: the goroutine it runs on may be another's.
func (r *request) call(tx kv.Tx) error {
	returned := false
	defer func() {
		if !returned {
			if r.reason = recover(); r.reason != nil {
				r.panicked = true
			}
		}
	}()
	err := r.fn(tx)
	returned = true
	return err
}

// finish wakes the caller, unless it leads and so needs no waking.
func (r *request) finish() {
	if r.wake != nil {
		r.wake <- false
	}
}

// queue is where Updates wait for their turn. At most one caller leads at a time; it is always the first of its group.
//
// Writers that answer clients come back a moment after each commit. A leader that began at once would take half of them and leave the other half
// to the next commit, and so on in turns; so it gives those that were here lately a moment to arrive. One writer alone never waits.
type queue struct {
	mu      sync.Mutex
	led     bool
	waiting []*request
	crowd   int           // how many writers there were lately
	took    time.Duration // the last commit
	want    int           // how many the leader waits for; 0: it does not
	full    chan struct{} // tells it that they are there
}

// worthwhile is how long a commit must take for others to be waited for, and maxGather the longest that they are.
const (
	worthwhile = 150 * time.Microsecond
	maxGather  = time.Millisecond
)

// gather waits until as many wait as lately, or until it would have been better to begin.
func (q *queue) gather() {
	q.mu.Lock()
	if len(q.waiting) >= q.crowd || q.took < worthwhile {
		q.mu.Unlock()
		return
	}
	q.want, q.full = q.crowd, make(chan struct{})
	full, patience := q.full, min(q.took/2, maxGather)
	q.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-full:
	case <-timer.C:
	}
	q.mu.Lock()
	q.want = 0
	q.mu.Unlock()
}

// note remembers how many writers there were at a commit, and how long it took.
func (q *queue) note(group int, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.crowd, q.took = max(min(group+len(q.waiting), maxGroup), q.crowd*3/4), took
}

// join appends r and tells whether its caller leads.
func (q *queue) join(r *request) (leads bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, r)
	if q.want > 0 && len(q.waiting) >= q.want {
		q.want = 0
		close(q.full)
	}
	if !q.led {
		q.led = true
		return true
	}
	r.wake = make(chan bool, 1)
	return false
}

// wait returns when r was answered, or when its caller has to lead. A ctx that ends takes r out of the queue, if it is still there.
func (q *queue) wait(r *request) (leads bool) {
	select {
	case leads = <-r.wake:
	case <-r.ctx.Done():
		if q.leave(r) {
			r.err = r.ctx.Err()
			return false
		}
		leads = <-r.wake
	}
	if leads {
		r.wake = nil
	}
	return leads
}

// leave takes r out of the queue, unless it was taken into a group or called to lead one.
func (q *queue) leave(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	at := slices.Index(q.waiting, r)
	if at < 0 || len(r.wake) > 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, at, at+1)
	return true
}

// take removes the next group from the queue.
func (q *queue) take() []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxGroup)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// pass ends the lead of the caller: the first that waits has it next.
func (q *queue) pass() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.led = len(q.waiting) > 0; q.led {
		q.waiting[0].wake <- true
	}
}
