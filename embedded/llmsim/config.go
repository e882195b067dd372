package llmsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Config describes a simulated provider. The zero value is not valid; start
// from [DefaultConfig].
type Config struct {
	// Addr is where Run listens, host:port; port 0 takes a free one.
	Addr string
	// APIKey is the key requests must carry as a bearer token; "" accepts any.
	APIKey string
	// ChatModels and EmbeddingModels are the model ids served.
	ChatModels      []string
	EmbeddingModels []string
	// Dimensions is the length of an embedding when the request names none,
	// and the most it may ask for.
	Dimensions int
	// ContextTokens is the most a chat prompt may count.
	ContextTokens int
	// InputTokens is the most one embedding input may count.
	InputTokens int
	// CountTokens counts the tokens of a text; nil is a quarter of its
	// characters, rounded up.
	CountTokens func(text string) int
	// TTFT is the wait before the first token of a completion and before the
	// answer to an embeddings request; PerToken the wait per token after it.
	TTFT     time.Duration
	PerToken time.Duration
	// MaxChunks bounds the content chunks of one stream; longer answers have
	// several words in one chunk.
	MaxChunks int
	// MaxBodyBytes bounds a request body.
	MaxBodyBytes int64
	// LedgerSize is the number of requests the ledger keeps in detail.
	LedgerSize int
	// Answers is what the server knows and how well its models do.
	Answers Answers

	// AdminAddr is where Run serves [Server.Admin], host:port; "" does not.
	AdminAddr string
	// Profile is the provider to be, one of [ProfileNames]; "" is openai. A
	// request's path or key may choose another: /azure/v1/..., a key that
	// begins with azure-, or with a prefix in KeyProfiles.
	Profile     string
	KeyProfiles map[string]string
	// Limits are the rate limits, none by default; ModelGroups names the group
	// of models that share theirs, by default each is its own.
	Limits      []Limit
	ModelGroups map[string]string
	// Latency is how fast models are, by id; those not in it have TTFT and
	// PerToken.
	Latency map[string]Latency
	// TimeScale multiplies all durations: of latencies, of the windows of
	// limits and of the schedules of faults. At 0.1 ten minutes of them take
	// one. 0 is 1.
	TimeScale float64
	// Faults are what goes wrong from the start.
	Faults Faults
	// Prices are by model id; others are free.
	Prices map[string]Price
	// PromptCache reports the cached part of long prompts that begin alike.
	PromptCache bool
	// Now is the clock of limits, windows and the "created" fields; nil is
	// time.Now. Waits are of real time.
	Now func() time.Time
}

// DefaultConfig serves the chat models sim-small and sim-large and the embedding
// model sim-embed without any latency on a free local port.
func DefaultConfig() Config {
	return Config{
		Addr:            "127.0.0.1:0",
		ChatModels:      []string{"sim-small", "sim-large"},
		EmbeddingModels: []string{"sim-embed"},
		Dimensions:      1024,
		ContextTokens:   128_000,
		InputTokens:     8192,
		MaxChunks:       256,
		MaxBodyBytes:    32 << 20,
		LedgerSize:      256,
	}
}

// Validate reports the first field with a wrong value, naming both.
func (c Config) Validate() error {
	if len(c.ChatModels)+len(c.EmbeddingModels) == 0 {
		return fmt.Errorf("llmsim config: ChatModels and EmbeddingModels are both empty")
	}
	seen := map[string]bool{}
	for _, id := range append(append([]string{}, c.ChatModels...), c.EmbeddingModels...) {
		if id == "" || seen[id] {
			return fmt.Errorf("llmsim config: model id %q is empty or given twice", id)
		}
		seen[id] = true
	}
	for _, f := range []struct {
		name string
		got  int64
		min  int64
	}{
		{"Dimensions", int64(c.Dimensions), 8},
		{"ContextTokens", int64(c.ContextTokens), 1},
		{"InputTokens", int64(c.InputTokens), 1},
		{"MaxChunks", int64(c.MaxChunks), 1},
		{"MaxBodyBytes", c.MaxBodyBytes, 1},
		{"LedgerSize", int64(c.LedgerSize), 0},
		{"TTFT", int64(c.TTFT), 0},
		{"PerToken", int64(c.PerToken), 0},
	} {
		if f.got < f.min {
			return fmt.Errorf("llmsim config: %s is %d, want at least %d", f.name, f.got, f.min)
		}
	}
	if err := c.validateWeather(); err != nil {
		return err
	}
	return c.Answers.Validate()
}

// validateWeather checks the fields about limits, latency and faults.
func (c Config) validateWeather() error {
	known := profiles()
	for _, prefix := range append(slices.Sorted(maps.Keys(c.KeyProfiles)), "") {
		name, field := c.KeyProfiles[prefix], fmt.Sprintf("KeyProfiles[%q]", prefix)
		if prefix == "" {
			name, field = cmp.Or(c.Profile, ProfileOpenAI), "Profile"
		}
		if known[name] == nil {
			return fmt.Errorf("llmsim config: %s is %q, want one of %q", field, name, ProfileNames())
		}
	}
	if err := validateLimits(c.Limits); err != nil {
		return err
	}
	for model, l := range c.Latency {
		if err := l.validate(model); err != nil {
			return err
		}
	}
	if !(c.TimeScale >= 0 && c.TimeScale <= 1000) {
		return fmt.Errorf("llmsim config: TimeScale is %v, want above 0 and at most 1000 (0 is 1)", c.TimeScale)
	}
	for model, p := range c.Prices {
		if p.Input < 0 || p.Cached < 0 || p.Output < 0 {
			return fmt.Errorf("llmsim config: Prices[%q] is %+v, want no price below 0", model, p)
		}
	}
	_, err := c.Faults.compile(time.Time{})
	return err
}

// timeScale is TimeScale with its default.
func (c *Config) timeScale() float64 {
	if c.TimeScale == 0 {
		return 1
	}
	return c.TimeScale
}

// quarterOfChars is the token count used without a tokenizer.
func quarterOfChars(text string) int {
	n := 0
	for range text {
		n++
	}
	return (n + 3) / 4
}
