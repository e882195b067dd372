package openai

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// call is what one request wants from the doer, and what the doer saw.
type call struct {
	doing  string // for errors: "chat completion"
	stream bool
	// base64 says that the answer holds embeddings as go-openai wants them.
	base64 bool
	// patch replaces top-level fields of the JSON body.
	patch map[string]any
	// logprobs says that log probabilities were asked for.
	logprobs bool
	// idempotencyKey is sent in the dialect's header when set.
	idempotencyKey string
	// watch stops the call when the provider is silent.
	watch   *watchdog
	started time.Time

	// Filled while it runs:
	sent     atomic.Bool
	status   int
	header   http.Header
	ttft     time.Duration
	head     []byte   // first bytes of an answer that is not a stream
	failure  *failure // what the provider reported, nil if nothing
	finished bool     // the stream had a finish_reason
	done     bool     // the stream came to its end
	usage    llm.Usage
	tier     string
	tokens   []llm.TokenLogprob
}

type callKey struct{}

// begin starts the timers of cl and attaches it to ctx for the doer. The
// function it returns ends the call and fills in meta.
func (c *Client) begin(ctx context.Context, cl *call, meta *llm.Meta) (context.Context, func()) {
	cl.started = c.doer.now()
	ctx, cl.watch = watch(ctx, c.cfg.Timeouts, cl.stream)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// A connection in hand is a request that may have been written. The
		// transport asks for another one only when the server did nothing.
		GetConn: func(string) { cl.sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { cl.sent.Store(true) },
	})
	return context.WithValue(ctx, callKey{}, cl), func() {
		cl.watch.stop()
		if meta != nil {
			*meta = cl.meta(c.cfg.Dialect.LimitHeaders, c.doer.now())
		}
	}
}

// check refuses what needs no provider to be refused: no model, none of n
// things in field, a context that is over.
func (cl *call) check(ctx context.Context, model, field string, n int) error {
	switch {
	case model == "":
		return event.Invalid("model", "name a model of the provider", "%s: no model", cl.doing)
	case n == 0:
		return event.Invalid(field, "send at least one", "%s: no %s", cl.doing, field)
	case ctx.Err() != nil:
		return contextError(ctx, cl.doing)
	}
	return nil
}

// token notes a piece of the answer.
func (cl *call) token(now time.Time) {
	if cl.ttft == 0 {
		cl.ttft = max(now.Sub(cl.started), 1)
	}
	cl.watch.token()
}

// meta is what is known of the call at its end.
func (cl *call) meta(headers []catalog.LimitHeader, now time.Time) llm.Meta {
	m := llm.Meta{Sent: cl.sent.Load() || cl.status != 0, Status: cl.status, TTFT: cl.ttft}
	if cl.failure != nil {
		m.RequestID = cl.failure.requestID
	}
	// OpenAI and most others, Anthropic, two of Azure's.
	for _, name := range []string{"Apim-Request-Id", "X-Ms-Request-Id", "Request-Id", "X-Request-Id"} {
		if id := cl.header.Get(name); id != "" {
			m.RequestID = id
		}
	}
	m.Limits = rateLimits(cl.header, headers, serverTime(cl.header, now))
	return m
}
