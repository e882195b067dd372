package router

import (
	"testing"

	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestConfigErrorsNameTheVariable: and the value; the defaults are valid.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	stagetest.WrongConfigs[Config]{
		{"WEIR_ROUTER_MODEL", "missing"}:           func(c *Config) { c.Model = "" },
		{"WEIR_ROUTER_EMBEDDING_MODEL", `"a b"`}:   func(c *Config) { c.EmbeddingModel = "a b" },
		{"WEIR_ROUTER_TOP_K", "got 0"}:             func(c *Config) { c.TopK = 0 },
		{"WEIR_ROUTER_TOP_K", "got 101"}:           func(c *Config) { c.TopK = 101 },
		{"WEIR_ROUTER_CONTEXT_TOKENS", "got -1"}:   func(c *Config) { c.ContextTokens = -1 },
		{"WEIR_ROUTER_ABSTAIN_BELOW", "got 1.5"}:   func(c *Config) { c.AbstainBelow = 1.5 },
		{"WEIR_ROUTER_ABSTAIN_BELOW", "got -0.5"}:  func(c *Config) { c.AbstainBelow = -0.5 },
		{"WEIR_ROUTER_RETRIEVE_TIMEOUT", "got 0s"}: func(c *Config) { c.RetrieveTimeout = 0 },
		{"WEIR_ROUTER_INTERACTIVE_SLOTS", "got 0"}: func(c *Config) { c.InteractiveSlots = 0 },
		{"WEIR_ROUTER_BATCH_SLOTS", "got 0"}:       func(c *Config) { c.BatchSlots = 0 },
		{"WEIR_ROUTER_FLEET_SLOTS", "got 0"}:       func(c *Config) { c.FleetSlots = 0 },
		{"WEIR_ROUTER_MAX_DELIVERIES", "got 0"}:    func(c *Config) { c.MaxDeliveries = 0 },
	}.Check(t, DefaultConfig, Config.Validate)
}

func TestDial(t *testing.T) {
	t.Parallel()
	if store, err := Dial(DefaultConfig()); err != nil || store == nil {
		t.Errorf("store %v, error %v", store, err)
	}
	cfg := DefaultConfig()
	cfg.QdrantAddr = "no-port"
	_, err := Dial(cfg)
	stagetest.ErrorHas(t, err, "no-port")
}
