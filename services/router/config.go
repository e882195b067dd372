package router

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// Config is the router's settings, from WEIR_ROUTER_<FIELD_NAME>.
type Config struct {
	// Model is the chat model of the catalog for jobs that name none.
	Model string `split_words:"true"`
	// EmbeddingModel is the embedder's.
	EmbeddingModel string `split_words:"true"`
	// QdrantAddr is the host:port of Qdrant's gRPC API.
	QdrantAddr string `split_words:"true"`
	// QdrantKey is Qdrant's API key; "" sends none.
	QdrantKey config.Secret `split_words:"true"`
	// QdrantTLS turns TLS on.
	QdrantTLS bool `split_words:"true"`
	// TopK is how many chunks a job is shown when it does not say.
	TopK int `split_words:"true"`
	// ContextBytes bounds the sources of one prompt; what is over is left out,
	// the worst first.
	ContextBytes int `split_words:"true"`
	// RetrieveTimeout bounds the search, and the silence of the embedder: one that
	// waits for its provider's limits says so.
	RetrieveTimeout time.Duration `split_words:"true"`
	// Workers says how many jobs this process has in work.
	stage.Workers
}

// DefaultConfig fits the other services' defaults.
func DefaultConfig() Config {
	return Config{
		Model: "small", EmbeddingModel: "embed", QdrantAddr: "127.0.0.1:6334",
		TopK: 8, ContextBytes: 16 << 10, RetrieveTimeout: 10 * time.Second,
		Workers: stage.DefaultWorkers(64),
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_ROUTER"
	if err := event.CheckName(prefix+"_MODEL", c.Model); err != nil {
		return err
	}
	if err := event.CheckName(prefix+"_EMBEDDING_MODEL", c.EmbeddingModel); err != nil {
		return err
	}
	if err := config.Positive(prefix,
		config.Int{Name: "TOP_K", Value: c.TopK},
		config.Int{Name: "CONTEXT_BYTES", Value: c.ContextBytes}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	if c.RetrieveTimeout <= 0 {
		return fmt.Errorf(prefix+"_RETRIEVE_TIMEOUT: got %s, want more than 0", c.RetrieveTimeout)
	}
	if c.TopK > event.MaxTopK {
		return fmt.Errorf(prefix+"_TOP_K: got %d, want at most %d", c.TopK, event.MaxTopK)
	}
	return nil
}
