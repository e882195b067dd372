package embedder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/sentence"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
	"github.com/weir-dev/weir/services/embedder/internal/rpc"
)

const (
	// canaries is how many passages are looked for in both indexes: with 200 a
	// recall of .9 is known within .02 (standard error).
	canaries = 200
	// canaryTop is the depth at which a passage counts as found.
	canaryTop = 10
)

// canary is a passage and a query that should find it.
type canary struct {
	vector.Stored
	query string
}

// compare looks for sampled passages by a sentence of theirs in both indexes, and
// lets the new one take over unless it finds too few.
func (m *migrator) compare(ctx context.Context, state *migration.State) error {
	from, to, err := m.places(state)
	if err != nil {
		return err
	}
	sample, err := m.sample(ctx, from)
	if err != nil {
		return err
	}
	before, err := m.recall(ctx, state, from, sample)
	if err != nil {
		return err
	}
	after, err := m.recall(ctx, state, to, sample)
	if err != nil {
		return err
	}
	return m.save(ctx, func(s *migration.State) {
		s.Queries, s.OldRecall, s.NewRecall = len(sample), before, after
		if after < before-s.MaxLoss {
			s.Phase, s.Error = migration.Refused, fmt.Sprintf("of %d sampled passages the old index finds %.3f and the new one %.3f", len(sample), before, after)
			return
		}
		s.Phase, s.Model, s.Also = migration.Switched, to.Model, from.Model // the alias follows
	})
}

// sample picks passages all over the index: ids are evenly spread.
func (m *migrator) sample(ctx context.Context, place vector.Index) ([]canary, error) {
	var out []canary
	seen := map[string]bool{}
	for i := range 2 * canaries {
		sum := sha256.Sum256(fmt.Append(nil, i))
		after := manifest.ID(sum[:16]).String()
		page, err := m.s.vectors.Scan(ctx, place, vector.Scan{After: after, Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, p := range page {
			if query := middle(p.Chunk.Text); query != "" && !seen[p.ID] {
				seen[p.ID] = true
				out = append(out, canary{Stored: p, query: query})
			}
		}
		if len(out) == canaries {
			break
		}
	}
	return out, nil
}

// middle is a sentence from the middle of a text, "" without one of some length.
func middle(text string) string {
	const least = 24 // bytes; shorter ones are headings and labels
	var sentences []string
	start := 0
	for _, end := range sentence.Ends(text) {
		if s := strings.TrimSpace(text[start:end]); len(s) >= least {
			sentences = append(sentences, s)
		}
		start = end
	}
	if len(sentences) == 0 {
		return ""
	}
	return sentences[len(sentences)/2]
}

// recall is the share of the sample that its queries find in an index.
func (m *migrator) recall(ctx context.Context, state *migration.State, place vector.Index, sample []canary) (float64, error) {
	if len(sample) == 0 {
		return 1, nil
	}
	texts := make([]string, len(sample))
	for i, c := range sample {
		texts[i] = c.query
	}
	vectors, err := m.queries(ctx, state, place.Model, texts)
	if err != nil {
		return 0, err
	}
	found := 0
	for i, c := range sample {
		hits, err := m.s.vectors.Search(ctx, place, vector.Query{
			Scope: vector.Scope{Tenant: c.Tenant, Collection: c.Collection}, Filter: vector.Filter{Readers: c.Chunk.ACL},
			Dense: vectors[i], TopK: canaryTop,
		})
		if err != nil {
			return 0, err
		}
		if slices.ContainsFunc(hits, func(h vector.Hit) bool { return h.ID == c.ID || h.Chunk.Hash == c.Chunk.Hash }) {
			found++
		}
	}
	return float64(found) / float64(len(sample)), nil
}

// call is one of the migration's to a provider.
func (m *migrator) call(state *migration.State, model, step string) guard.Call {
	return guard.Call{
		Tenant: state.Tenant, Job: "migration-" + event.NewID(state.Started)[:10], Step: step, Epoch: m.s.p.Now().UnixMicro(),
		Lane: event.LaneBatch, Model: model, Attempts: guard.DefaultAttempts,
	}
}

// queries embeds texts as questions.
func (m *migrator) queries(ctx context.Context, state *migration.State, model string, texts []string) ([][]float32, error) {
	var out [][]float32
	for part := range slices.Chunk(texts, rpc.MaxInputs) {
		answer, err := m.s.batcher.Query(ctx, model, part)
		if err != nil {
			return nil, fmt.Errorf("embedding sampled queries: %w", err)
		}
		if err := m.book(ctx, m.call(state, model, fmt.Sprintf("compare-%d", len(out))), answer.Tokens); err != nil {
			return nil, err
		}
		out = append(out, answer.Vectors...)
	}
	return out, nil
}

// embed makes the vectors of points, from what the tenant has of the same model
// or by the model. On an error some may still be missing.
func (m *migrator) embed(ctx context.Context, state *migration.State, to vector.Index, tenant string, points []vector.Point) (cost int64, err error) {
	hashes := make([]string, len(points))
	for i, p := range points {
		hashes[i] = p.Chunk.Hash
	}
	stored, err := m.s.vectors.Vectors(ctx, to, tenant, hashes)
	if err != nil {
		return 0, err
	}
	var texts []batch.Text
	var at []int
	for i := range points {
		c := &points[i].Chunk
		points[i].BM25, points[i].Grams = m.s.sparse.Passage(c.Prefix + c.Text)
		if points[i].Dense = stored[c.Hash]; points[i].Dense == nil {
			texts, at = append(texts, batch.Text{Text: c.Prefix + c.Text, Tokens: c.Tokens}), append(at, i)
		}
	}
	if len(texts) == 0 {
		return 0, nil
	}
	call := m.call(state, to.Model, "fill-"+points[0].ID)
	vectors, usage, err := m.s.batcher.Embed(ctx, call, texts)
	if bookErr := m.book(ctx, call, usage); err == nil {
		err = bookErr
	}
	for n, i := range at {
		points[i].Dense = vectors[n]
	}
	return m.s.guard.Price(to.Model, llm.Usage{PromptTokens: usage}), err
}

// book writes a call into the ledger.
func (m *migrator) book(ctx context.Context, call guard.Call, tokens int) error {
	if tokens == 0 {
		return nil
	}
	out, err := ledger.LineOut(m.s.line(call, tokens))
	if err != nil {
		return err
	}
	return m.s.bus.Publish(context.WithoutCancel(ctx), out)
}
