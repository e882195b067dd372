// Package catalog is what Weir knows about providers and models: one YAML file
// of endpoints, dialects, prices, limits, capabilities, timeouts, fallbacks and
// tenants. It is validated as a whole, with errors that name the line, and read
// again when it changes; an edit that is wrong is refused and the old catalog
// stays. Nothing about a model is compiled in: dialects (how a kind of provider
// limits, answers and fails) come as data too, and a catalog may override any
// part of one.
//
// Money is integer nano-USD (1 USD = 1,000,000,000 nano-USD).
package catalog

import (
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// Catalog is one validated revision of the file. It is never changed after it
// was loaded, so it may be shared.
type Catalog struct {
	Version int `yaml:"version"`
	// Revision names this state of the file; it goes into every ledger record,
	// which makes costs reproducible.
	Revision  string     `yaml:"revision"`
	Providers []Provider `yaml:"providers"`
	Models    []Model    `yaml:"models"`
	// Tenants gives some tenants a share or a budget; Default is for all others.
	Tenants []Tenant `yaml:"tenants,omitempty"`
	Default Tenant   `yaml:"default_tenant,omitempty"`
	// Collections says how some collections are cut, searched and ranked; see
	// [Catalog.Collection].
	Collections []Collection `yaml:"collections,omitempty"`

	// Routing is what the policies file says; nil without one.
	Routing *Routing `yaml:"-"`

	// Access is what the tenants file says of callers; nil without one.
	Access *Access `yaml:"-"`

	content string // hash of the file
}

// Provider is one endpoint and the account (key) it is used with.
type Provider struct {
	ID      string `yaml:"id"`
	BaseURL string `yaml:"base_url"` // up to and including the version
	// KeyEnv is the environment variable that holds the API key; "" sends none.
	KeyEnv string `yaml:"api_key_env,omitempty"`
	// Use is the name of the dialect; Dialect is that dialect with what the
	// entry overrides.
	Use     string  `yaml:"dialect"`
	Dialect Dialect `yaml:"override,omitempty"`
	// Headers and Query are added to every request (Azure's api-version, say).
	Headers map[string]string `yaml:"headers,omitempty"`
	Query   map[string]string `yaml:"query,omitempty"`
	// MaxConns bounds the connections of one process; 0 is 64.
	MaxConns int `yaml:"max_conns,omitempty"`
}

// Dialect is how one kind of provider speaks: everything in which
// OpenAI-compatible endpoints differ.
type Dialect struct {
	// Auth says where the key goes: bearer (Authorization), api-key (a header of
	// that name, Azure), x-api-key, none.
	Auth string `yaml:"auth,omitempty"`
	// Limiter is the law of the provider's rate limits.
	Limiter Limiter `yaml:"limiter,omitempty"`
	// Estimator is how the provider itself counts a request before it runs.
	Estimator Estimator `yaml:"estimator,omitempty"`
	// Settle says whether the provider corrects that estimate by what was really
	// used: none (OpenAI) or actual (Anthropic, Azure PTU).
	Settle string `yaml:"settle,omitempty"`
	// LimitHeaders says which headers show a limit, and how they are written.
	LimitHeaders []LimitHeader `yaml:"limit_headers,omitempty"`
	// RetryHints lists where a wait is asked for, the most exact first:
	// retry-after-ms, retry-after, body (Gemini's retryDelay), message ("try
	// again in 1.2s").
	RetryHints []string `yaml:"retry_hints,omitempty"`
	// Errors are rules of classification that come before the common ones.
	Errors []ErrorRule `yaml:"errors,omitempty"`
	// DoneMarker is required, or optional for servers known to omit [DONE]: then
	// a finish reason must have come.
	DoneMarker string `yaml:"done_marker,omitempty"`
	// MaxTokensField is max_tokens or max_completion_tokens.
	MaxTokensField string `yaml:"max_tokens_field,omitempty"`
	// StreamUsage asks for the usage at the end of a stream (stream_options).
	StreamUsage *bool `yaml:"stream_usage,omitempty"`
	// Base64 asks for embeddings in base64, a quarter of the time to decode.
	Base64 *bool `yaml:"base64,omitempty"`
	// Rerank is the shape of the rerank endpoint: jina, cohere, tei; "" has none.
	Rerank string `yaml:"rerank,omitempty"`
	// Batch is what one embedding or rerank request takes, of models that don't say.
	Batch Batch `yaml:"batch,omitempty"`
	// IdempotencyHeader carries the idempotency key; "" sends none.
	IdempotencyHeader string `yaml:"idempotency_header,omitempty"`
	// ExtraBody is merged into every chat request.
	ExtraBody map[string]any `yaml:"extra_body,omitempty"`
}

// Limiter is a law of rate limits, see docs/providers.md.
type Limiter struct {
	// Law is bucket (continuous refill), fixed (a counter reset at the start of
	// each window), sub (judged over Sub), concurrency (calls at once), none.
	// Each dimension follows Law unless Laws says otherwise.
	Law  string            `yaml:"law,omitempty"`
	Laws map[string]string `yaml:"laws,omitempty"` // by dimension: rpm, tpm, ...
	// Sub is the sub-window of the law sub: 1s or 10s.
	Sub Duration `yaml:"sub,omitempty"`
	// CountRejected: refused requests count as well.
	CountRejected bool `yaml:"count_rejected,omitempty"`
	// ResetZone is the time zone whose midnight starts the day of fixed daily
	// limits (Gemini: America/Los_Angeles); "" is UTC.
	ResetZone string `yaml:"reset_zone,omitempty"`
}

// Estimator is how a provider counts a request for its limits before it runs.
type Estimator string

// The estimators.
const (
	// Chars4PlusMax is floor(characters/4)+2+max_tokens (OpenAI, Azure).
	Chars4PlusMax Estimator = "chars4_plus_max"
	// TokensPlusMax is the prompt's tokens + max_tokens (Cerebras).
	TokensPlusMax Estimator = "tokens_plus_max"
	// TokensInput is the prompt's tokens; output is limited apart (Anthropic) or
	// not at all (Gemini).
	TokensInput Estimator = "tokens_input"
	// Bytes4 is bytes/4 rounded up.
	Bytes4 Estimator = "bytes4"
	// NoTokens: only requests or concurrency are limited (vLLM, Ollama, TEI).
	NoTokens Estimator = "none"
)

// LimitHeader is a group of response headers about one dimension. Names are
// without case; "" means that the provider has none.
type LimitHeader struct {
	Dimension string `yaml:"dimension"` // rpm, tpm, itpm, otpm, rpd, tpd
	Limit     string `yaml:"limit,omitempty"`
	Remaining string `yaml:"remaining,omitempty"`
	Reset     string `yaml:"reset,omitempty"`
	// ResetFormat is go (a Go duration), seconds, or rfc3339.
	ResetFormat string `yaml:"reset_format,omitempty"`
	// Rounding is the step to which remaining is rounded (Anthropic: 1000).
	Rounding int64 `yaml:"rounding,omitempty"`
}

// ErrorRule gives failures a class. Fields that are set must all match.
type ErrorRule struct {
	Status   []int       `yaml:"status,omitempty"`
	Code     []string    `yaml:"code,omitempty"`     // error.code or error.type
	Contains []string    `yaml:"contains,omitempty"` // any part of the message, without case
	Class    event.Class `yaml:"class"`
	Hint     string      `yaml:"hint,omitempty"`
}

// Mode is what a model does.
type Mode string

// The modes.
const (
	ModeChat      Mode = "chat"
	ModeEmbedding Mode = "embedding"
	ModeRerank    Mode = "rerank"
)

// Model is one model of one provider, under the pipeline's own stable name.
type Model struct {
	ID       string   `yaml:"id"` // what jobs name; [A-Za-z0-9_-]{1,64}
	Provider string   `yaml:"provider"`
	Upstream string   `yaml:"upstream"` // the provider's name for it
	Aliases  []string `yaml:"aliases,omitempty"`
	Mode     Mode     `yaml:"mode"`
	Context  Context  `yaml:"context,omitempty"`
	Tokens   Tokens   `yaml:"tokens,omitempty"`
	Prices   []Price  `yaml:"price,omitempty"`
	Limits   Limits   `yaml:"limits,omitempty"`
	Supports Supports `yaml:"supports,omitempty"`
	Timeouts Timeouts `yaml:"timeouts,omitempty"`
	// Dimensions of an embedding model's vectors; Shorten sends them with each
	// request (a model that can shorten its vectors).
	Dimensions int  `yaml:"dimensions,omitempty"`
	Shorten    bool `yaml:"shorten,omitempty"`
	// StandIn marks an embedding model whose vectors only imitate a model's. They
	// are for trying Weir out and nothing else: retrieval fuses the lists of words
	// only.
	StandIn bool `yaml:"stand_in,omitempty"`
	// QueryPrefix and PassagePrefix are what an embedding model wants before each
	// question and each passage, such as "query: " (E5). They are sent as they are,
	// blanks at the end included. Vectors made with another prefix don't compare: a
	// change of either needs a migration to a model of another id.
	QueryPrefix   string `yaml:"query_prefix,omitempty"`
	PassagePrefix string `yaml:"passage_prefix,omitempty"`
	// Batch bounds one request to an embedding or rerank model; fields that are 0
	// take the dialect's.
	Batch Batch `yaml:"batch,omitempty"`
	// MaxTokens bounds a completion when the job does not; 0 is 1024, or the
	// model's output limit if that is less.
	MaxTokens int `yaml:"max_tokens,omitempty"`
	// Fallback lists the models to try, in order, when this one can't be used.
	Fallback []string `yaml:"fallback,omitempty"`
	// Deprecated is the day (2006-01-02) after which using it is warned of.
	Deprecated string `yaml:"deprecated,omitempty"`
}

// Batch bounds what one request for several texts may hold; 0 is no bound.
type Batch struct {
	Items  int `yaml:"items,omitempty"`  // texts
	Tokens int `yaml:"tokens,omitempty"` // of all texts, as the model counts them
	Bytes  int `yaml:"bytes,omitempty"`  // of all texts
}

// Context bounds a request in tokens; 0 is unknown.
type Context struct {
	Input  int `yaml:"input,omitempty"`
	Output int `yaml:"output,omitempty"`
}

// Tokens says how to count for the model.
type Tokens struct {
	// Encoding is o200k_base, cl100k_base, or chars4.
	Encoding string `yaml:"encoding,omitempty"`
	// PerMessage, PerName and Reply are the overhead of a chat in tokens.
	PerMessage int `yaml:"per_message,omitempty"`
	PerName    int `yaml:"per_name,omitempty"`
	Reply      int `yaml:"reply,omitempty"`
	// Ratio is the first guess of the model's tokens per counted token; with
	// Calibrate it follows the returned usage.
	Ratio     float64 `yaml:"ratio,omitempty"`
	Calibrate *bool   `yaml:"calibrate,omitempty"` // default true
}

// Price is in nano-USD per token, valid from a day on; the newest one that has
// begun counts.
type Price struct {
	From       string `yaml:"from,omitempty"` // 2006-01-02; "" is always
	Input      int64  `yaml:"input"`
	Cached     *int64 `yaml:"cached,omitempty"`      // cached input; default Input
	CacheWrite *int64 `yaml:"cache_write,omitempty"` // input written to the cache; default Input
	Output     int64  `yaml:"output,omitempty"`
	// Request is per call (rerank), in nano-USD.
	Request int64 `yaml:"request,omitempty"`
	// Above replaces the prices per token of calls with more input than InputTokens.
	Above []Above            `yaml:"above,omitempty"`
	Tiers map[string]float64 `yaml:"tiers,omitempty"` // factor by service tier
}

// Above is a price for long inputs.
type Above struct {
	InputTokens int    `yaml:"input_tokens"`
	Input       int64  `yaml:"input"`
	Cached      *int64 `yaml:"cached,omitempty"`      // default Input
	CacheWrite  *int64 `yaml:"cache_write,omitempty"` // default Input
	Output      int64  `yaml:"output,omitempty"`
}

// Limits are those of the account for a group of models; 0 is no limit. Models
// of one provider with the same Group share them.
type Limits struct {
	Group string `yaml:"group,omitempty"` // default: the model's id
	RPM   int64  `yaml:"rpm,omitempty"`
	TPM   int64  `yaml:"tpm,omitempty"`
	ITPM  int64  `yaml:"itpm,omitempty"`
	OTPM  int64  `yaml:"otpm,omitempty"`
	RPD   int64  `yaml:"rpd,omitempty"`
	TPD   int64  `yaml:"tpd,omitempty"`
	// Concurrency bounds the calls at once.
	Concurrency int64 `yaml:"concurrency,omitempty"`
	// BatchQueueTokens bounds the tokens enqueued in the provider's batch API.
	BatchQueueTokens int64 `yaml:"batch_queue_tokens,omitempty"`
}

// Supports says what a model can do.
type Supports struct {
	Tools           bool     `yaml:"tools,omitempty"`
	JSONSchema      string   `yaml:"json_schema,omitempty"` // strict, yes, or "" for no
	Logprobs        bool     `yaml:"logprobs,omitempty"`
	Seed            bool     `yaml:"seed,omitempty"`
	Temperature     *bool    `yaml:"temperature,omitempty"` // default true
	ReasoningEffort []string `yaml:"reasoning_effort,omitempty"`
	// MaxTokensField overrides the dialect's.
	MaxTokensField string `yaml:"max_tokens_field,omitempty"`
}

// Timeouts of one call. Zero fields take 30s, 20s and 3m.
type Timeouts struct {
	TTFT  Duration `yaml:"ttft,omitempty"`
	Idle  Duration `yaml:"idle,omitempty"`
	Total Duration `yaml:"total,omitempty"`
}

// Budget bounds a tenant's spend.
type Budget struct {
	// USD per Period: "12.50" dollars per day or month (UTC).
	USD    string `yaml:"usd"`
	Period string `yaml:"period"` // day or month
	// Policy when it is used up: wait (until the next period) or fail. Default wait.
	Policy string `yaml:"policy,omitempty"`
	// AlertAt is the part at which an alert event is sent; 0 is 0.8.
	AlertAt float64 `yaml:"alert_at,omitempty"`
	// Soft only alerts.
	Soft bool `yaml:"soft,omitempty"`
}

// Duration is a time.Duration written as a Go string: 30s, 2m.
type Duration time.Duration
