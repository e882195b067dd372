package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
)

// Names of the field that bounds a completion.
const (
	MaxTokens           = "max_tokens"            // understood by nearly all servers
	MaxCompletionTokens = "max_completion_tokens" // required by OpenAI's reasoning models
)

// Timeouts bound the waits of one call. A zero field takes the default.
type Timeouts struct {
	// FirstToken bounds the wait for the first piece of a completion. Comments
	// that keep the connection alive don't count. Default 30 s.
	FirstToken time.Duration
	// Idle bounds each wait after the first piece; comments count. Default 20 s.
	Idle time.Duration
	// Total bounds the whole call. Default 3 min.
	Total time.Duration
}

// defaultMaxConns is the number of connections of one client.
const defaultMaxConns = 64

// Values of fields of catalog.Dialect.
const (
	authBearer  = "bearer"
	authNone    = "none"
	optional    = "optional"
	rerankJina  = "jina"
	rerankTEI   = "tei"
	hintMillis  = "retry-after-ms"
	hintSeconds = "retry-after"
	hintBody    = "body"
	hintMessage = "message"
)

// Config describes one endpoint.
type Config struct {
	// BaseURL is the endpoint up to and including the version, for example
	// https://api.openai.com/v1. Required.
	BaseURL string
	// APIKey is sent as Dialect.Auth says; "" sends none.
	APIKey string
	// Dialect is how the endpoint speaks; the zero value is OpenAI's own.
	// What another leaves unset is: bearer, no headers of limits, all retry hints,
	// max_tokens, a required end mark, usage and base64 asked for, no rerank, no
	// idempotency key.
	Dialect catalog.Dialect
	// Headers and Query are added to each request.
	Headers map[string]string
	Query   map[string]string
	// Timeouts of each call; zero fields take their defaults.
	Timeouts Timeouts
	// MaxConnsPerHost bounds the connections, in use or kept; 0 is 64.
	MaxConnsPerHost int
	// MaxTokensField is the name under which ChatRequest.MaxTokens is sent:
	// MaxTokens or MaxCompletionTokens; "" leaves it to the dialect.
	MaxTokensField string
	// ExtraBody is merged into every chat request ("seed", "reasoning_effort" and
	// what else an endpoint knows), over the dialect's; fields the adapter sets
	// itself win.
	ExtraBody map[string]any
	// HTTPClient replaces the client that makes the calls; then MaxConnsPerHost
	// is not used. It should have no Timeout, which would cut long streams.
	HTTPClient *http.Client
}

// DefaultConfig is the configuration for baseURL with all defaults.
func DefaultConfig(baseURL string) Config {
	return Config{
		BaseURL:         baseURL,
		Timeouts:        Timeouts{FirstToken: 30 * time.Second, Idle: 20 * time.Second, Total: 3 * time.Minute},
		MaxConnsPerHost: defaultMaxConns,
	}
}

// ConfigFor is the configuration for model m of provider p, with p's key. Set
// HTTPClient to share the connections between the models of a provider.
func ConfigFor(p catalog.Provider, m catalog.Model, key string) Config {
	return Config{
		BaseURL: p.BaseURL,
		APIKey:  key,
		Dialect: p.Dialect,
		Headers: p.Headers,
		Query:   p.Query,
		Timeouts: Timeouts{
			FirstToken: time.Duration(m.Timeouts.TTFT),
			Idle:       time.Duration(m.Timeouts.Idle),
			Total:      time.Duration(m.Timeouts.Total),
		},
		MaxConnsPerHost: p.MaxConns,
		MaxTokensField:  m.Supports.MaxTokensField,
	}
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	d := DefaultConfig(c.BaseURL)
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	for _, f := range []struct{ got, want *time.Duration }{
		{&c.Timeouts.FirstToken, &d.Timeouts.FirstToken},
		{&c.Timeouts.Idle, &d.Timeouts.Idle},
		{&c.Timeouts.Total, &d.Timeouts.Total},
	} {
		if *f.got == 0 {
			*f.got = *f.want
		}
	}
	if reflect.ValueOf(c.Dialect).IsZero() {
		c.Dialect = plainDialect()
	}
	if len(c.Dialect.RetryHints) == 0 {
		c.Dialect.RetryHints = []string{hintMillis, hintSeconds, hintBody, hintMessage}
	}
	for _, name := range []string{c.Dialect.MaxTokensField, MaxTokens} {
		if c.MaxTokensField == "" {
			c.MaxTokensField = name
		}
	}
	extra := map[string]any{}
	maps.Copy(extra, c.Dialect.ExtraBody)
	maps.Copy(extra, c.ExtraBody)
	c.ExtraBody = extra
	return c
}

