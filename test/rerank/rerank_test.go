// Package rerank tests the way to rerank models against the simulator.
package rerank

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/llm/openai"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// models are the three shapes of rerank endpoints at the simulator.
const models = `
version: 1
providers:
  - {id: jina, base_url: SIM, dialect: sim}
  - {id: cohere, base_url: SIM, dialect: sim, override: {rerank: cohere}}
  - {id: tei, base_url: SIM, dialect: tei}
  - {id: none, base_url: SIM, dialect: openai}
models:
  - {id: jina, provider: jina, upstream: sim-rerank, mode: rerank, price: [{input: 2, request: 500}], limits: {rpm: 6000, tpm: 600000}}
  - {id: cohere, provider: cohere, upstream: sim-rerank, mode: rerank, price: [{input: 0, request: 500}]}
  - {id: tei, provider: tei, upstream: sim-rerank, mode: rerank}
  - {id: none, provider: none, upstream: sim-rerank, mode: rerank}
`

// guarded is a guard in front of a simulator.
func guarded(t *testing.T, cfg llmsim.Config) *guard.Guard {
	t.Helper()
	k := stagetest.New(t)
	sim, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	k.Start(sim)
	c, err := catalog.Parse([]byte(strings.ReplaceAll(models, "SIM", `"`+sim.URL()+`"`)), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	g, err := guard.New(guard.Config{Bus: k.Bus, Catalog: catalog.NewWatcher(catalog.WatcherConfig{}, c), Worker: "w", Health: guard.DefaultSettings(),
		Dial: openai.NewDialer(func(string) string { return "" }).Dial})
	if err != nil {
		t.Fatal(err)
	}
	k.Start(g)
	return g
}

var question = llm.RerankRequest{Query: "how many red boats does the turtle count", Documents: []string{
	"Cats sleep most of the day.", "Bread needs flour and water.", "The turtle does count seven red boats."}}

func ask(t *testing.T, g *guard.Guard, model string) (llm.RerankResponse, guard.Report, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	return g.Rerank(ctx, guard.Call{Model: model, Lane: event.LaneInteractive, Attempts: 3}, question)
}

// TestShapes: all shapes of the endpoint give the same order, and a receipt.
func TestShapes(t *testing.T) {
	t.Parallel()
	g := guarded(t, llmsim.DefaultConfig())
	for _, model := range []string{"jina", "cohere", "tei"} {
		resp, report, err := ask(t, g, model)
		if err != nil {
			t.Errorf("%s: %v", model, err)
			continue
		}
		if len(resp.Results) != 3 || resp.Results[0].Index != 2 || resp.Results[0].Score <= resp.Results[1].Score {
			t.Errorf("%s: results %+v, want document 2 first", model, resp.Results)
		}
		cost := map[string]int64{"jina": int64(2*resp.Usage.PromptTokens + 500), "cohere": 500, "tei": 0}[model]
		if a := report.Attempts; len(a) != 1 || a[0].PromptTokens != resp.Usage.PromptTokens || a[0].PromptTokens < 30 || a[0].CostNanoUSD != cost {
			t.Errorf("%s: attempts %+v, usage %+v; want one for %d nano-USD", model, a, resp.Usage, cost)
		}
	}
	if _, _, err := ask(t, g, "none"); event.AsError(err).Class != event.ClassInvalid || !strings.Contains(err.Error(), "no rerank endpoint") {
		t.Errorf("without an endpoint: %v", err)
	}
}

// TestFaults: an outage is tried again, being throttled is waited for and no
// attempt, a refusal is final.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		action   llmsim.Action
		class    event.Class // "" succeeds
		attempts []event.Class
	}{
		{"outage", llmsim.Action{Status: http.StatusServiceUnavailable}, "", []event.Class{event.ClassUnavailable, ""}},
		{"throttled", llmsim.Action{Status: http.StatusTooManyRequests}, "", []event.Class{""}},
		{"refused", llmsim.Action{Status: http.StatusBadRequest, Body: `{"error":{"message":"bad query","type":"invalid_request_error"}}`}, event.ClassInvalid, []event.Class{event.ClassInvalid}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := llmsim.DefaultConfig()
			cfg.Faults.Rules = []llmsim.Fault{{Match: llmsim.Match{Endpoint: "rerank", Nth: 1}, Do: tc.action}}
			_, report, err := ask(t, guarded(t, cfg), "jina")
			if (err == nil) != (tc.class == "") || err != nil && event.AsError(err).Class != tc.class {
				t.Errorf("error %v, want class %q", err, tc.class)
			}
			var got []event.Class
			for _, a := range report.Attempts {
				got = append(got, a.Error)
			}
			if !slices.Equal(got, tc.attempts) {
				t.Errorf("attempts %q, want %q", got, tc.attempts)
			}
		})
	}
}
