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
	// ContextTokens bounds the sources of one prompt, within the model's context;
	// what is over is left out, the worst first.
	ContextTokens int `split_words:"true"`
	// AbstainBelow is the part of a question's words that the passages must cover
	// for a model to be asked; -1 is 0.5 when only words were searched and 0, which
	// always asks, when there is a real embedding model.
	AbstainBelow float64 `split_words:"true"`
	// RetrieveTimeout bounds the search, and the silence of the embedder: one that
	// waits for its provider's limits says so.
	RetrieveTimeout time.Duration `split_words:"true"`
	// InteractiveDepth and BatchDepth are how many tasks of a model and tenant may
	// wait for its generators; the jobs over that wait for their turn here.
	InteractiveDepth int `split_words:"true"`
	BatchDepth       int `split_words:"true"`
	// Window is how many jobs of a tenant and lane wait here; those over that are
	// left to the intake, unseen.
	Window int `split_words:"true"`
	// Workers says how many jobs this process has in work.
	stage.Workers
}

// DefaultConfig fits the other services' defaults.
func DefaultConfig() Config {
	return Config{
		Model: "small", EmbeddingModel: "embed", QdrantAddr: "127.0.0.1:6334",
		TopK: 8, ContextTokens: 4096, AbstainBelow: -1, RetrieveTimeout: 10 * time.Second,
		InteractiveDepth: 64, BatchDepth: 256, Window: 256,
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
		config.Int{Name: "CONTEXT_TOKENS", Value: c.ContextTokens},
		config.Int{Name: "INTERACTIVE_DEPTH", Value: c.InteractiveDepth},
		config.Int{Name: "BATCH_DEPTH", Value: c.BatchDepth},
		config.Int{Name: "WINDOW", Value: c.Window}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	if c.RetrieveTimeout <= 0 {
		return fmt.Errorf(prefix+"_RETRIEVE_TIMEOUT: got %s, want more than 0", c.RetrieveTimeout)
	}
	if a := c.AbstainBelow; a != -1 && (a < 0 || a > 1) {
		return fmt.Errorf(prefix+"_ABSTAIN_BELOW: got %g, want 0 to 1, or -1 for the default", a)
	}
	if c.TopK > event.MaxTopK {
		return fmt.Errorf(prefix+"_TOP_K: got %d, want at most %d", c.TopK, event.MaxTopK)
	}
	return nil
}
