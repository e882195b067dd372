package catalog_test

import (
	"reflect"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
)

const collections = good + `collections:
  - {id: "*", top_k: 1}
  - {id: "*", tenant: acme, top_k: 2}
  - {id: handbook, top_k: 3, rerank: judge}
  - id: handbook
    tenant: acme
    chunk_tokens: 512
    chunk_overlap: 0
    weights: {dense: 2, bm25: 1}
    fusion: rrf
    rerank: none
    top_k: 4
    abstain: 0
`

// withJudge has a rerank model with an alias.
func withJudge(t *testing.T, text string) string {
	t.Helper()
	return replace(t, text, "tenants:", "  - {id: judge-1, aliases: [judge], provider: local, upstream: r, mode: rerank, batch: {items: 8}}\ntenants:")
}

// TestCollection: the most specific entry counts, and it alone.
func TestCollection(t *testing.T) {
	t.Parallel()
	c := parse(t, withJudge(t, collections))
	none, never := 0, 0.0
	for _, want := range []catalog.Collection{
		{Tenant: "acme", ID: "handbook", ChunkTokens: 512, ChunkOverlap: &none, Weights: catalog.Weights{Dense: 2, BM25: 1}, Fusion: catalog.FusionRRF,
			Rerank: catalog.RerankNone, TopK: 4, Abstain: &never},
		{Tenant: "other", ID: "handbook", TopK: 3, Rerank: "judge-1"},
		{Tenant: "acme", ID: "wiki", TopK: 2},
		{Tenant: "other", ID: "wiki", TopK: 1},
	} {
		if got := c.Collection(want.Tenant, want.ID); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if got := parse(t, good).Collection("acme", "handbook"); !reflect.DeepEqual(got, catalog.Collection{Tenant: "acme", ID: "handbook"}) {
		t.Errorf("of a catalog without: %+v", got)
	}
}

// TestBatch: what a model doesn't say of its requests is its dialect's, of a chat
// model nothing.
func TestBatch(t *testing.T) {
	t.Parallel()
	text := replace(t, good, "dialect: vllm", "dialect: vllm, override: {batch: {items: 16, bytes: 1000}}")
	c := parse(t, withJudge(t, replace(t, text, "    dimensions: 384", "    dimensions: 384\n    batch: {tokens: 500, bytes: 9}")))
	for id, want := range map[string]catalog.Batch{"small": {}, "embed": {Items: 16, Tokens: 500, Bytes: 9}, "judge": {Items: 8, Bytes: 1000}} {
		if m, ok := c.Model(id); !ok || m.Batch != want {
			t.Errorf("%s takes %+v, want %+v", id, m.Batch, want)
		}
	}
	if got := c.RerankModels(); len(got) != 1 || got[0].ID != "judge-1" {
		t.Errorf("rerank models %+v", got)
	}
}

// TestEmbeddingWords: prefixes keep their blanks.
func TestEmbeddingWords(t *testing.T) {
	t.Parallel()
	c := parse(t, replace(t, good, "    dimensions: 384", "    dimensions: 384\n    stand_in: true\n    query_prefix: 'query: '\n    passage_prefix: \"passage: \""))
	if m, _ := c.Model("embed"); !m.StandIn || m.QueryPrefix != "query: " || m.PassagePrefix != "passage: " {
		t.Errorf("got %+v", m)
	}
}
