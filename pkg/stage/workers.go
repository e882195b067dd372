package stage

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
)

// Workers are the settings that all services of the pipeline have: how many
// messages they work on, how often and for how long. Their Configs embed it.
type Workers struct {
	// InteractiveSlots and BatchSlots are how many messages of each lane this
	// process works on at once.
	InteractiveSlots int `split_words:"true"`
	BatchSlots       int `split_words:"true"`
	// FleetSlots bounds the messages in work of all processes, per tenant and lane.
	FleetSlots int `split_words:"true"`
	// MaxDeliveries is how often a message is tried, crashes included.
	MaxDeliveries int `split_words:"true"`
	// DrainTimeout is how long messages in work may finish after a stop.
	DrainTimeout time.Duration `split_words:"true"`
	// AckWait is how long after a crash another worker gets what was in work; 0 is
	// 30s (bus.AckWait). Workers send signs of life every third of it.
	AckWait time.Duration `split_words:"true"`
}

// DefaultWorkers works on slots messages of each lane, tries each 8 times, and
// drains for 20 s.
func DefaultWorkers(slots int) Workers {
	return Workers{InteractiveSlots: slots, BatchSlots: slots, FleetSlots: 1024, MaxDeliveries: 8, DrainTimeout: 20 * time.Second}
}

// Validate names the environment variable that can't be worked with.
func (w Workers) Validate(prefix string) error {
	if w.AckWait < 0 {
		return fmt.Errorf("%s_ACK_WAIT: got %s, want 0 for the default, or more", prefix, w.AckWait)
	}
	return config.Positive(prefix,
		config.Int{Name: "INTERACTIVE_SLOTS", Value: w.InteractiveSlots}, config.Int{Name: "BATCH_SLOTS", Value: w.BatchSlots},
		config.Int{Name: "FLEET_SLOTS", Value: w.FleetSlots}, config.Int{Name: "MAX_DELIVERIES", Value: w.MaxDeliveries})
}

// Stage is the Config of a stage with a consumer per lane; consumer makes one that
// lets at most fleet messages of a tenant be in work.
func (w Workers) Stage(name string, consumer func(lane event.Lane, fleet int) bus.Consumer) Config {
	source := func(lane event.Lane, slots int) Source {
		c := consumer(lane, w.FleetSlots)
		c.AckWait = w.AckWait
		return Source{Consumer: c, Slots: slots}
	}
	return Config{
		Name:          name,
		Sources:       []Source{source(event.LaneInteractive, w.InteractiveSlots), source(event.LaneBatch, w.BatchSlots)},
		MaxDeliveries: w.MaxDeliveries, DrainTimeout: w.DrainTimeout,
	}
}
