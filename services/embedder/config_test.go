package embedder

import (
	"testing"

	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

// TestConfigErrorsNameTheVariable: and the value; the defaults are valid.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	stagetest.WrongConfigs[Config]{
		{"WEIR_EMBEDDER_MODEL", "missing"}:           func(c *Config) { c.Model = "" },
		{"WEIR_EMBEDDER_MODEL", `"a.b"`}:             func(c *Config) { c.Model = "a.b" },
		{"WEIR_EMBEDDER_BATCH_ITEMS", "got 0"}:       func(c *Config) { c.BatchItems = 0 },
		{"WEIR_EMBEDDER_BATCH_BYTES", "got -5"}:      func(c *Config) { c.BatchBytes = -5 },
		{"WEIR_EMBEDDER_BATCH_TOKENS", "got 0"}:      func(c *Config) { c.BatchTokens = 0 },
		{"WEIR_EMBEDDER_CALLS", "got 0"}:             func(c *Config) { c.Calls = 0 },
		{"WEIR_EMBEDDER_QUERY_CALLS", "got 0"}:       func(c *Config) { c.QueryCalls = 0 },
		{"WEIR_EMBEDDER_LINGER", "got -1ns"}:         func(c *Config) { c.Linger = -1 },
		{"WEIR_EMBEDDER_QUERY_LINGER", "got -1ns"}:   func(c *Config) { c.QueryLinger = -1 },
		{"WEIR_EMBEDDER_QUERY_TIMEOUT", "got 0s"}:    func(c *Config) { c.QueryTimeout = 0 },
		{"WEIR_EMBEDDER_INTERACTIVE_SLOTS", "got 0"}: func(c *Config) { c.InteractiveSlots = 0 },
		{"WEIR_EMBEDDER_BATCH_SLOTS", "got 0"}:       func(c *Config) { c.BatchSlots = 0 },
		{"WEIR_EMBEDDER_FLEET_SLOTS", "got 0"}:       func(c *Config) { c.FleetSlots = 0 },
		{"WEIR_EMBEDDER_MAX_DELIVERIES", "got 0"}:    func(c *Config) { c.MaxDeliveries = 0 },
	}.Check(t, DefaultConfig, Config.Validate)
}

// TestBatchSettings reach the batcher.
func TestBatchSettings(t *testing.T) {
	t.Parallel()
	c := Config{BatchItems: 1, BatchTokens: 2, BatchBytes: 3, Linger: 4, QueryLinger: 5, Calls: 6, QueryCalls: 7}
	if got, want := c.batch(), (batch.Config{Limits: batch.Limits{Items: 1, Tokens: 2, Bytes: 3}, Linger: 4, QueryLinger: 5, Calls: 6, QueryCalls: 7}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDialStore(t *testing.T) {
	t.Parallel()
	if store, err := DialStore(DefaultConfig()); err != nil || store == nil {
		t.Errorf("store %v, error %v", store, err)
	}
	cfg := DefaultConfig()
	cfg.QdrantAddr = "no-port"
	_, err := DialStore(cfg)
	stagetest.ErrorHas(t, err, "no-port")
}
