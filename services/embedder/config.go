package embedder

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Config is the embedder's settings, from WEIR_EMBEDDER_<FIELD_NAME>.
type Config struct {
	// Model is the pipeline's name for the embedding model; it must be the same
	// in the ingestor and the router.
	Model string `split_words:"true"`
	// ProviderURL is the base URL of an OpenAI-compatible endpoint, /v1 included.
	ProviderURL string `split_words:"true"`
	// ProviderKey is sent as the bearer token; "" sends none.
	ProviderKey config.Secret `split_words:"true"`
	// ProviderModel is the provider's name for the model.
	ProviderModel string `split_words:"true"`
	// Dimensions of the vectors; the same in the router.
	Dimensions int `split_words:"true"`
	// Price is in nano-USD per token.
	Price int64 `split_words:"true"`
	// QdrantAddr is the host:port of Qdrant's gRPC API.
	QdrantAddr string `split_words:"true"`
	// QdrantKey is Qdrant's API key; "" sends none.
	QdrantKey config.Secret `split_words:"true"`
	// QdrantTLS turns TLS on.
	QdrantTLS bool `split_words:"true"`
	// BatchItems and BatchBytes bound one call to the provider.
	BatchItems int `split_words:"true"`
	BatchBytes int `split_words:"true"`
	// Linger is how long a call waits to be filled up with other documents' chunks.
	Linger time.Duration `split_words:"true"`
	// Calls is how many calls to the provider this process makes at once.
	Calls int `split_words:"true"`
	// CallTimeout bounds one call.
	CallTimeout time.Duration `split_words:"true"`
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

// DefaultConfig expects the provider at port 8087 and Qdrant at port 6334 of
// this machine, where `weir dev llmsim` and `weir dev qdrant` listen.
func DefaultConfig() Config {
	return Config{
		Model: "embed", ProviderURL: "http://127.0.0.1:8087/v1", ProviderModel: "sim-embed", Dimensions: 1024,
		QdrantAddr: "127.0.0.1:6334", BatchItems: 128, BatchBytes: 256 << 10, Linger: 5 * time.Millisecond, Calls: 4,
		CallTimeout: time.Minute, InteractiveSlots: 16, BatchSlots: 16, FleetDocuments: 1024, MaxDeliveries: 8,
		DrainTimeout: 20 * time.Second,
	}
}

// Index is where the model's vectors are kept.
func (c Config) Index() vector.Index {
	return vector.Index{Name: vector.DefaultIndex, Model: c.Model, Dimension: c.Dimensions}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	if err := event.CheckName("WEIR_EMBEDDER_MODEL", c.Model); err != nil {
		return err
	}
	for _, s := range []struct {
		name  string
		value int
	}{
		{"DIMENSIONS", c.Dimensions}, {"BATCH_ITEMS", c.BatchItems}, {"BATCH_BYTES", c.BatchBytes}, {"CALLS", c.Calls},
		{"INTERACTIVE_SLOTS", c.InteractiveSlots}, {"BATCH_SLOTS", c.BatchSlots},
		{"FLEET_DOCUMENTS", c.FleetDocuments}, {"MAX_DELIVERIES", c.MaxDeliveries},
	} {
		if s.value < 1 {
			return fmt.Errorf("WEIR_EMBEDDER_%s: got %d, want at least 1", s.name, s.value)
		}
	}
	if c.CallTimeout <= 0 {
		return fmt.Errorf("WEIR_EMBEDDER_CALL_TIMEOUT: got %s, want more than 0", c.CallTimeout)
	}
	return nil
}
