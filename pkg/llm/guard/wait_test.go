package guard

import (
	"context"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// TestWaitsNameWhatHolds: the limit, the breaker, or the failure before.
func TestWaitsNameWhatHolds(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	fake.ChatFunc = func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		switch req.Model {
		case "sim-bare":
			return llm.ChatResponse{}, &event.Error{Class: event.ClassQuota, Message: "no credit", RetryAfter: time.Hour}
		case "sim-shaped":
			return llm.ChatResponse{}, event.Errorf(event.ClassUnavailable, "down")
		}
		return llm.ChatResponse{Text: "ok", FinishReason: "stop"}, nil
	}
	g := guarded(t, dialFake(fake))
	hi := llm.ChatRequest{Messages: []llm.Message{{Role: "user", Content: "hi"}}}
	for model, want := range map[string]event.Wait{
		"slow":   {Cause: event.WaitLimit, Name: "sim.slow rpm"},
		"bare":   {Cause: event.WaitBreaker, Name: "sim/bare"},
		"shaped": {Cause: event.WaitRetry, Name: "shaped"},
	} {
		call := Call{Tenant: "acme", Job: "first-" + model, Step: "s", Epoch: 1, Model: model, Attempts: 1}
		if model == "bare" { // its refusal parks it
			if _, _, err := g.Chat(t.Context(), call, hi); err == nil {
				t.Fatal("answered")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		var got event.Wait
		call.Job, call.Attempts = "second-"+model, 2
		call.OnWait = func(w Wait) { got = w.Event(); cancel() }
		_, _, err := g.Chat(ctx, call, hi)
		cancel()
		if err == nil || got.Cause != want.Cause || got.Name != want.Name || got.Until.IsZero() {
			t.Errorf("%s: held by %+v (%v), want %+v", model, got, err, want)
		}
	}
}
