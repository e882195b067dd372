package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/embedded/qdrantd"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/test/internal/figures"
)

const (
	// cacheFloor is the threshold of the look-ups: a hit at a higher one is a hit
	// here with that score, so one run gives the whole sweep.
	cacheFloor = 0.30
	// cacheWorkers ask at the same time; the store's writes share their syncs.
	cacheWorkers = 16
	// cacheSamples is how many questions each shape has in each domain.
	cacheSamples = 7
	embedBatch   = 512
)

// cacheBlock measures the semantic cache: pairs of questions of a seeded grammar,
// the first of each stored with an answer, the second looked up among all of its
// domain by the real Find on NATS, Qdrant's stand-in and the simulator's vectors.
// A hit is false when the entry found is of another meaning, whichever it is.
func cacheBlock(ctx context.Context) (figures.Figures, string, error) {
	r, err := newCacheRig(ctx)
	if err != nil {
		return nil, "", err
	}
	pairs := cachePairs(rand.New(rand.NewPCG(5, 2025)))
	err = r.measure(ctx, pairs)
	asked, realErr := r.real(ctx)
	if err := errors.Join(err, realErr, r.close()); err != nil {
		return nil, "", err
	}
	found, text := cacheReport(pairs)
	if len(asked.sets) > 0 {
		found["cache.real_pairs"], found["cache.real_false_hit"] = float64(asked.n), asked.rate(asked.wrong)
	}
	return found, text + asked.text(), nil
}

// cacheRig is the servers and the cache on them.
type cacheRig struct {
	sim      *llmsim.Server
	exact    *cache.Cache
	semantic *cache.Semantic
	closers  []func() error // last opened first
}

