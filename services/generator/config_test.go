package generator

import (
	"strings"
	"testing"
)

func TestDefaultConfigIsValid(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

// TestConfigErrorsNameTheVariable: and the value.
func TestConfigErrorsNameTheVariable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		variable, value string
		change          func(*Config)
	}{
		{"WEIR_GENERATOR_MODEL", "missing", func(c *Config) { c.Model = "" }},
		{"WEIR_GENERATOR_MODEL", `"gpt.4"`, func(c *Config) { c.Model = "gpt.4" }},
		{"WEIR_GENERATOR_MAX_TOKENS", "got 0", func(c *Config) { c.MaxTokens = 0 }},
		{"WEIR_GENERATOR_INTERACTIVE_SLOTS", "got -1", func(c *Config) { c.InteractiveSlots = -1 }},
		{"WEIR_GENERATOR_BATCH_SLOTS", "got 0", func(c *Config) { c.BatchSlots = 0 }},
		{"WEIR_GENERATOR_FLEET_SLOTS", "got 0", func(c *Config) { c.FleetSlots = 0 }},
		{"WEIR_GENERATOR_MAX_DELIVERIES", "got 0", func(c *Config) { c.MaxDeliveries = 0 }},
	} {
		cfg := DefaultConfig()
		tc.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), tc.variable) || !strings.Contains(err.Error(), tc.value) {
			t.Errorf("error %v, want one with %s and %s", err, tc.variable, tc.value)
		}
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	if chat, err := Dial(DefaultConfig()); err != nil || chat == nil {
		t.Errorf("chat %v, error %v", chat, err)
	}
	cfg := DefaultConfig()
	cfg.ProviderURL = "provider:8087"
	if _, err := Dial(cfg); err == nil || !strings.Contains(err.Error(), "provider:8087") {
		t.Errorf("error %v, want one with the URL", err)
	}
}
