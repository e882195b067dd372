package llmsim

import (
	"fmt"
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
	// Now is the clock of the "created" fields; nil is time.Now.
	Now func() time.Time
}

// DefaultConfig serves the chat model sim-small and the embedding model
// sim-embed without any latency on a free local port.
func DefaultConfig() Config {
	return Config{
		Addr:            "127.0.0.1:0",
		ChatModels:      []string{"sim-small"},
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
	return nil
}

// quarterOfChars is the token count used without a tokenizer.
func quarterOfChars(text string) int {
	n := 0
	for range text {
		n++
	}
	return (n + 3) / 4
}
