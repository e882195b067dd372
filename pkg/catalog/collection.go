package catalog

import (
	"cmp"
	"fmt"
	"math"

	"github.com/weir-dev/weir/pkg/event"
)

// Collection is how the documents of some collections are cut, and how questions
// about them are answered. Fields that are zero or nil leave it to the services'
// settings.
type Collection struct {
	// ID is the collection's name; "*" is all collections.
	ID string `yaml:"id"`
	// Tenant is whose collection it is; "" is every tenant's.
	Tenant string `yaml:"tenant,omitempty"`
	// ChunkTokens is the hard limit of a chunk in tokens, ChunkOverlap how many of
	// them at most it repeats of the one before. A change takes effect with each
	// document's next ingest.
	ChunkTokens  int  `yaml:"chunk_tokens,omitempty"`
	ChunkOverlap *int `yaml:"chunk_overlap,omitempty"`
	// Weights are those of the lists in the fusion.
	Weights Weights `yaml:"weights,omitempty"`
	// Fusion joins the lists: FusionDBSF or FusionRRF.
	Fusion string `yaml:"fusion,omitempty"`
	// Rerank orders what was found: RerankLinear, RerankNone, or the id of a rerank
	// model.
	Rerank string `yaml:"rerank,omitempty"`
	// TopK is how many passages a model is shown when the job does not say.
	TopK int `yaml:"top_k,omitempty"`
	// Abstain is the part of the question's words (0 to 1) that the passages must
	// cover, or no model is asked, when the job does not say.
	Abstain *float64 `yaml:"abstain,omitempty"`
}

// Weights are the lists' parts in a fusion; 0 leaves one to the services' settings.
type Weights struct {
	Dense float64 `yaml:"dense,omitempty"`
	BM25  float64 `yaml:"bm25,omitempty"`
	Grams float64 `yaml:"grams,omitempty"`
}

// Values of Collection.Fusion and Collection.Rerank.
const (
	FusionDBSF   = "dbsf"
	FusionRRF    = "rrf"
	RerankLinear = "linear"
	RerankNone   = "none"
)

// every stands for all collections.
const every = "*"

// Collection is what the catalog says of a tenant's collection: the most specific
// entry alone, which is the tenant's of this name, then every tenant's of this
// name, then the tenant's for all its collections, then the one for all. Without
// any it is empty but for the names. Rerank is a model's id, never an alias.
func (c *Catalog) Collection(tenant, id string) Collection {
	best, rank := Collection{}, 0
	for _, e := range c.Collections {
		if r := e.rank(tenant, id); r > rank {
			best, rank = e, r
		}
	}
	best.ID, best.Tenant = id, tenant
	if m, ok := c.Model(best.Rerank); ok && best.Rerank != RerankLinear && best.Rerank != RerankNone {
		best.Rerank = m.ID
	}
	return best
}

// rank is how specific the entry is for a collection, 0 if it is another's.
func (e *Collection) rank(tenant, id string) int {
	switch {
	case e.Tenant == tenant && e.ID == id:
		return 4
	case e.Tenant == "" && e.ID == id:
		return 3
	case e.Tenant == tenant && e.ID == every:
		return 2
	case e.Tenant == "" && e.ID == every:
		return 1
	}
	return 0
}

// Bounds of a collection's numbers.
const (
	// minChunk is what pkg/chunk takes at least; maxChunk is OpenAI's limit of one
	// text, which no usual model exceeds by much.
	minChunk = 16
	maxChunk = 8191
	// DBSF weighs by repeating a list, up to four times.
	maxRepeat = 4
	maxWeight = 1000
)

func (k *checker) collections() {
	seen := map[[2]string]string{}
	for i := range k.c.Collections {
		e, path := &k.c.Collections[i], fmt.Sprintf("collections[%d]", i)
		if e.ID != every {
			k.name(path+".id", e.ID, map[string]string{})
		}
		if e.Tenant != "" {
			k.name(path+".tenant", e.Tenant, map[string]string{})
		}
		if other, ok := seen[[2]string{e.Tenant, e.ID}]; ok {
			k.fail(path, "say all of a collection in one entry", "the same collection as %s", other)
		}
		seen[[2]string{e.Tenant, e.ID}] = path
		k.collection(e, path)
	}
}

func (k *checker) collection(e *Collection, path string) {
	k.optional(path+".chunk_tokens", e.ChunkTokens, minChunk, maxChunk)
	if o := e.ChunkOverlap; o != nil {
		most := cmp.Or(e.ChunkTokens, maxChunk) / 2
		if *o < 0 || *o > most {
			k.fail(path+".chunk_overlap", "write 0 (none) to half of chunk_tokens", "%d is out of range, 0 to %d", *o, most)
		}
	}
	k.oneOf(path+".fusion", e.Fusion, "", FusionDBSF, FusionRRF)
	k.weights(e, path+".weights")
	k.rerank(e.Rerank, path+".rerank")
	k.optional(path+".top_k", e.TopK, 1, event.MaxTopK)
	if e.Abstain != nil && !finite(*e.Abstain, 1) {
		k.fail(path+".abstain", "write a part of the question's words, such as 0.5; 0 never abstains", "abstain is %v, want 0 to 1", *e.Abstain)
	}
}

// optional checks a number that may be left out.
func (k *checker) optional(path string, n, least, most int) {
	if n != 0 && (n < least || n > most) || n == 0 && k.has(path) {
		k.fail(path, fmt.Sprintf("write %d to %d, or leave it out", least, most), "%d is out of range", n)
	}
}

// weights checks what each fusion can do.
func (k *checker) weights(e *Collection, path string) {
	for _, f := range []struct {
		name string
		w    float64
	}{{"dense", e.Weights.Dense}, {"bm25", e.Weights.BM25}, {"grams", e.Weights.Grams}} {
		at := path + "." + f.name
		switch {
		case f.w == 0 && k.has(at):
			k.fail(at, "write more than 0, or leave it out", "weight 0")
		case e.Fusion == FusionRRF && !finite(f.w, maxWeight):
			k.fail(at, fmt.Sprintf("write more than 0, at most %d", maxWeight), "weight %v", f.w)
		case e.Fusion != FusionRRF && (!finite(f.w, maxRepeat) || f.w != math.Trunc(f.w)):
			k.fail(at, fmt.Sprintf("write a whole number from 1 to %d, or fusion: rrf, which takes any", maxRepeat), "weight %v", f.w)
		}
	}
}

// rerank checks that something can do it.
func (k *checker) rerank(name, path string) {
	if name == "" || name == RerankLinear || name == RerankNone {
		return
	}
	m, ok := k.c.Model(name)
	if !ok || m.Mode != ModeRerank {
		k.fail(path, "write linear, none, or the id of a model of mode rerank", "no rerank model %q", name)
		return
	}
	if p, ok := k.c.Provider(m.Provider); ok && p.Dialect.Auth != "" && p.Dialect.Rerank == "" {
		k.fail(path, "write override: {rerank: jina} (or cohere, tei) at the provider", "the dialect of %s, which has model %s, names no rerank endpoint", p.ID, m.ID)
	}
}
