package generator

import (
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/config"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/stage"
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
	// MaxTokensField is the provider's name of that bound: max_tokens, or
	// max_completion_tokens (OpenAI's reasoning models).
	MaxTokensField string `split_words:"true"`
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
	// Workers says how many calls this process has in work.
	stage.Workers
}

// DefaultConfig expects a provider on this machine at port 8087, where
// `weir dev llmsim` listens.
func DefaultConfig() Config {
	return Config{
		Model: "small", ProviderURL: "http://127.0.0.1:8087/v1", ProviderModel: "sim-small", MaxTokens: 1024, MaxTokensField: openai.MaxTokens,
		FirstTokenTimeout: 30 * time.Second, IdleTimeout: 20 * time.Second, CallTimeout: 3 * time.Minute,
		Workers: stage.DefaultWorkers(32),
	}
}

// Validate names the setting that can't be worked with.
func (c Config) Validate() error {
	const prefix = "WEIR_GENERATOR"
	if err := event.CheckName(prefix+"_MODEL", c.Model); err != nil {
		return err
	}
	if err := config.Positive(prefix, config.Int{Name: "MAX_TOKENS", Value: c.MaxTokens}); err != nil {
		return err
	}
	if err := c.Workers.Validate(prefix); err != nil {
		return err
	}
	if c.PromptPrice < 0 || c.CompletionPrice < 0 {
		return fmt.Errorf(prefix+"_PROMPT_PRICE, _COMPLETION_PRICE: got %d and %d, want 0 or more", c.PromptPrice, c.CompletionPrice)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"FIRST_TOKEN_TIMEOUT", c.FirstTokenTimeout}, {"IDLE_TIMEOUT", c.IdleTimeout}, {"CALL_TIMEOUT", c.CallTimeout}} {
		if d.value <= 0 {
			return fmt.Errorf(prefix+"_%s: got %s, want more than 0", d.name, d.value)
		}
	}
	return nil
}
