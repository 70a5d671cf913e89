package kv

import (
	"slices"
	"sort"
	"strings"
)

// maxBlock bounds how many pairs an insertion has to move.
const maxBlock = 256

// sorted is an ordered map. It is kept in blocks, so that an insertion among many keys moves few of them. The zero value is empty.
type sorted struct {
	blocks [][]Pair // none is empty; all keys of one are smaller than all keys of the next
}

// find returns where key is, or where it would have to be inserted.
func (s *sorted) find(key string) (block, at int, found bool) {
	block = sort.Search(len(s.blocks), func(i int) bool { return s.blocks[i][0].Key > key }) - 1
	if block < 0 {
		return 0, 0, false
	}
	at, found = slices.BinarySearchFunc(s.blocks[block], key, func(p Pair, key string) int { return strings.Compare(p.Key, key) })
	return block, at, found
}

func (s *sorted) get(key string) (value []byte, found bool) {
	block, at, found := s.find(key)
	if !found {
		return nil, false
	}
	return s.blocks[block][at].Value, true
}

func (s *sorted) set(key string, value []byte) {
	block, at, found := s.find(key)
	switch {
	case found:
		s.blocks[block][at].Value = value
		return
	case len(s.blocks) == 0:
		s.blocks = [][]Pair{{{key, value}}}
		return
	}
	pairs := slices.Insert(s.blocks[block], at, Pair{key, value})
	if len(pairs) > maxBlock {
		upper := slices.Clone(pairs[maxBlock/2:])
		clear(pairs[maxBlock/2:])
		pairs = pairs[:maxBlock/2]
		s.blocks = slices.Insert(s.blocks, block+1, upper)
	}
	s.blocks[block] = pairs
}

func (s *sorted) remove(key string) {
	block, at, found := s.find(key)
	if !found {
		return
	}
	if s.blocks[block] = slices.Delete(s.blocks[block], at, at+1); len(s.blocks[block]) == 0 {
		s.blocks = slices.Delete(s.blocks, block, block+1)
	}
}

// next returns the first pair whose key is at least from, or, if after is set, beyond it.
func (s *sorted) next(from string, after bool) (p Pair, found bool) {
	if len(s.blocks) == 0 {
		return Pair{}, false
	}
	block, at, found := s.find(from)
	if found && after {
		at++
	}
	if at == len(s.blocks[block]) {
		if block, at = block+1, 0; block == len(s.blocks) {
			return Pair{}, false
		}
	}
	return s.blocks[block][at], true
}
