package batch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// neverLinger is a linger that no test waits for: a call happens because it is
// full, or not at all.
const neverLinger = time.Hour

// models is the catalog of the tests.
const models = `
version: 1
providers: [{id: local, base_url: "http://127.0.0.1:1/v1", dialect: vllm}]
models:
  - {id: embed, provider: local, upstream: e, mode: embedding, dimensions: 4, price: [{input: 20}]}
  - {id: other, provider: local, upstream: o, mode: embedding, dimensions: 4, price: [{input: 20}]}
  - {id: e5, provider: local, upstream: e5, mode: embedding, dimensions: 4, price: [{input: 0}], context: {input: 20},
     query_prefix: "query: ", passage_prefix: "passage: ", batch: {items: 2, bytes: 40}}
  - {id: paced, provider: local, upstream: p, mode: embedding, dimensions: 4, price: [{input: 0}], limits: {tpm: 600}}
`

// sent is one call that went out.
type sent struct {
	call   guard.Call
	inputs []string
}

// provider is a guard without limits. Its functions decide; without them it
// answers at once.
type provider struct {
	embed func(ctx context.Context, inputs []string) error
	usage int // of each call; 0 is one token per text

	mu          sync.Mutex
	calls       []sent
	under, most int
}

// Embed implements Embedder.
func (p *provider) Embed(ctx context.Context, c guard.Call, req llm.EmbedRequest) (llm.EmbedResponse, guard.Report, error) {
	p.mu.Lock()
	p.calls = append(p.calls, sent{c, req.Inputs})
	p.under++
	p.most = max(p.most, p.under)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.under--
		p.mu.Unlock()
	}()
	if p.embed != nil {
		if err := p.embed(ctx, req.Inputs); err != nil {
			return llm.EmbedResponse{}, guard.Report{}, err
		}
	}
	resp := llm.EmbedResponse{Usage: llm.Usage{PromptTokens: p.usage}}
	for _, text := range req.Inputs {
		resp.Vectors = append(resp.Vectors, llmtest.Vector(text, 4))
	}
	if p.usage == 0 {
		resp.Usage.PromptTokens = len(req.Inputs)
	}
	return resp, guard.Report{Attempts: []event.Attempt{{CostNanoUSD: int64(20 * resp.Usage.PromptTokens)}}}, nil
}

func (p *provider) sent() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]sent(nil), p.calls...)
}

// inputs are those of all calls, a call as "a|b".
func (p *provider) inputs() []string {
	var out []string
	for _, c := range p.sent() {
		out = append(out, strings.Join(c.inputs, "|"))
	}
	return out
}

// batching returns a batcher with the defaults of the tests, changed.
func batching(t testing.TB, p *provider, change func(*Config)) *Batcher {
	t.Helper()
	c, err := catalog.Parse([]byte(models), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Limits: Limits{Items: 128, Tokens: 100_000, Bytes: 1 << 20}, Linger: neverLinger, QueryLinger: 2 * time.Millisecond, Calls: 4, QueryCalls: 4}
	if change != nil {
		change(&cfg)
	}
	return New(cfg, p, catalog.NewWatcher(catalog.WatcherConfig{}, c), NewMetrics(prometheus.NewRegistry()))
}

func texts(list ...string) []Text {
	out := make([]Text, len(list))
	for i, text := range list {
		out[i].Text = text
	}
	return out
}

// numbered are n texts of the form p0, p1, ...
func numbered(p string, n int) []Text {
	out := make([]Text, n)
	for i := range out {
		out[i].Text = fmt.Sprint(p, i)
	}
	return out
}

func call(lane event.Lane) guard.Call { return guard.Call{Model: "embed", Lane: lane, Tenant: "acme"} }

// poisoned refuses any call that holds the word.
func poisoned(_ context.Context, inputs []string) error {
	if strings.Contains(strings.Join(inputs, " "), "poison") {
		return event.Invalid("input", "send less", "input too long")
	}
	return nil
}

// slow takes a second, or as long as somebody wants the answer.
func slow(ctx context.Context, _ []string) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return event.Errorf(event.ClassCanceled, "%w", ctx.Err())
	}
}
