package notifier

import (
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"SLOTS":         func(c *Config) { c.Slots = 0 },
		"TENANT_SLOTS":  func(c *Config) { c.TenantSlots = -1 },
		"TIMEOUT":       func(c *Config) { c.Timeout = time.Minute },
		"GIVE_UP_AFTER": func(c *Config) { c.GiveUpAfter = 30 * 24 * time.Hour },
		"BREAK_FOR":     func(c *Config) { c.BreakFor = 0 },
		"SCHEDULE":      func(c *Config) { c.Schedule = []time.Duration{-1} },
		"PORTS":         func(c *Config) { c.Ports = []uint16{0} },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "WEIR_NOTIFIER_"+name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
