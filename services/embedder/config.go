package embedder

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// Config is the embedder's settings, from WEIR_EMBEDDER_<FIELD_NAME>.
type Config struct {
	// Model is the embedding model of the catalog; the router must have the same.
	Model string `split_words:"true"`
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
	// QueryTimeout bounds the embedding of a question, the wait for the limits
	// included.
	QueryTimeout time.Duration `split_words:"true"`
	// Workers says how many documents this process has in work.
	stage.Workers
}

// DefaultConfig expects Qdrant at port 6334 of this machine, where `weir dev
// qdrant` listens.
func DefaultConfig() Config {
	return Config{
		Model: "embed", QdrantAddr: "127.0.0.1:6334", BatchItems: 128, BatchBytes: 256 << 10, Linger: 5 * time.Millisecond, Calls: 4,
		QueryTimeout: time.Minute,
		Workers:      stage.DefaultWorkers(16),
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_EMBEDDER"
	if err := event.CheckName(prefix+"_MODEL", c.Model); err != nil {
		return err
	}
	if err := config.Positive(prefix,
		config.Int{Name: "BATCH_ITEMS", Value: c.BatchItems},
		config.Int{Name: "BATCH_BYTES", Value: c.BatchBytes},
		config.Int{Name: "CALLS", Value: c.Calls}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	if c.QueryTimeout <= 0 {
		return fmt.Errorf(prefix+"_QUERY_TIMEOUT: got %s, want more than 0", c.QueryTimeout)
	}
	return nil
}
