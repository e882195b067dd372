package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/cache/paraphrase"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// IndexName is the name of the index of questions, one per embedding model.
const IndexName = "weir-cache"

const (
	// DefaultThreshold is the default of [SemanticConfig].Threshold. It only bounds
	// the work: which neighbours mean the same is [paraphrase.Differ]'s to say, and
	// in test/bench/cascade false hits are as rare at 0.3. Higher ones lose hits, 8
	// points at 0.85 with vectors that hash words.
	DefaultThreshold = 0.70
	// DefaultNeighbours is the default of [SemanticConfig].Neighbours.
	DefaultNeighbours = 5
)

// SemanticConfig is what a Semantic needs.
type SemanticConfig struct {
	// Cache holds the entries. Required.
	Cache *Cache
	// Vectors holds the questions. Required.
	Vectors vector.Store
	// Threshold is the least cosine of a neighbour, in (0, 1]. Default 0:
	// DefaultThreshold.
	Threshold float64
	// Neighbours is how many are looked at, 1 to 100. Default 0:
	// DefaultNeighbours.
	Neighbours int
}

// Validate reports the first field that cannot work, with its value.
func (c SemanticConfig) Validate() error {
	switch {
	case c.Cache == nil:
		return errors.New("semantic cache config: Cache is nil; want a cache")
	case c.Vectors == nil:
		return errors.New("semantic cache config: Vectors is nil; want a vector store")
	case !(c.Threshold >= 0 && c.Threshold <= 1):
		return fmt.Errorf("semantic cache config: Threshold is %v; want above 0 and at most 1, or 0 for the default", c.Threshold)
	case c.Neighbours < 0 || c.Neighbours > 100:
		return fmt.Errorf("semantic cache config: Neighbours is %d; want 1 to 100, or 0 for the default", c.Neighbours)
	}
	return nil
}

// Semantic finds answers to questions asked before in other words. It is safe for
// concurrent use.
type Semantic struct {
	cache      *Cache
	vectors    vector.Store
	threshold  float64
	neighbours int
	made       sync.Map // vector.Index that this process has ensured
}

// NewSemantic returns a Semantic. It does no I/O.
func NewSemantic(cfg SemanticConfig) (*Semantic, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Threshold == 0 {
		cfg.Threshold = DefaultThreshold
	}
	if cfg.Neighbours == 0 {
		cfg.Neighbours = DefaultNeighbours
	}
	return &Semantic{cache: cfg.Cache, vectors: cfg.Vectors, threshold: cfg.Threshold, neighbours: cfg.Neighbours}, nil
}

// Question is what is looked for.
type Question struct {
	Tenant string
	Task   string
	// Text is the question as the user wrote it; Vector is Text's, made by Model.
	Text   string
	Model  string
	Vector []float32
	// RAG is the job's; nil when the answer rests on no documents.
	RAG *event.RAG
	// Context is what else decides the answer, see [ContextKey].
	Context string
	// Sources are those retrieved for this question. A grounded answer is given
	// only if all it cites is among them.
	Sources []event.SourceVersion
}

// Scope is the place of the question in its tenant's part of the index: questions
// of different tasks, collections, readers, filters or contexts never meet. It
// goes into [Entry].Scope.
func (q Question) Scope() string {
	d := digest{sha256.New()}
	d.texts([]string{"weir cache scope 1", q.Tenant, q.Task, q.Context})
	d.rag(q.RAG)
	return fmt.Sprintf("%x", d.Sum(nil))
}

func (q Question) scope() vector.Scope {
	return vector.Scope{Tenant: q.Tenant, Collection: q.Scope()}
}

func (q Question) index() vector.Index {
	return vector.Index{Name: IndexName, Model: q.Model, Dimension: len(q.Vector)}
}

// Reasons of a miss, beside those of [paraphrase.Differ]; the first that apply.
const (
	ReasonTime    = "relative time" // the question is about now, whenever that is
	ReasonNone    = "no neighbour"  // nothing near enough was asked before
	ReasonGone    = "entry gone"    // it was asked, but the entry's time is over
	ReasonScope   = "other scope"   // the entry is of another tenant or scope
	ReasonSources = "sources"       // what the answer cites was not found for this question
)

// Verdict says how a look-up came out.
type Verdict struct {
	Hit bool
	// Reason is why the nearest neighbour was not used; "" with a hit.
	Reason string
	// Key is the entry's, Question its text and Score its cosine: of the hit, or
	// of the nearest neighbour.
	Key      string
	Question string
	Score    float32
}

// Find returns the entry of the nearest question that means the same, nil when
// there is none. With an error, which is of a store, it is a miss too.
func (s *Semantic) Find(ctx context.Context, q Question) (*Entry, Verdict, error) {
	if paraphrase.Relative(q.Text) {
		return nil, Verdict{Reason: ReasonTime}, nil
	}
	hits, err := s.vectors.Search(ctx, q.index(), vector.Query{Scope: q.scope(), Dense: q.Vector, TopK: s.neighbours})
	if err != nil {
		return nil, Verdict{Reason: ReasonNone}, fmt.Errorf("searching the semantic cache: %w", err)
	}
	nearest := Verdict{Reason: ReasonNone}
	if len(hits) > 0 {
		nearest.Score = hits[0].Score
	}
	for i, hit := range hits {
		if float64(hit.Score) < s.threshold {
			break
		}
		e, v, err := s.judge(ctx, q, hit)
		if v.Hit || err != nil {
			return e, v, err
		}
		if i == 0 {
			nearest = v
		}
	}
	return nil, nearest, nil
}

