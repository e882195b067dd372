package generator

import (
	"testing"

	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestConfigErrorsNameTheVariable: and the value; the defaults are valid.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	stagetest.WrongConfigs[Config]{
		{"WEIR_GENERATOR_MODELS", `"gpt.4"`}:           func(c *Config) { c.Models = []string{"small", "gpt.4"} },
		{"WEIR_GENERATOR_WAITING", "got -1"}:           func(c *Config) { c.Waiting = -1 },
		{"WEIR_GENERATOR_INTERACTIVE_SLOTS", "got -1"}: func(c *Config) { c.InteractiveSlots = -1 },
		{"WEIR_GENERATOR_BATCH_SLOTS", "got 0"}:        func(c *Config) { c.BatchSlots = 0 },
		{"WEIR_GENERATOR_FLEET_SLOTS", "got 0"}:        func(c *Config) { c.FleetSlots = 0 },
		{"WEIR_GENERATOR_MAX_DELIVERIES", "got 0"}:     func(c *Config) { c.MaxDeliveries = 0 },
	}.Check(t, DefaultConfig, Config.Validate)
}
