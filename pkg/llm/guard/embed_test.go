package guard

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// vectors is the catalog of these tests.
const vectors = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 4, price: [{input: 20}]}
  - {id: judge, provider: sim, upstream: sim-judge, mode: rerank, price: [{input: 3, request: 1000}], limits: {rpm: 60000, tpm: 6000}}
  - {id: free, provider: sim, upstream: sim-free, mode: rerank}
  - {id: strict, provider: sim, upstream: sim-strict, mode: chat, price: [{input: 20, output: 80}], supports: {json_schema: strict, logprobs: true, seed: true}}
  - {id: shaped, provider: sim, upstream: sim-shaped, mode: chat, price: [{input: 20, output: 80}], supports: {json_schema: "yes", tools: true}}
  - {id: tools, provider: sim, upstream: sim-tools, mode: chat, price: [{input: 20, output: 80}], supports: {tools: true, temperature: false}}
  - {id: slow, provider: sim, upstream: sim-slow, mode: chat, price: [{input: 0}], limits: {rpm: 1}}
  - {id: bare, provider: sim, upstream: sim-bare, mode: chat, price: [{input: 20, output: 80}]}
`

// plain is an endpoint that only chats and embeds.
type plain struct{ *llmtest.Fake }

func (plain) Close() {}

// guarded runs a guard of the catalog until the test ends.
func guarded(t *testing.T, dial Dial) *Guard {
	t.Helper()
	c, err := catalog.Parse([]byte(vectors), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b, _ := bustest.New(t)
	g, err := New(Config{Bus: b, Catalog: catalog.NewWatcher(catalog.WatcherConfig{}, c), Dial: dial, Worker: "w",
		Health: DefaultSettings(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("running the guard: %v", err)
		}
	})
	return g
}

func dialFake(f *llmtest.Fake) Dial {
	return func(catalog.Provider, catalog.Model) (llm.Endpoint, error) { return plain{f}, nil }
}

// TestRerank: scores, the provider's name of the model, usage and cost.
func TestRerank(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	g := guarded(t, dialFake(fake))
	resp, report, err := g.Rerank(t.Context(), Call{Model: "judge", Attempts: 3, Lane: event.LaneInteractive},
		llm.RerankRequest{Query: "red boats", Documents: []string{"blue cars", "red boats here"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []llm.Ranked{{Index: 1, Score: 1}, {Index: 0, Score: 0}}; !slices.Equal(resp.Results, want) {
		t.Errorf("results %+v, want %+v", resp.Results, want)
	}
	if calls := fake.Reranks(); len(calls) != 1 || calls[0].Model != "sim-judge" || calls[0].Query != "red boats" {
		t.Errorf("calls %+v", calls)
	}
	a := report.Attempts
	if len(a) != 1 || a[0].Model != "judge" || a[0].PromptTokens != resp.Usage.PromptTokens || a[0].CostNanoUSD != int64(3*a[0].PromptTokens+1000) {
		t.Errorf("attempts %+v, usage %+v", a, resp.Usage)
	}
}

// TestRerankCounts: what a provider does not report we count, the query with each
// document.
func TestRerankCounts(t *testing.T) {
	t.Parallel()
	g := guarded(t, dialFake(&llmtest.Fake{RerankFunc: func(_ context.Context, req llm.RerankRequest) (llm.RerankResponse, error) {
		return llm.RerankResponse{Results: make([]llm.Ranked, len(req.Documents))}, nil
	}}))
	usage := func(documents ...string) int {
		resp, report, err := g.Rerank(t.Context(), Call{Model: "free", Attempts: 1}, llm.RerankRequest{Query: "one two three", Documents: documents})
		if err != nil || len(report.Attempts) != 1 || report.Attempts[0].PromptTokens != resp.Usage.PromptTokens {
			t.Errorf("%+v, %v", report, err)
		}
		return resp.Usage.PromptTokens
	}
	if one, two := usage("a b"), usage("a b", "a b"); one < 5 || two != 2*one {
		t.Errorf("%d tokens for one document, %d for two", one, two)
	}
}

// TestRerankRetries: an outage is tried again, a refusal is not.
func TestRerankRetries(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		class event.Class
		calls int
	}{{event.ClassUnavailable, 2}, {event.ClassInvalid, 1}} {
		fake := &llmtest.Fake{RerankFunc: func(_ context.Context, req llm.RerankRequest) (llm.RerankResponse, error) {
			*req.Meta = llm.Meta{Sent: true, Status: 500}
			return llm.RerankResponse{}, event.Errorf(tc.class, "no")
		}}
		g := guarded(t, dialFake(fake))
		_, report, err := g.Rerank(t.Context(), Call{Model: "free", Attempts: 2}, llm.RerankRequest{Query: "q", Documents: []string{"d"}})
		if event.AsError(err).Class != tc.class || len(fake.Reranks()) != tc.calls || len(report.Attempts) != tc.calls {
			t.Errorf("%s: error %v, %d calls, report %+v; want %d calls", tc.class, err, len(fake.Reranks()), report, tc.calls)
		}
	}
}

// TestRerankRefusals: before anything is called.
func TestRerankRefusals(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	var bare atomic.Bool
	g := guarded(t, func(p catalog.Provider, m catalog.Model) (llm.Endpoint, error) {
		if bare.Load() {
			return struct{ llm.Endpoint }{plain{fake}}, nil
		}
		return dialFake(fake)(p, m)
	})
	ask := func(model, document string) error {
		_, _, err := g.Rerank(t.Context(), Call{Model: model, Attempts: 1}, llm.RerankRequest{Query: "q", Documents: []string{document}})
		return err
	}
	for _, tc := range []struct {
		model, document string
		class           event.Class
		part            string
	}{
		{"embed", "d", event.ClassInvalid, `no rerank model "embed"`},
		{"nobody", "d", event.ClassInvalid, `no rerank model "nobody"`},
		{"judge", strings.Repeat("many words ", 4000), event.ClassTooLarge, "of the limit tpm"},
	} {
		if err := ask(tc.model, tc.document); event.AsError(err).Class != tc.class || !strings.Contains(err.Error(), tc.part) {
			t.Errorf("%s: error %v, want %s with %q", tc.model, err, tc.class, tc.part)
		}
	}
	bare.Store(true)
	if err := ask("free", "d"); event.AsError(err).Class != event.ClassInvalid || !strings.Contains(err.Error(), "can't rerank") {
		t.Errorf("error %v, want one that it can't rerank", err)
	}
	if n := len(fake.Reranks()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// TestEmbedCounts: a provider that reports no usage.
func TestEmbedCounts(t *testing.T) {
	t.Parallel()
	g := guarded(t, dialFake(&llmtest.Fake{EmbedFunc: func(_ context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		return llm.EmbedResponse{Vectors: make([][]float32, len(req.Inputs))}, nil
	}}))
	resp, report, err := g.Embed(t.Context(), Call{Model: "embed", Attempts: 1}, llm.EmbedRequest{Inputs: []string{"one two three"}})
	if err != nil || resp.Usage.PromptTokens != 3 || report.Attempts[0].CostNanoUSD != 60 {
		t.Errorf("usage %+v, report %+v, error %v; want 3 tokens for 60 nano-USD", resp.Usage, report, err)
	}
}