func newCacheRig(ctx context.Context) (*cacheRig, error) {
	r := &cacheRig{}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *cacheRig) open(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "weir-cache-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	r.onClose(func() error { return os.RemoveAll(dir) })
	ns, err := natsd.New(natsd.Config{Dir: filepath.Join(dir, "nats")})
	if err != nil {
		return err
	}
	if err := r.run(ctx, ns.Run, ns.Ready()); err != nil {
		return err
	}
	qs, err := qdrantd.New(qdrantd.Config{Dir: filepath.Join(dir, "qdrant"), Addr: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	if err := r.run(ctx, qs.Run, qs.Ready()); err != nil {
		return err
	}
	nc, err := ns.Conn()
	if err != nil {
		return err
	}
	r.onClose(func() error { nc.Close(); return nil })
	b, err := bus.New(nc)
	if err != nil {
		return err
	}
	store, err := qdrant.New(qdrant.Config{Addr: qs.Addr()})
	if err != nil {
		return err
	}
	r.onClose(store.Close)
	if r.sim, err = llmsim.New(llmsim.DefaultConfig()); err != nil {
		return err
	}
	if r.exact, err = cache.New(cache.Config{Bus: b, Now: time.Now}); err != nil {
		return err
	}
	r.semantic, err = cache.NewSemantic(cache.SemanticConfig{Cache: r.exact, Vectors: store, Threshold: cacheFloor})
	return errors.Join(err, b.Ensure(ctx, bus.DefaultLimits()))
}

func (r *cacheRig) onClose(f func() error) { r.closers = append(r.closers, f) }

// run serves until the rig closes.
func (r *cacheRig) run(ctx context.Context, serve func(context.Context) error, ready <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- serve(ctx) }()
	r.onClose(func() error { cancel(); return <-done })
	select {
	case <-ready:
		return nil
	case err := <-done:
		done <- err // for close
		return fmt.Errorf("starting a server: %w", err)
	}
}

func (r *cacheRig) close() error {
	var errs []error
	for _, f := range slices.Backward(r.closers) {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// measure stores each pair's first question, then looks each second one up.
func (r *cacheRig) measure(ctx context.Context, pairs []cachePair) error {
	vectors, err := r.vectors(ctx, pairs)
	if err != nil {
		return err
	}
	meanings := map[string]string{} // by key
	var stored []cachePair
	for i := range pairs {
		p := &pairs[i]
		p.cosine = cacheCosine(vectors[p.a], vectors[p.b])
		if k := p.key(); meanings[k] == "" {
			meanings[k] = p.meaning
			stored = append(stored, *p)
		}
	}
	err = eachPair(stored, func(p *cachePair) error { return r.remember(ctx, p, vectors[p.a]) })
	if err != nil {
		return fmt.Errorf("filling the cache: %w", err)
	}
	return eachPair(pairs, func(p *cachePair) error {
		_, v, err := r.semantic.Find(ctx, p.question(p.b, vectors[p.b]))
		p.verdict, p.wrong = v, v.Hit && meanings[v.Key] != p.other
		return err
	})
}

func (r *cacheRig) remember(ctx context.Context, p *cachePair, vec []float32) error {
	q := p.question(p.a, vec)
	e := cache.Entry{Tenant: q.Tenant, Task: q.Task, Scope: q.Scope(), Question: q.Text, Model: "sim-small", Job: "bench",
		Answer: event.Answer{Text: p.meaning, FinishReason: "stop"}}
	if stored, err := r.exact.Put(ctx, p.key(), e, time.Hour); err != nil || !stored {
		return fmt.Errorf("storing %q: %t, %w", q.Text, stored, err)
	}
	return r.semantic.Add(ctx, q, p.key())
}

// vectors asks the simulator for the vectors of all texts.
func (r *cacheRig) vectors(ctx context.Context, pairs []cachePair) (map[string][]float32, error) {
	out := map[string][]float32{}
	for _, p := range pairs {
		out[p.a], out[p.b] = nil, nil
	}
	for texts := range slices.Chunk(slices.Sorted(maps.Keys(out)), embedBatch) {
		body, err := json.Marshal(map[string]any{"model": "sim-embed", "input": texts})
		if err != nil {
			return nil, fmt.Errorf("encoding texts: %w", err)
		}
		rec := httptest.NewRecorder()
		r.sim.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/embeddings", bytes.NewReader(body)))
		var reply struct {
			Data []struct{ Embedding []float32 }
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &reply); err != nil || len(reply.Data) != len(texts) {
			return nil, fmt.Errorf("embedding: status %d, %d vectors of %d: %w", rec.Code, len(reply.Data), len(texts), err)
		}
		for i, d := range reply.Data {
			out[texts[i]] = d.Embedding
		}
	}
	return out, nil
}

// eachPair calls do for each pair and returns the first error.
func eachPair(pairs []cachePair, do func(*cachePair) error) error {
	errs := make([]error, cacheWorkers)
	var wg sync.WaitGroup
	for w := range cacheWorkers {
		wg.Go(func() {
			for i := w; i < len(pairs) && errs[w] == nil; i += cacheWorkers {
				errs[w] = do(&pairs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// cacheCosine is the cosine of two vectors of length 1.
func cacheCosine(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// cachePair is two questions, and what came of looking the second one up.
type cachePair struct {
	domain, kind   string
	a, b           string
	meaning, other string // of a and of b
	heldOut        bool   // a trap with words or shapes that the guard has no list for
	easy           bool   // a paraphrase that leaves the words of the question
	typography     bool   // other capitals, blanks and marks only
	cosine         float64
	verdict        cache.Verdict
	wrong          bool
}

func (p *cachePair) trap() bool { return p.meaning != p.other }

// key is that of the first question's entry.
func (p *cachePair) key() string {
	return cache.RequestKey(cache.Request{Tenant: "bench", Task: p.domain, Messages: []event.Message{{Role: "user", Content: p.a}}})
}

func (p *cachePair) question(text string, vec []float32) cache.Question {
	return cache.Question{Tenant: "bench", Task: p.domain, Text: text, Model: "sim-embed", Vector: vec}
}

// cacheTally counts pairs of one sort.
type cacheTally struct{ n, hits, wrong int }

func (t *cacheTally) add(hit, wrong bool) {
	t.n++
	if hit {
		t.hits++
	}
	if hit && wrong {
		t.wrong++
	}
}

func (t *cacheTally) rate(k int) float64 { return float64(k) / float64(max(1, t.n)) }

// countPairs tallies the pairs that are chosen, at a threshold. The rate of hits of a
// trap is that of its false ones: what it finds may be another entry, rightly.
func countPairs(pairs []cachePair, threshold float64, chosen func(*cachePair) bool) *cacheTally {
	t := &cacheTally{}
	for i := range pairs {
		if p := &pairs[i]; chosen(p) {
			t.add(p.verdict.Hit && float64(p.verdict.Score) >= threshold, p.wrong)
		}
	}
	return t
}

func isTrap(p *cachePair) bool       { return p.trap() }
func isHeldOut(p *cachePair) bool    { return p.trap() && p.heldOut }
func isParaphrase(p *cachePair) bool { return !p.trap() && !p.typography }
func isTypography(p *cachePair) bool { return p.typography }
func isEasy(p *cachePair) bool       { return !p.trap() && p.easy }

// cacheReport makes the figures and the text.
func cacheReport(pairs []cachePair) (figures.Figures, string) {
	at := func(chosen func(*cachePair) bool) *cacheTally {
		return countPairs(pairs, cache.DefaultThreshold, chosen)
	}
	traps, held, same, easy, typography := at(isTrap), at(isHeldOut), at(isParaphrase), at(isEasy), at(isTypography)
	found := figures.Figures{
		"cache.pairs": float64(len(pairs)), "cache.false_hit": traps.rate(traps.wrong), "cache.false_hit_heldout": held.rate(held.wrong),
		"cache.hit": same.rate(same.hits - same.wrong), "cache.hit_easy": easy.rate(easy.hits - easy.wrong), "cache.hit_typography": typography.rate(typography.hits - typography.wrong),
	}
	_, found["cache.false_hit_upper95"] = cache.FalseHits{Audits: traps.n, False: traps.wrong}.Bounds()
	var b strings.Builder
	fmt.Fprintf(&b, "Semantic cache: %d pairs of a seeded grammar in %d domains (%d traps, of them %d held out: words and shapes the guard has no list for).\n",
		len(pairs), len(cacheDomains()), traps.n, held.n)
	fmt.Fprint(&b, "The vectors are the simulator's, which hash words: they know no synonyms, and a trap is as near as a paraphrase.\n")
	fmt.Fprintf(&b, "Hits are of paraphrases; those with other capitals, blanks or marks only are counted apart (%d, %.1f%% hits).\n",
		typography.n, 100*typography.rate(typography.hits-typography.wrong))
	fmt.Fprint(&b, "The kinds \"two senses\", mention, term, idiom, abbreviation, have to, to and from were written against the guard, and it was\n")
	fmt.Fprint(&b, "mended after them. Of their parts that are held out, only \"mention\" has frames that it was not mended after.\n\n")
	cacheSweep(&b, pairs)
	fmt.Fprintf(&b, "\nBy kind, at %.2f:\n", cache.DefaultThreshold)
	cacheByKind(&b, pairs)
	return found, b.String()
}

// cacheSweep prints the rates by threshold, beside those of vectors alone.
func cacheSweep(b *strings.Builder, pairs []cachePair) {
	fmt.Fprint(b, "threshold  false hits  held out   hits   easy | vectors alone: false hits   hits\n")
	for _, threshold := range []float64{0.3, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95} {
		traps, held := countPairs(pairs, threshold, isTrap), countPairs(pairs, threshold, isHeldOut)
		same, easy := countPairs(pairs, threshold, isParaphrase), countPairs(pairs, threshold, isEasy)
		bareFalse, bareHits := 0, 0
		for i := range pairs {
			switch p := &pairs[i]; {
			case p.cosine < threshold || p.typography:
			case p.trap():
				bareFalse++
			default:
				bareHits++
			}
		}
		fmt.Fprintf(b, "%9.2f %10.3f%% %8.3f%% %5.1f%% %5.1f%% | %24.1f%% %5.1f%%\n", threshold, 100*traps.rate(traps.wrong), 100*held.rate(held.wrong),
			100*same.rate(same.hits-same.wrong), 100*easy.rate(easy.hits-easy.wrong), 100*traps.rate(bareFalse), 100*same.rate(bareHits))
	}
}

// cacheKind is what came of one kind of pairs.
type cacheKind struct {
	name       string
	trap, held bool
	cosine     float64 // sum
	tally      cacheTally
	wrong      []string // examples of false hits
}

// order puts paraphrases first and what is held out last.
func (k *cacheKind) order() string { return fmt.Sprint(k.trap, k.held, k.name) }

// cacheByKind prints a line per kind: the hits of paraphrases, the false hits of traps.
func cacheByKind(b *strings.Builder, pairs []cachePair) {
	kinds := map[string]*cacheKind{}
	for i := range pairs {
		p := &pairs[i]
		name := fmt.Sprint(p.trap(), p.heldOut, p.kind)
		if kinds[name] == nil {
			kinds[name] = &cacheKind{name: p.kind, trap: p.trap(), held: p.heldOut}
		}
		k := kinds[name]
		hit := p.verdict.Hit && float64(p.verdict.Score) >= cache.DefaultThreshold
		k.tally.add(hit, p.wrong)
		k.cosine += p.cosine
		if hit && p.wrong && len(k.wrong) < 5 {
			k.wrong = append(k.wrong, fmt.Sprintf("%q was given the answer to %q", p.b, p.verdict.Question))
		}
	}
	list := slices.SortedFunc(maps.Values(kinds), func(x, y *cacheKind) int {
		return cmp.Compare(x.order(), y.order())
	})
	for _, k := range list {
		what, n := "hits", k.tally.hits-k.tally.wrong
		if k.trap {
			what, n = "false hits", k.tally.wrong
		}
		name := k.name
		if k.held {
			name += ", held out"
		}
		fmt.Fprintf(b, "  %-36s %5d pairs, mean cosine %.2f, %s %.2f%%\n", name, k.tally.n, k.cosine/float64(k.tally.n), what, 100*k.tally.rate(n))
		for _, example := range k.wrong {
			fmt.Fprintf(b, "      %s\n", example)
		}
	}
}
