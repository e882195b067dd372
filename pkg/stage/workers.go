package stage

import (
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
}

// DefaultWorkers works on slots messages of each lane, tries each 8 times, and
// drains for 20 s.
func DefaultWorkers(slots int) Workers {
	return Workers{InteractiveSlots: slots, BatchSlots: slots, FleetSlots: 1024, MaxDeliveries: 8, DrainTimeout: 20 * time.Second}
}

// Validate names the environment variable that can't be worked with.
func (w Workers) Validate(prefix string) error {
	return config.Positive(prefix,
		config.Int{Name: "INTERACTIVE_SLOTS", Value: w.InteractiveSlots}, config.Int{Name: "BATCH_SLOTS", Value: w.BatchSlots},
		config.Int{Name: "FLEET_SLOTS", Value: w.FleetSlots}, config.Int{Name: "MAX_DELIVERIES", Value: w.MaxDeliveries})
}

// Stage is the Config of a stage with a consumer per lane; consumer makes one that
// lets at most fleet messages of a tenant be in work.
func (w Workers) Stage(name string, consumer func(lane event.Lane, fleet int) bus.Consumer) Config {
	return Config{
		Name: name,
		Sources: []Source{
			{Consumer: consumer(event.LaneInteractive, w.FleetSlots), Slots: w.InteractiveSlots},
			{Consumer: consumer(event.LaneBatch, w.FleetSlots), Slots: w.BatchSlots},
		},
		MaxDeliveries: w.MaxDeliveries, DrainTimeout: w.DrainTimeout,
	}
}
