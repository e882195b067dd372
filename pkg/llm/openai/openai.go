// Package openai is the adapter for OpenAI-compatible endpoints: llm.Chat,
// llm.Embedder and llm.Reranker over go-openai, behind an HTTP doer of our own
// that repairs what the library and the providers get wrong (lost headers, lying
// streams, error bodies of every shape). Every error is an *event.Error.
//
// What providers differ in is a catalog.Dialect: where the key goes, which
// headers show limits, how long to wait, which errors mean what.
//
// The adapter never retries: the pipeline decides that from the error's class.
package openai

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	goopenai "github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/pkg/llm"
)

var (
	_ llm.Chat     = (*Client)(nil)
	_ llm.Embedder = (*Client)(nil)
	_ llm.Reranker = (*Client)(nil)
)

// Client talks to one endpoint. It is safe for concurrent use.
type Client struct {
	cfg      Config
	api      *goopenai.Client
	doer     *doer
	endpoint string // the base URL without password, for hints
}

// New returns a client for cfg; it does no I/O.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	u, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, errors.New("openai config: BaseURL is not a URL")
	}
	client := cfg.HTTPClient
	if client == nil {
		client = NewHTTPClient(cfg.MaxConnsPerHost)
	}
	own := *client
	own.CheckRedirect = refuseRedirect
	c := &Client{cfg: cfg, endpoint: u.Redacted(), doer: &doer{client: &own, cfg: cfg, now: time.Now}}
	lib := goopenai.DefaultConfig("") // the doer sends the key
	lib.BaseURL = cfg.BaseURL
	lib.HTTPClient = c.doer
	c.api = goopenai.NewClientWithConfig(lib)
	return c, nil
}

// Close closes the connections that are kept for later calls.
func (c *Client) Close() { c.doer.client.CloseIdleConnections() }

// refuseRedirect keeps a POST from becoming a GET and the key from travelling
// to another host; the doer turns the redirect into an error.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// NewHTTPClient is a client for many long calls to one host, with a pool of
// maxConns connections (0 is 64), all of which it keeps. Clients of several
// models of one provider share it through Config.HTTPClient.
func NewHTTPClient(maxConns int) *http.Client {
	if maxConns == 0 {
		maxConns = defaultMaxConns
	}
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		MaxConnsPerHost:       maxConns,
		MaxIdleConns:          maxConns,
		MaxIdleConnsPerHost:   maxConns,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}}
}
