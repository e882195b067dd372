package router

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Config is the router's settings, from WEIR_ROUTER_<FIELD_NAME>.
type Config struct {
	// Model is the model jobs are sent to; a generator of that name must run.
	Model string `split_words:"true"`
	// EmbeddingModel and Dimensions are those of the embedder.
	EmbeddingModel string `split_words:"true"`
	Dimensions     int    `split_words:"true"`
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
	// RetrieveTimeout bounds the embedding of the query and the search, each.
	RetrieveTimeout time.Duration `split_words:"true"`
	// InteractiveSlots and BatchSlots are how many jobs of each lane this
	// process plans at once.
	InteractiveSlots int `split_words:"true"`
	BatchSlots       int `split_words:"true"`
	// FleetJobs bounds the jobs in planning of all processes, per lane.
	FleetJobs int `split_words:"true"`
	// MaxDeliveries is how often a job is tried, crashes included.
	MaxDeliveries int `split_words:"true"`
	// DrainTimeout is how long jobs in planning may finish after a stop.
	DrainTimeout time.Duration `split_words:"true"`
}

// DefaultConfig fits the other services' defaults.
func DefaultConfig() Config {
	return Config{
		Model: "small", EmbeddingModel: "embed", Dimensions: 1024, QdrantAddr: "127.0.0.1:6334",
		TopK: 8, ContextBytes: 16 << 10, RetrieveTimeout: 10 * time.Second,
		InteractiveSlots: 64, BatchSlots: 32, FleetJobs: 1024, MaxDeliveries: 8, DrainTimeout: 20 * time.Second,
	}
}

// Index is where the sources are found.
func (c Config) Index() vector.Index {
	return vector.Index{Name: vector.DefaultIndex, Model: c.EmbeddingModel, Dimension: c.Dimensions}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	if err := event.CheckName("WEIR_ROUTER_MODEL", c.Model); err != nil {
		return err
	}
	if err := event.CheckName("WEIR_ROUTER_EMBEDDING_MODEL", c.EmbeddingModel); err != nil {
		return err
	}
	for _, s := range []struct {
		name  string
		value int
	}{
		{"DIMENSIONS", c.Dimensions}, {"TOP_K", c.TopK}, {"CONTEXT_BYTES", c.ContextBytes},
		{"INTERACTIVE_SLOTS", c.InteractiveSlots}, {"BATCH_SLOTS", c.BatchSlots},
		{"FLEET_JOBS", c.FleetJobs}, {"MAX_DELIVERIES", c.MaxDeliveries},
	} {
		if s.value < 1 {
			return fmt.Errorf("WEIR_ROUTER_%s: got %d, want at least 1", s.name, s.value)
		}
	}
	if c.RetrieveTimeout <= 0 {
		return fmt.Errorf("WEIR_ROUTER_RETRIEVE_TIMEOUT: got %s, want more than 0", c.RetrieveTimeout)
	}
	if c.TopK > event.MaxTopK {
		return fmt.Errorf("WEIR_ROUTER_TOP_K: got %d, want at most %d", c.TopK, event.MaxTopK)
	}
	return nil
}