// sparedFor is how long a question without an entry is kept: it is added when it is
// asked.
const sparedFor = time.Hour

// judge says whether a neighbour answers the question.
func (s *Semantic) judge(ctx context.Context, q Question, hit vector.Hit) (*Entry, Verdict, error) {
	v := Verdict{Key: hit.Chunk.Document, Score: hit.Score}
	e, err := s.cache.Get(ctx, q.Tenant, v.Key)
	if err != nil {
		v.Reason = ReasonGone
		return nil, v, err
	}
	if e == nil {
		v.Reason = ReasonGone
		if s.cache.now().UnixMilli()-hit.Chunk.Version < sparedFor.Milliseconds() {
			return nil, v, nil // its answer may be under way
		}
		return nil, v, s.forget(ctx, q, hit)
	}
	v.Question = e.Question
	switch {
	case e.Tenant != q.Tenant || e.Scope != q.Scope():
		v.Reason, v.Question = ReasonScope, ""
	case !covers(q, e.Sources):
		v.Reason = ReasonSources
	default:
		v.Reason = paraphrase.Differ(e.Question, q.Text)
	}
	if v.Reason != "" {
		return nil, v, nil
	}
	v.Hit = true
	return e, v, nil
}

// covers reports whether all that an answer cites was found for the question. A
// grounded answer that cites nothing can't be checked, and is refused.
func covers(q Question, cited []event.SourceVersion) bool {
	if q.RAG == nil {
		return len(cited) == 0
	}
	type chunk struct {
		document, id string
		version      int64
	}
	found := map[chunk]bool{}
	for _, s := range q.Sources {
		for _, id := range s.Chunks {
			found[chunk{s.Document, id, s.Version}] = true
		}
	}
	for _, s := range cited {
		missing := func(id string) bool { return !found[chunk{s.Document, id, s.Version}] }
		if len(s.Chunks) == 0 || slices.ContainsFunc(s.Chunks, missing) {
			return false
		}
	}
	return len(cited) > 0
}

// forget removes a point whose entry is gone.
func (s *Semantic) forget(ctx context.Context, q Question, hit vector.Hit) error {
	doc := vector.Document{Scope: q.scope(), ID: hit.Chunk.Document}
	if err := s.vectors.Delete(ctx, q.index(), doc, []string{hit.ID}, hit.Chunk.Version+1); err != nil {
		return fmt.Errorf("removing a question of the semantic cache: %w", err)
	}
	return nil
}

// Add makes the entry of a key, stored with [Entry].Scope set to q.Scope(), be
// found by its question. It may come before the entry: until then it is no hit. Questions about now ([paraphrase.Relative]) are left out. The same
// text in the same scope is stored once, with the latest key.
func (s *Semantic) Add(ctx context.Context, q Question, key string) error {
	if _, err := subject(q.Tenant, key); err != nil {
		return err
	}
	if paraphrase.Relative(q.Text) {
		return nil
	}
	idx, scope, now := q.index(), q.scope(), s.cache.now()
	if _, made := s.made.Load(idx); !made {
		if err := s.vectors.Ensure(ctx, idx); err != nil {
			return fmt.Errorf("making the semantic cache: %w", err)
		}
		s.made.Store(idx, true)
	}
	point := vector.Point{
		ID:    event.ChunkID(scope.Tenant, scope.Collection, "question", q.Text, 0),
		Dense: q.Vector, Chunk: vector.Chunk{Document: key, Version: now.UnixMilli(), Hash: key, Created: now},
	}
	if err := s.vectors.Upsert(ctx, idx, scope, []vector.Point{point}); err != nil {
		return fmt.Errorf("adding to the semantic cache: %w", err)
	}
	return nil
}

// sweepPage is how many points a sweep reads at once.
const sweepPage = 256

// Sweep removes the questions that were added before a time, of all tenants, from
// the index of an embedding model: those older than the longest time to live.
// Questions whose entry is gone are removed when they are found, too.
func (s *Semantic) Sweep(ctx context.Context, model string, dimension int, before time.Time) (removed int, err error) {
	idx := vector.Index{Name: IndexName, Model: model, Dimension: dimension}
	for scan := (vector.Scan{Limit: sweepPage}); ; {
		points, err := s.vectors.Scan(ctx, idx, scan)
		if err != nil {
			return removed, fmt.Errorf("sweeping the semantic cache: %w", err)
		}
		for _, p := range points {
			if p.Chunk.Version >= before.UnixMilli() {
				continue
			}
			doc := vector.Document{Scope: vector.Scope{Tenant: p.Tenant, Collection: p.Collection}, ID: p.Chunk.Document}
			if err := s.vectors.Delete(ctx, idx, doc, []string{p.ID}, before.UnixMilli()); err != nil {
				return removed, fmt.Errorf("sweeping the semantic cache: %w", err)
			}
			removed++
		}
		if len(points) < sweepPage {
			return removed, nil
		}
		scan.After = points[len(points)-1].ID
	}
}
