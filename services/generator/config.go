package generator

import (
	"fmt"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// Config is the generator's settings, from WEIR_GENERATOR_<FIELD_NAME>. What
// there is to know of models is in the catalog.
type Config struct {
	// Models are the chat models of the catalog that this process serves, comma
	// separated; none serves all.
	Models []string `split_words:"true"`
	// Waiting is how many tasks of a model and lane may wait here for a place in the
	// provider's limits; all others wait in the stream.
	Waiting int `split_words:"true"`
	// Workers says how many calls of each model this process has in work.
	stage.Workers
}

// DefaultConfig serves all chat models.
func DefaultConfig() Config { return Config{Waiting: 4, Workers: stage.DefaultWorkers(32)} }

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_GENERATOR"
	for _, model := range c.Models {
		if err := event.CheckName(prefix+"_MODELS", model); err != nil {
			return err
		}
	}
	if c.Waiting < 0 {
		return fmt.Errorf(prefix+"_WAITING: got %d, want 0 (no bound) or more", c.Waiting)
	}
	return c.Workers.Validate(prefix)
}
