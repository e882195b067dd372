package stage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

func newRunner(t *testing.T, b *bus.Bus, cfg stage.Config, h stage.Handler) (*stage.Runner, error) {
	t.Helper()
	return stage.New(cfg, b, h, platform.Platform{})
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	got := stage.Config{}.WithDefaults()
	if got.Timeout != 5*time.Minute || got.MaxDeliveries != 8 || got.BackoffBase != 500*time.Millisecond ||
		got.BackoffCap != 30*time.Second || got.DrainTimeout != 20*time.Second {
		t.Errorf("got %+v", got)
	}
	cfg := stage.Config{Timeout: 1, MaxDeliveries: 2, BackoffBase: 3, BackoffCap: 4, DrainTimeout: 5}
	if kept := cfg.WithDefaults(); kept.Timeout != 1 || kept.MaxDeliveries != 2 || kept.BackoffBase != 3 || kept.BackoffCap != 4 || kept.DrainTimeout != 5 {
		t.Errorf("got %+v", kept)
	}
}

func TestConfigNamesTheWrongField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	good := config()
	for name, change := range map[string]func(*stage.Config){
		"Name":          func(c *stage.Config) { c.Name = "" },
		"Sources":       func(c *stage.Config) { c.Sources = nil },
		"Slots":         func(c *stage.Config) { c.Sources = []stage.Source{source(event.LaneBatch, 0)} },
		"Waiting":       func(c *stage.Config) { c.Sources = []stage.Source{waiting(1, -1)} },
		"MaxDeliveries": func(c *stage.Config) { c.MaxDeliveries = -1 },
	} {
		cfg := good
		change(&cfg)
		if _, err := newRunner(t, b, cfg, mustNotRun(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
