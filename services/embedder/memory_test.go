package embedder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/weir-dev/weir/pkg/vector"
)

var _ vector.Store = (*memory)(nil)

// memory is a vector store of maps that keeps to the port's rules of versions and
// records what it is told. Its functions, when set, decide the outcome of calls.
type memory struct {
	ensure  func() error
	upsert  func(points []vector.Point) error
	removes func() error

	mu      sync.Mutex
	calls   []string // writes in order, such as "upsert acme/handbook 2"
	indexes map[vector.Index]map[string]stored
	alias   vector.Index
}

type stored struct {
	scope vector.Scope
	vector.Point
}

// in returns the points of an index; s.mu is held.
func (s *memory) in(idx vector.Index) map[string]stored {
	if s.indexes == nil {
		s.indexes = map[vector.Index]map[string]stored{}
	}
	if s.indexes[idx] == nil {
		s.indexes[idx] = map[string]stored{}
	}
	return s.indexes[idx]
}

func (s *memory) record(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

// written are the writes so far and the points of the index in force, by text.
func (s *memory) written() (calls []string, points map[string]vector.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	points = map[string]vector.Point{}
	for _, p := range s.in(s.alias) {
		points[p.Chunk.Text] = p.Point
	}
	return slices.Clone(s.calls), points
}

func (s *memory) Ensure(_ context.Context, idx vector.Index) error {
	if s.ensure != nil {
		if err := s.ensure(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in(idx)
	if s.alias.Model == "" {
		s.alias = idx
	}
	return nil
}

func (s *memory) Current(context.Context, string) (vector.Index, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alias, s.alias.Model != "", nil
}

func (s *memory) Switch(_ context.Context, idx vector.Index) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alias = idx
	s.record("switch %s", idx.Model)
	return nil
}

func (s *memory) Drop(_ context.Context, idx vector.Index) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.indexes, idx)
	s.record("drop %s", idx.Model)
	return nil
}

func (s *memory) Upsert(_ context.Context, idx vector.Index, scope vector.Scope, points []vector.Point) error {
	s.mu.Lock()
	s.record("upsert %s/%s %d", scope.Tenant, scope.Collection, len(points))
	s.mu.Unlock()
	if s.upsert != nil {
		if err := s.upsert(points); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range points {
		if old, ok := s.in(idx)[p.ID]; !ok || old.scope == scope && old.Chunk.Version <= p.Chunk.Version {
			s.in(idx)[p.ID] = stored{scope, p}
		}
	}
	return nil
}

func (s *memory) SetMeta(_ context.Context, idx vector.Index, doc vector.Document, meta vector.Meta) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record("meta %s", doc.ID)
	for id, p := range s.in(idx) {
		if p.scope == doc.Scope && p.Chunk.Document == doc.ID {
			p.Chunk.Meta = meta
			s.in(idx)[id] = p
		}
	}
	return nil
}

func (s *memory) Delete(_ context.Context, idx vector.Index, doc vector.Document, ids []string, before int64) error {
	return s.remove(idx, doc, before, fmt.Sprintf("delete %d of %s before %d", len(ids), doc.ID, before),
		func(id string) bool { return slices.Contains(ids, id) })
}

func (s *memory) DeleteDocument(_ context.Context, idx vector.Index, doc vector.Document, before int64) error {
	return s.remove(idx, doc, before, fmt.Sprintf("delete all of %s before %d", doc.ID, before), func(string) bool { return true })
}

func (s *memory) remove(idx vector.Index, doc vector.Document, before int64, call string, of func(string) bool) error {
	s.mu.Lock()
	s.record("%s", call)
	s.mu.Unlock()
	if s.removes != nil {
		if err := s.removes(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.in(idx), func(id string, p stored) bool {
		return p.scope == doc.Scope && p.Chunk.Document == doc.ID && p.Chunk.Version < before && of(id)
	})
	return nil
}

func (s *memory) Vectors(_ context.Context, idx vector.Index, tenant string, hashes []string) (map[string][]float32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]float32{}
	for _, p := range s.in(idx) {
		if p.scope.Tenant == tenant && slices.Contains(hashes, p.Chunk.Hash) {
			out[p.Chunk.Hash] = p.Dense
		}
	}
	return out, nil
}

func (s *memory) Get(_ context.Context, idx vector.Index, scope vector.Scope, ids []string) ([]vector.Stored, error) {
	return s.list(idx, func(id string, p stored) bool { return p.scope == scope && slices.Contains(ids, id) }), nil
}

func (s *memory) Scan(_ context.Context, idx vector.Index, scan vector.Scan) ([]vector.Stored, error) {
	all := s.list(idx, func(id string, p stored) bool {
		return id > scan.After && (scan.Scope.Tenant == "" || p.scope.Tenant == scan.Scope.Tenant) &&
			(scan.Scope.Collection == "" || p.scope.Collection == scan.Scope.Collection) &&
			(scan.Document == "" || p.Chunk.Document == scan.Document)
	})
	return all[:min(len(all), scan.Limit)], nil
}

// points is how many an index has.
func (s *memory) points(idx vector.Index) int {
	return len(s.list(idx, func(string, stored) bool { return true }))
}

// list returns points in the order of their ids.
func (s *memory) list(idx vector.Index, of func(string, stored) bool) []vector.Stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []vector.Stored
	for id, p := range s.in(idx) {
		if of(id, p) {
			out = append(out, vector.Stored{ID: id, Tenant: p.scope.Tenant, Collection: p.scope.Collection, Chunk: p.Chunk})
		}
	}
	slices.SortFunc(out, func(a, b vector.Stored) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// put and drop change the store behind the embedder's back.
func (s *memory) put(idx vector.Index, scope vector.Scope, p vector.Point) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in(idx)[p.ID] = stored{scope, p}
}

func (s *memory) drop(idx vector.Index, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.in(idx), id)
}

// Search finds all of a scope's points, in no order.
func (s *memory) Search(_ context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	var hits []vector.Hit
	for _, p := range s.list(idx, func(_ string, p stored) bool { return p.scope == q.Scope }) {
		hits = append(hits, vector.Hit{ID: p.ID, Chunk: p.Chunk})
	}
	return hits, nil
}

func (s *memory) Count(context.Context, vector.Index, vector.Scope) (int, error) {
	return 0, errors.New("the embedder does not count")
}
