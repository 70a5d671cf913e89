package registry

import (
	"context"
	"errors"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/entrepot/entrepot/storage/kv"
)

// metered is an index that keeps count of what quotas are about. It looks at the rows that a transaction writes and not at who writes them, so that nothing is left out;
// what no quota is about costs a look into a map. The count is a row of the same transaction: registries that share an index share it, too.
type metered struct {
	kv.DB
	quotas quotas
}

// Update implements kv.DB. A transaction by which a quota would be exceeded fails with QuotaExceeded.
func (m *metered) Update(ctx context.Context, fn func(kv.Tx) error) error {
	return m.DB.Update(ctx, func(tx kv.Tx) error {
		meter := &meter{Tx: tx, ctx: ctx, quotas: m.quotas, rows: map[string]*meteredRow{}}
		if err := fn(meter); err != nil {
			return err
		}
		return meter.settle()
	})
}

// Keys implements kv.Lister for whom it wraps.
func (m *metered) Keys(ctx context.Context, from, to string) iter.Seq2[string, error] {
	return kv.Keys(ctx, m.DB, from, to)
}

// meter is a transaction that remembers what it did to rows that count.
type meter struct {
	kv.Tx
	ctx    context.Context // of Update
	quotas quotas
	rows   map[string]*meteredRow
	err    error
}

// meteredRow is a row before the transaction and after it; nil: there was, or is, none.
type meteredRow struct {
	before, after []byte
	written       bool
}

// countedRow tells which repository a row that counts is about, and the digest in its key, if that has one.
func countedRow(key string) (repo string, d digest.Digest, ok bool) {
	kind, rest, _ := strings.Cut(key, "/")
	switch kind + "/" {
	case prefixRepo:
		return rest, "", true
	case prefixTag:
		repo, _, ok = strings.Cut(rest, "!")
		return repo, "", ok
	case prefixHold, prefixRev:
		repo, rest, ok = strings.Cut(rest, "!")
		return repo, digest.Digest(rest), ok && !strings.Contains(rest, "!")
	}
	return "", "", false
}

func (m *meter) counts(key string) bool {
	repo, _, ok := countedRow(key)
	return ok && len(m.quotas.over(repo)) > 0
}

// Get remembers what it found: whoever writes a row has mostly looked at it before.
func (m *meter) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := m.Tx.Get(ctx, key)
	if m.rows[key] == nil && (err == nil || errors.Is(err, kv.ErrNotFound)) && m.counts(key) {
		m.rows[key] = &meteredRow{before: present(value, err == nil)}
	}
	return value, err
}

// present makes an empty value differ from none.
func present(value []byte, found bool) []byte {
	if found && value == nil {
		return []byte{}
	}
	return value
}

// Ahead passes on what is going to be read.
func (m *meter) Ahead(keys ...string) { kv.Ahead(m.Tx, keys...) }

// Put implements kv.Tx.
func (m *meter) Put(key string, value []byte) {
	m.write(key, present(value, true))
	m.Tx.Put(key, value)
}

// Delete implements kv.Tx.
func (m *meter) Delete(key string) {
	m.write(key, nil)
	m.Tx.Delete(key)
}

func (m *meter) write(key string, after []byte) {
	if !m.counts(key) {
		return
	}
	if m.rows[key] == nil {
		if _, err := m.Get(m.ctx, key); err != nil && !errors.Is(err, kv.ErrNotFound) {
			m.err = errors.Join(m.err, err)
			return
		}
	}
	m.rows[key].written, m.rows[key].after = true, after
}

// settle adds what the transaction changed to what is used, and refuses what is too much.
func (m *meter) settle() error {
	if m.err != nil {
		return m.err
	}
	changes, err := m.changes()
	if err != nil {
		return err
	}
	for path, by := range changes {
		if by == (Usage{}) {
			continue
		}
		u, found, err := usedOf(m.ctx, m.Tx, path)
		if err != nil {
			return err
		}
		if !found {
			continue // counting has not begun
		}
		u.add(by)
		most := m.quotas[path]
		for _, d := range dimensions {
			if limit, now := *d.of(&most), *d.of(&u.Usage); u.counted && limit > 0 && now > limit && *d.of(&by) > 0 && !unlimited(m.ctx) {
				return quotaExceeded(path, d.name, limit, now)
			}
		}
		m.Tx.Put(keyQuota(path), u.row())
	}
	return nil
}

// changes returns by how much each quota's usage changes.
func (m *meter) changes() (map[string]Usage, error) {
	changes := map[string]Usage{}
	blobs := map[digest.Digest]*holders{}
	for key, row := range m.rows {
		var by int64
		switch {
		case row.written && row.before == nil && row.after != nil:
			by = 1
		case row.written && row.before != nil && row.after == nil:
			by = -1
		default:
			continue
		}
		repo, d, _ := countedRow(key)
		var one Usage
		switch row := append(row.after, row.before...); key[:strings.IndexByte(key, '/')+1] { // one of both is nil
		case prefixHold:
			if blobs[d] == nil {
				blobs[d] = &holders{came: map[string]bool{}}
			}
			blobs[d].change(repo, by, row)
			continue
		case prefixRev:
			s, err := parseStored(row)
			if err != nil {
				return nil, err
			}
			one = Usage{Manifests: by, Bytes: by * s.Size}
		case prefixTag:
			one.Tags = by
		case prefixRepo:
			one.Repositories = by
		}
		for _, path := range m.quotas.over(repo) {
			sum := changes[path]
			sum.add(one)
			changes[path] = sum
		}
	}
	for d, h := range blobs {
		if err := m.addBlob(d, h, changes); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// holders are the repositories that a transaction lets hold a blob, and those that it takes it from.
type holders struct {
	size int64
	came map[string]bool
	went []string
}

func (h *holders) change(repo string, by int64, row []byte) {
	_, h.size = holdSince(row)
	if by > 0 {
		h.came[repo] = true
	} else {
		h.went = append(h.went, repo)
	}
}

// addBlob counts a blob for each quota under which it is held now and was not, or was held and is not.
func (m *meter) addBlob(d digest.Digest, h *holders, changes map[string]Usage) error {
	came, went := map[string]bool{}, map[string]bool{} // paths
	for repo := range h.came {
		for _, path := range m.quotas.over(repo) {
			came[path] = true
		}
	}
	for _, repo := range h.went {
		for _, path := range m.quotas.over(repo) {
			went[path] = true
		}
	}
	for path := range m.quotas {
		if came[path] == went[path] { // none of both; or both, and then it was held, and is
			continue
		}
		others, err := heldBelow(m.ctx, m.Tx, prefixBlob, path, d, h.came)
		if err != nil {
			return err
		}
		if others {
			continue
		}
		sum := changes[path]
		if came[path] {
			sum.Bytes += h.size
		} else {
			sum.Bytes -= h.size
		}
		changes[path] = sum
	}
	return nil
}
