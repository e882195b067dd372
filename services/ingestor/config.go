package ingestor

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

// Config is the ingestor's settings, from WEIR_INGESTOR_<FIELD_NAME>.
type Config struct {
	// EmbeddingModel is the embedder to send chunks to.
	EmbeddingModel string `split_words:"true"`
	// Encoding is the token encoding of the embedding model: o200k_base or
	// cl100k_base.
	Encoding string `split_words:"true"`
	// ChunkTokens is the hard limit of a chunk; ChunkOverlap is how many tokens
	// at most it repeats of the one before.
	ChunkTokens  int `split_words:"true"`
	ChunkOverlap int `split_words:"true"`
	// MaxDocumentBytes is the largest document.
	MaxDocumentBytes int `split_words:"true"`
	// InteractiveSlots and BatchSlots are how many documents of each lane this
	// process has in work.
	InteractiveSlots int `split_words:"true"`
	BatchSlots       int `split_words:"true"`
	// FleetDocuments bounds the documents in work of all processes, per lane.
	FleetDocuments int `split_words:"true"`
	// MaxDeliveries is how often a document is tried, crashes included.
	MaxDeliveries int `split_words:"true"`
	// DrainTimeout is how long documents may finish after a stop.
	DrainTimeout time.Duration `split_words:"true"`
}

// DefaultConfig fits the other services' defaults.
func DefaultConfig() Config {
	return Config{
		EmbeddingModel: "embed", Encoding: "cl100k_base", ChunkTokens: 256, ChunkOverlap: 32,
		MaxDocumentBytes: parse.DefaultMaxBytes, InteractiveSlots: 8, BatchSlots: 8, FleetDocuments: 1024,
		MaxDeliveries: 8, DrainTimeout: 20 * time.Second,
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	if err := event.CheckName("WEIR_INGESTOR_EMBEDDING_MODEL", c.EmbeddingModel); err != nil {
		return err
	}
	for _, s := range []struct {
		name  string
		value int
	}{
		{"MAX_DOCUMENT_BYTES", c.MaxDocumentBytes}, {"INTERACTIVE_SLOTS", c.InteractiveSlots},
		{"BATCH_SLOTS", c.BatchSlots}, {"FLEET_DOCUMENTS", c.FleetDocuments}, {"MAX_DELIVERIES", c.MaxDeliveries},
	} {
		if s.value < 1 {
			return fmt.Errorf("WEIR_INGESTOR_%s: got %d, want at least 1", s.name, s.value)
		}
	}
	return nil
}
