// Package openai is the adapter for OpenAI-compatible endpoints: llm.Chat and
// llm.Embedder over go-openai, behind an HTTP doer of our own that repairs what
// the library and the providers get wrong (lost headers, lying streams, error
// bodies of every shape). Every error is an *event.Error.
//
// The adapter never retries: the pipeline decides that from the error's class.
package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/llm"
)

var (
	_ llm.Chat     = (*Client)(nil)
	_ llm.Embedder = (*Client)(nil)
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

// Config describes one endpoint.
type Config struct {
	// BaseURL is the endpoint up to and including the version, for example
	// https://api.openai.com/v1. Required.
	BaseURL string
	// APIKey is sent as a bearer token; "" sends none.
	APIKey string
	// Timeouts of each call; zero fields take their defaults.
	Timeouts Timeouts
	// MaxConnsPerHost bounds the connections, in use or kept; 0 is 64.
	MaxConnsPerHost int
	// MaxTokensField is the name under which ChatRequest.MaxTokens is sent:
	// MaxTokens (also for "") or MaxCompletionTokens.
	MaxTokensField string
	// ExtraBody is merged into every chat request ("seed", "top_p" and what
	// else an endpoint knows); fields the adapter sets itself win.
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
		MaxConnsPerHost: 64,
		MaxTokensField:  MaxTokens,
	}
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	d := DefaultConfig(c.BaseURL)
	for _, f := range []struct{ got, want *time.Duration }{
		{&c.Timeouts.FirstToken, &d.Timeouts.FirstToken},
		{&c.Timeouts.Idle, &d.Timeouts.Idle},
		{&c.Timeouts.Total, &d.Timeouts.Total},
	} {
		if *f.got == 0 {
			*f.got = *f.want
		}
	}
	if c.MaxConnsPerHost == 0 {
		c.MaxConnsPerHost = d.MaxConnsPerHost
	}
	if c.MaxTokensField == "" {
		c.MaxTokensField = d.MaxTokensField
	}
	return c
}

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
	if f := c.MaxTokensField; f != "" && f != MaxTokens && f != MaxCompletionTokens {
		return fmt.Errorf("openai config: MaxTokensField is %q, want %q or %q", f, MaxTokens, MaxCompletionTokens)
	}
	if _, err := json.Marshal(c.ExtraBody); err != nil {
		return fmt.Errorf("openai config: ExtraBody: %w", err)
	}
	return nil
}

// Client talks to one endpoint. It is safe for concurrent use.
type Client struct {
	cfg      Config
	api      *goopenai.Client
	http     *http.Client
	endpoint string // the base URL without password, for hints
}

// New returns a client for cfg; it does no I/O.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	client := http.Client{Transport: newTransport(cfg.MaxConnsPerHost)}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	client.CheckRedirect = refuseRedirect
	u, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, errors.New("openai config: BaseURL is not a URL")
	}
	c := &Client{cfg: cfg, http: &client, endpoint: u.Redacted()}
	lib := goopenai.DefaultConfig(cfg.APIKey)
	lib.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	lib.HTTPClient = &doer{client: &client, secret: cfg.APIKey, now: time.Now}
	c.api = goopenai.NewClientWithConfig(lib)
	return c, nil
}

// Close closes the connections that are kept for later calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// refuseRedirect keeps a POST from becoming a GET and the key from travelling
// to another host; the doer turns the redirect into an error.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport is a transport for many calls to one host that keeps as many
// connections as it may open.
func newTransport(maxConns int) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		MaxConnsPerHost:       maxConns,
		MaxIdleConns:          maxConns,
		MaxIdleConnsPerHost:   maxConns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
}
