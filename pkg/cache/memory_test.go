package cache_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/weir-dev/weir/pkg/vector"
)

// memory is as much of a vector store as the cache needs; test/bench/cascade runs
// it on the real one.
type memory struct {
	vector.Store // nil: what is not here is not called
	mu           sync.Mutex
	points       map[vector.Index]map[string]point
	away         atomic.Bool
}

var _ vector.Store = (*memory)(nil)

type point struct {
	vector.Point
	scope vector.Scope
}

var errAway = errors.New("the store is away")

func newMemory() *memory { return &memory{points: map[vector.Index]map[string]point{}} }

func (m *memory) lock() (func(), error) {
	if m.away.Load() {
		return nil, errAway
	}
	m.mu.Lock()
	return m.mu.Unlock, nil
}

func (m *memory) Ensure(_ context.Context, idx vector.Index) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if m.points[idx] == nil {
		m.points[idx] = map[string]point{}
	}
	return nil
}

func (m *memory) Upsert(_ context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if m.points[idx] == nil {
		return errors.New("no such index")
	}
	for _, p := range points {
		if old, ok := m.points[idx][p.ID]; ok && (old.scope != scope || old.Chunk.Version > p.Chunk.Version) {
			continue
		}
		m.points[idx][p.ID] = point{p, scope}
	}
	return nil
}

func (m *memory) Delete(_ context.Context, idx vector.Index, doc vector.Document, ids []string, before int64) error {
	unlock, err := m.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, id := range ids {
		if p, ok := m.points[idx][id]; ok && p.scope == doc.Scope && p.Chunk.Document == doc.ID && p.Chunk.Version < before {
			delete(m.points[idx], id)
		}
	}
	return nil
}

func (m *memory) Search(_ context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var hits []vector.Hit
	for id, p := range m.points[idx] {
		if p.scope == q.Scope {
			hits = append(hits, vector.Hit{ID: id, Score: cosine(p.Dense, q.Dense), Chunk: p.Chunk})
		}
	}
	slices.SortFunc(hits, func(a, b vector.Hit) int { return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID)) })
	return hits[:min(q.TopK, len(hits))], nil
}

func (m *memory) Scan(_ context.Context, idx vector.Index, scan vector.Scan) ([]vector.Stored, error) {
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []vector.Stored
	for id, p := range m.points[idx] {
		if id > scan.After {
			out = append(out, vector.Stored{ID: id, Tenant: p.scope.Tenant, Collection: p.scope.Collection, Chunk: p.Chunk})
		}
	}
	slices.SortFunc(out, func(a, b vector.Stored) int { return cmp.Compare(a.ID, b.ID) })
	return out[:min(scan.Limit, len(out))], nil
}

func (m *memory) Count(_ context.Context, idx vector.Index, _ vector.Scope) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.points[idx]), nil
}

func cosine(a, b []float32) float32 {
	var ab, aa, bb float64
	for i := range a {
		ab, aa, bb = ab+float64(a[i])*float64(b[i]), aa+float64(a[i])*float64(a[i]), bb+float64(b[i])*float64(b[i])
	}
	return float32(ab / math.Sqrt(aa*bb))
}
