package generator

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
)

// Config is the generator's settings, from WEIR_GENERATOR_<FIELD_NAME>.
type Config struct {
	// Model is the pipeline's name for the model; tasks are addressed to it.
	Model string `split_words:"true"`
	// ProviderURL is the base URL of an OpenAI-compatible endpoint, /v1 included.
	ProviderURL string `split_words:"true"`
	// ProviderKey is sent as the bearer token; "" sends none.
	ProviderKey config.Secret `split_words:"true"`
	// ProviderModel is the provider's name for the model.
	ProviderModel string `split_words:"true"`
	// MaxTokens bounds an answer when the job does not. Default 1024.
	MaxTokens int `split_words:"true"`
	// PromptPrice and CompletionPrice are in nano-USD per token.
	PromptPrice     int64 `split_words:"true"`
	CompletionPrice int64 `split_words:"true"`
	// FirstTokenTimeout, IdleTimeout and CallTimeout bound the wait for the
	// first token, between two, and for the whole answer.
	FirstTokenTimeout time.Duration `split_words:"true"`
	IdleTimeout       time.Duration `split_words:"true"`
	CallTimeout       time.Duration `split_words:"true"`
	// InteractiveSlots and BatchSlots are how many calls of each lane this
	// process makes at once.
	InteractiveSlots int `split_words:"true"`
	BatchSlots       int `split_words:"true"`
	// FleetCalls bounds the calls of all processes together, per lane.
	FleetCalls int `split_words:"true"`
	// MaxDeliveries is how often a task is tried, crashes included.
	MaxDeliveries int `split_words:"true"`
	// DrainTimeout is how long calls may finish after a stop.
	DrainTimeout time.Duration `split_words:"true"`
}

// DefaultConfig expects a provider on this machine at port 8087, where
// `weir dev llmsim` listens.
func DefaultConfig() Config {
	return Config{
		Model: "small", ProviderURL: "http://127.0.0.1:8087/v1", ProviderModel: "sim-small", MaxTokens: 1024,
		FirstTokenTimeout: 30 * time.Second, IdleTimeout: 20 * time.Second, CallTimeout: 3 * time.Minute,
		InteractiveSlots: 32, BatchSlots: 32, FleetCalls: 1024, MaxDeliveries: 8, DrainTimeout: 20 * time.Second,
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	if err := event.CheckName("WEIR_GENERATOR_MODEL", c.Model); err != nil {
		return err
	}
	for _, s := range []struct {
		name  string
		value int
	}{
		{"MAX_TOKENS", c.MaxTokens}, {"INTERACTIVE_SLOTS", c.InteractiveSlots}, {"BATCH_SLOTS", c.BatchSlots},
		{"FLEET_CALLS", c.FleetCalls}, {"MAX_DELIVERIES", c.MaxDeliveries},
	} {
		if s.value < 1 {
			return fmt.Errorf("WEIR_GENERATOR_%s: got %d, want at least 1", s.name, s.value)
		}
	}
	return nil
}
