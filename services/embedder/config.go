package embedder

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
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
	// Workers says how many documents this process has in work.
	stage.Workers
}

// DefaultConfig expects the provider at port 8087 and Qdrant at port 6334 of
// this machine, where `weir dev llmsim` and `weir dev qdrant` listen.
func DefaultConfig() Config {
	return Config{
		Model: "embed", ProviderURL: "http://127.0.0.1:8087/v1", ProviderModel: "sim-embed", Dimensions: 1024,
		QdrantAddr: "127.0.0.1:6334", BatchItems: 128, BatchBytes: 256 << 10, Linger: 5 * time.Millisecond, Calls: 4,
		CallTimeout: time.Minute,
		Workers:     stage.DefaultWorkers(16),
	}
}

// Index is where the model's vectors are kept.
func (c Config) Index() vector.Index {
	return vector.Index{Name: vector.DefaultIndex, Model: c.Model, Dimension: c.Dimensions}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_EMBEDDER"
	if err := event.CheckName(prefix+"_MODEL", c.Model); err != nil {
		return err
	}
	if err := config.Positive(prefix,
		config.Int{Name: "DIMENSIONS", Value: c.Dimensions},
		config.Int{Name: "BATCH_ITEMS", Value: c.BatchItems},
		config.Int{Name: "BATCH_BYTES", Value: c.BatchBytes},
		config.Int{Name: "CALLS", Value: c.Calls}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	if c.CallTimeout <= 0 {
		return fmt.Errorf(prefix+"_CALL_TIMEOUT: got %s, want more than 0", c.CallTimeout)
	}
	return nil
}