// plainDialect is OpenAI's own. A project's tokens are limited beside the
// organisation's: both are tpm, and the tighter one is shown.
func plainDialect() catalog.Dialect {
	header := func(dimension, name string) catalog.LimitHeader {
		const prefix = "x-ratelimit-"
		return catalog.LimitHeader{Dimension: dimension, Limit: prefix + "limit-" + name, Remaining: prefix + "remaining-" + name, Reset: prefix + "reset-" + name}
	}
	return catalog.Dialect{
		IdempotencyHeader: "Idempotency-Key",
		LimitHeaders:      []catalog.LimitHeader{header("rpm", "requests"), header("tpm", "tokens"), header("tpm", "project-tokens")},
	}
}

// isOn reads a switch of a dialect, which is on when unset.
func isOn(b *bool) bool { return b == nil || *b }

// Validate reports the first field with a wrong value, naming both.
func (c Config) Validate() error {
	u, err := url.Parse(c.BaseURL)
	if err != nil {
		return errors.New("openai config: BaseURL is not a URL") // url.Parse quotes its input, which may hold a password
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return fmt.Errorf("openai config: BaseURL is %q, want http(s)://host/path", u.Redacted())
	}
	for _, f := range []struct {
		name string
		got  time.Duration
	}{
		{"Timeouts.FirstToken", c.Timeouts.FirstToken},
		{"Timeouts.Idle", c.Timeouts.Idle},
		{"Timeouts.Total", c.Timeouts.Total},
	} {
		if f.got < 0 {
			return fmt.Errorf("openai config: %s is %s, want 0 (default) or more", f.name, f.got)
		}
	}
	if c.MaxConnsPerHost < 0 {
		return fmt.Errorf("openai config: MaxConnsPerHost is %d, want 0 (default) or more", c.MaxConnsPerHost)
	}
	for name, extra := range map[string]map[string]any{"ExtraBody": c.ExtraBody, "Dialect.ExtraBody": c.Dialect.ExtraBody} {
		if _, err := json.Marshal(extra); err != nil {
			return fmt.Errorf("openai config: %s: %w", name, err)
		}
	}
	return c.validateChoices()
}

// validateChoices checks the fields that hold one of a few words.
func (c Config) validateChoices() error {
	type choice struct {
		name, got string
		want      []string
	}
	choices := []choice{
		{"MaxTokensField", c.MaxTokensField, []string{MaxTokens, MaxCompletionTokens}},
		{"Dialect.MaxTokensField", c.Dialect.MaxTokensField, []string{MaxTokens, MaxCompletionTokens}},
		{"Dialect.Auth", c.Dialect.Auth, []string{authBearer, "api-key", "x-api-key", authNone}},
		{"Dialect.DoneMarker", c.Dialect.DoneMarker, []string{"required", optional}},
		{"Dialect.Rerank", c.Dialect.Rerank, []string{rerankJina, "cohere", rerankTEI}},
	}
	for _, hint := range c.Dialect.RetryHints {
		choices = append(choices, choice{"Dialect.RetryHints", hint, []string{hintMillis, hintSeconds, hintBody, hintMessage}})
	}
	for _, f := range choices {
		if f.got != "" && !slices.Contains(f.want, f.got) {
			return fmt.Errorf("openai config: %s is %q, want one of %s", f.name, f.got, strings.Join(f.want, ", "))
		}
	}
	return nil
}
