package gateway

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
)

// Config is the gateway's settings, from WEIR_GATEWAY_<FIELD_NAME>.
type Config struct {
	// Addr is where the HTTP API listens, host:port.
	Addr string `split_words:"true"`
	// MaxBodyBytes bounds a request's body, but for the upload of a file.
	MaxBodyBytes int64 `split_words:"true"`
	// MaxFileBytes bounds the upload of a file.
	MaxFileBytes int64 `split_words:"true"`
	// HeaderTimeout bounds how long the head of a request may take, BodyGrace how much
	// longer its body may than at 16 KiB a second.
	HeaderTimeout time.Duration `split_words:"true"`
	BodyGrace     time.Duration `split_words:"true"`
	// BatchSlots is how many batches this process runs at once, BatchTenantSlots how
	// many of a tenant all processes do, and BatchWindow how many lines of a batch are
	// submitted and not done.
	BatchSlots       int `split_words:"true"`
	BatchTenantSlots int `split_words:"true"`
	BatchWindow      int `split_words:"true"`
	// BatchDir holds what batches in work need of the disk, up to three times the size
	// of their input; "" is the system's folder for temporary files.
	BatchDir string `split_words:"true"`
	// Model, EmbeddingModel, TopK and ContextTokens are the router's, for quotes.
	Model          string `split_words:"true"`
	EmbeddingModel string `split_words:"true"`
	TopK           int    `split_words:"true"`
	ContextTokens  int    `split_words:"true"`
	// AwaitTimeout bounds how long an OpenAI-compatible request waits for its answer;
	// the job goes on. The official clients wait ten minutes, and would then send the
	// request again as another job: they must be told before that.
	AwaitTimeout time.Duration `split_words:"true"`
	// DrainTimeout is how long requests in work may finish after a stop.
	DrainTimeout time.Duration `split_words:"true"`
}

// DefaultConfig listens on this machine alone.
func DefaultConfig() Config {
	return Config{Addr: "127.0.0.1:8088", MaxBodyBytes: 64 << 20, MaxFileBytes: 200 << 20,
		HeaderTimeout: 10 * time.Second, BodyGrace: 30 * time.Second, BatchSlots: 16, BatchTenantSlots: 4, BatchWindow: 2000,
		Model: "small", EmbeddingModel: "embed", TopK: 8, ContextTokens: 4096,
		AwaitTimeout: 9*time.Minute + 30*time.Second, DrainTimeout: 20 * time.Second}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_GATEWAY"
	if c.MaxBodyBytes < 1 || c.MaxFileBytes < 1 {
		return fmt.Errorf(prefix+"_MAX_BODY_BYTES, _MAX_FILE_BYTES: got %d and %d, want 1 or more", c.MaxBodyBytes, c.MaxFileBytes)
	}
	if err := config.Positive(prefix, config.Int{Name: "BATCH_SLOTS", Value: c.BatchSlots},
		config.Int{Name: "BATCH_TENANT_SLOTS", Value: c.BatchTenantSlots}, config.Int{Name: "BATCH_WINDOW", Value: c.BatchWindow}); err != nil {
		return err
	}
	if c.HeaderTimeout <= 0 || c.BodyGrace <= 0 {
		return fmt.Errorf(prefix+"_HEADER_TIMEOUT, _BODY_GRACE: got %s and %s, want more than 0", c.HeaderTimeout, c.BodyGrace)
	}
	if c.AwaitTimeout <= 0 {
		return fmt.Errorf(prefix+"_AWAIT_TIMEOUT: got %s, want more than 0", c.AwaitTimeout)
	}
	if err := event.CheckName(prefix+"_MODEL", c.Model); err != nil {
		return err
	}
	if err := event.CheckName(prefix+"_EMBEDDING_MODEL", c.EmbeddingModel); err != nil {
		return err
	}
	if c.TopK < 1 || c.ContextTokens < 1 {
		return fmt.Errorf(prefix+"_TOP_K, _CONTEXT_TOKENS: got %d and %d, want 1 or more", c.TopK, c.ContextTokens)
	}
	return nil
}
