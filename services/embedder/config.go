package embedder

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
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
	// BatchItems, BatchTokens and BatchBytes bound one call to the provider, beside
	// what the catalog says of the model.
	BatchItems  int `split_words:"true"`
	BatchTokens int `split_words:"true"`
	BatchBytes  int `split_words:"true"`
	// Linger is how long a call waits to be filled up with other documents' chunks;
	// 0 sends what there is.
	Linger time.Duration `split_words:"true"`
	// Calls is how many calls to the provider this process makes at once for the
	// documents of a lane. With fewer than 2 the provider idles between calls.
	Calls int `split_words:"true"`
	// QueryLinger is how long a question waits for others to share its call with,
	// while another call is under way.
	QueryLinger time.Duration `split_words:"true"`
	// QueryCalls is how many calls this process makes at once for questions, and how
	// many for each rerank model.
	QueryCalls int `split_words:"true"`
	// QueryTimeout bounds the embedding of a question and the reranking of what it
	// found, each with the wait for the limits.
	QueryTimeout time.Duration `split_words:"true"`
	// Workers says how many documents this process has in work.
	stage.Workers
}

// DefaultConfig expects Qdrant at port 6334 of this machine, where `weir dev
// qdrant` listens.
func DefaultConfig() Config {
	return Config{
		Model: "embed", QdrantAddr: "127.0.0.1:6334",
		BatchItems: 512, BatchTokens: 150_000, BatchBytes: 1 << 20, Linger: 5 * time.Millisecond, Calls: 4,
		QueryLinger: 2 * time.Millisecond, QueryCalls: 4, QueryTimeout: time.Minute,
		Workers: stage.DefaultWorkers(16),
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
		config.Int{Name: "BATCH_TOKENS", Value: c.BatchTokens},
		config.Int{Name: "BATCH_BYTES", Value: c.BatchBytes},
		config.Int{Name: "CALLS", Value: c.Calls},
		config.Int{Name: "QUERY_CALLS", Value: c.QueryCalls}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	switch {
	case c.Linger < 0:
		return fmt.Errorf(prefix+"_LINGER: got %s, want 0 or more", c.Linger)
	case c.QueryLinger < 0:
		return fmt.Errorf(prefix+"_QUERY_LINGER: got %s, want 0 or more", c.QueryLinger)
	case c.QueryTimeout <= 0:
		return fmt.Errorf(prefix+"_QUERY_TIMEOUT: got %s, want more than 0", c.QueryTimeout)
	}
	return nil
}

// batch is the batcher's part of the settings.
func (c Config) batch() batch.Config {
	return batch.Config{
		Limits: batch.Limits{Items: c.BatchItems, Tokens: c.BatchTokens, Bytes: c.BatchBytes},
		Linger: c.Linger, QueryLinger: c.QueryLinger, Calls: c.Calls, QueryCalls: c.QueryCalls,
	}
}
