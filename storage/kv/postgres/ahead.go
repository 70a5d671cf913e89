package postgres

import "slices"

// keys are those that an Update's fn reads. A round trip each is most of what an Update takes, so those that are known beforehand are fetched together: because fn
// says so, or because it has read them the last time that it was run.
type keys struct {
	was   []string // that were read in this run
	ahead []string // that are to be fetched with the next one
}

// maxAhead bounds how many keys are remembered, and fetched together.
const maxAhead = 512

func (k *keys) expect(keys ...string) {
	if room := maxAhead - len(k.ahead); len(keys) > room {
		keys = keys[:room]
	}
	k.ahead = append(k.ahead, keys...)
}

// read notes that a key is read, and returns what is to be fetched first, the key included; nothing if it is the only one.
func (k *keys) read(key string) (fetch []string) {
	if len(k.was) < maxAhead {
		k.was = append(k.was, key)
	}
	fetch, k.ahead = k.ahead, nil
	if len(fetch) > 0 && !slices.Contains(fetch, key) {
		fetch = append(fetch, key)
	}
	return fetch
}
