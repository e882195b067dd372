package ingestor

import (
	"testing"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// fixed is a catalog that does not change.
type fixed []catalog.Collection

var _ Catalog = fixed{}

// Current implements Catalog.
func (f fixed) Current() *catalog.Catalog { return &catalog.Catalog{Collections: f} }

func number(n int) *int { return &n }

// TestCollectionOptions: the catalog says how a collection is cut, the settings
// say the rest, and no entry of it makes options that don't go together.
func TestCollectionOptions(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for name, c := range map[string]struct {
		entry           catalog.Collection
		tokens, overlap int
	}{
		"nothing":                {catalog.Collection{TopK: 3}, 256, 32},
		"tokens":                 {catalog.Collection{ChunkTokens: 512}, 512, 32},
		"few tokens":             {catalog.Collection{ChunkTokens: 20}, 20, 10},
		"overlap":                {catalog.Collection{ChunkOverlap: number(100)}, 256, 100},
		"no overlap":             {catalog.Collection{ChunkOverlap: number(0)}, 256, 0},
		"both":                   {catalog.Collection{ChunkTokens: 512, ChunkOverlap: number(256)}, 512, 256},
		"more overlap than half": {catalog.Collection{ChunkOverlap: number(4000)}, 256, 128},
	} {
		c.entry.ID = "handbook"
		s := open(t, b, DefaultConfig(), Ports{Catalog: fixed{c.entry}})
		got := s.options("acme", "handbook")
		if got.MaxTokens != c.tokens || got.Overlap != c.overlap || got.Validate() != nil {
			t.Errorf("%s: %d tokens, overlap %d (%v); want %d and %d", name, got.MaxTokens, got.Overlap, got.Validate(), c.tokens, c.overlap)
		}
		if other := s.options("acme", "wiki"); other.MaxTokens != 256 || other.Overlap != 32 {
			t.Errorf("%s: another collection has %+v", name, other)
		}
	}
}

// TestCollectionCutsAnew: a change of the catalog takes effect at the next ingest.
func TestCollectionCutsAnew(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{Catalog: fixed{}})
	doc := event.Document{ID: "doc", Source: "a.md", Text: article(8)}
	d.store(at(t, 0, "j1", doc))
	before := d.row()
	again := open(t, d.b, DefaultConfig(), Ports{Catalog: fixed{{ID: "handbook", Tenant: "acme", ChunkTokens: 24}}})
	r := again.store(at(t, 1, "j2", doc))
	after := d.row()
	if after.Config == before.Config {
		t.Errorf("both cuts have the config %s", after.Config)
	}
	if len(after.Chunks) <= len(before.Chunks) {
		t.Errorf("%d chunks at 24 tokens, %d at 256", len(after.Chunks), len(before.Chunks))
	}
	for _, b := range r.batches {
		for _, c := range b.Chunks {
			if c.Tokens > 24 {
				t.Errorf("a chunk has %d tokens, the limit is 24", c.Tokens)
			}
		}
	}
	again.take(at(t, 2, "j3", doc)).wantOutcome(t, event.OutcomeUnchanged)
}

// TestSettingsAreCheckedWithoutTheCatalog: an entry for all collections does not
// hide a setting that the first other entry would bring out.
func TestSettingsAreCheckedWithoutTheCatalog(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	cfg := DefaultConfig()
	cfg.ChunkOverlap = 200
	_, err := New(platform.Platform{NATS: b.Conn()}, cfg, Ports{Catalog: fixed{{ID: "*", ChunkTokens: 512}}})
	stagetest.ErrorHas(t, err, "WEIR_INGESTOR_CHUNK_OVERLAP", "200")
}
