package login

import "sync"

// recent is a bounded map that forgets what was not asked for lately: two halves, of which the older one goes when the younger is full. A hit in the
// older half moves to the younger one.
type recent[K comparable, V any] struct {
	half       int
	mu         sync.RWMutex
	young, old map[K]V
}

func newRecent[K comparable, V any](size int) *recent[K, V] {
	return &recent[K, V]{half: max(1, size/2), young: map[K]V{}}
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	v, ok := r.young[key]
	if !ok {
		if v, ok = r.old[key]; ok {
			r.mu.RUnlock()
			r.put(key, v)
			return v, true
		}
	}
	r.mu.RUnlock()
	return v, ok
}

func (r *recent[K, V]) put(key K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[key] = v
}

// edit changes the value of a key under the map's lock; what is not there begins as the zero value.
func (r *recent[K, V]) edit(key K, change func(V) V) V {
	r.mu.Lock()
	v, ok := r.young[key]
	if !ok {
		v = r.old[key]
	}
	v = change(v)
	if !ok && len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[K]V)
	}
	r.young[key] = v
	r.mu.Unlock()
	return v
}
