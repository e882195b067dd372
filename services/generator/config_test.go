package generator

import (
	"testing"

	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestConfigErrorsNameTheVariable: and the value; the defaults are valid.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	stagetest.WrongConfigs[Config]{
		{"WEIR_GENERATOR_MODEL", "missing"}:            func(c *Config) { c.Model = "" },
		{"WEIR_GENERATOR_MODEL", `"gpt.4"`}:            func(c *Config) { c.Model = "gpt.4" },
		{"WEIR_GENERATOR_MAX_TOKENS", "got 0"}:         func(c *Config) { c.MaxTokens = 0 },
		{"WEIR_GENERATOR_INTERACTIVE_SLOTS", "got -1"}: func(c *Config) { c.InteractiveSlots = -1 },
		{"WEIR_GENERATOR_BATCH_SLOTS", "got 0"}:        func(c *Config) { c.BatchSlots = 0 },
		{"WEIR_GENERATOR_FLEET_SLOTS", "got 0"}:        func(c *Config) { c.FleetSlots = 0 },
		{"WEIR_GENERATOR_MAX_DELIVERIES", "got 0"}:     func(c *Config) { c.MaxDeliveries = 0 },
	}.Check(t, DefaultConfig, Config.Validate)
}

func TestDial(t *testing.T) {
	t.Parallel()
	if chat, err := Dial(DefaultConfig()); err != nil || chat == nil {
		t.Errorf("chat %v, error %v", chat, err)
	}
	cfg := DefaultConfig()
	cfg.ProviderURL = "provider:8087"
	_, err := Dial(cfg)
	stagetest.ErrorHas(t, err, "provider:8087")
}
