package llmtest

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/llm"
)

// stale is what a Meta holds before a call that must replace all of it.
func stale() *llm.Meta {
	return &llm.Meta{Sent: true, Status: 999, RequestID: "stale", Limits: []llm.RateLimit{{Dimension: "stale"}}, TTFT: -time.Hour}
}

// checkMeta makes a call that succeeds, one that is refused before it is sent
// for want of a model, and one with a context that is over.
func checkMeta(t *testing.T, model string, call func(ctx context.Context, model string, m *llm.Meta) error) {
	t.Helper()
	m := stale()
	if err := call(t.Context(), model, m); err != nil {
		t.Fatal(err)
	}
	if !m.Sent || m.Status != http.StatusOK || m.TTFT <= 0 || m.RequestID == "stale" {
		t.Errorf("after a success: %+v, want sent, status 200 and a TTFT", m)
	}
	for _, l := range m.Limits {
		if l.Dimension == "" || l.Dimension == "stale" || l.Limit < -1 || l.Remaining < -1 || l.Reset < -1 {
			t.Errorf("limit %+v", l)
		}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for name, unsent := range map[string]func(m *llm.Meta) error{
		"no model":           func(m *llm.Meta) error { return call(t.Context(), "", m) },
		"context that ended": func(m *llm.Meta) error { return call(over, model, m) },
	} {
		m = stale()
		if err := unsent(m); err == nil || m.Sent || m.Status != 0 || m.RequestID != "" || m.TTFT != 0 || len(m.Limits) != 0 || m.MaybeBilled(err) {
			t.Errorf("%s: %v, %+v; want an error and nothing sent", name, err, m)
		}
	}
}

// refused checks the Meta of a call for a model that does not exist.
func refused(t *testing.T, s Subject, call func(model string, m *llm.Meta) error) {
	t.Helper()
	if s.UnknownModel == "" {
		return
	}
	m := stale()
	if err := call(s.UnknownModel, m); err == nil || !m.Sent || m.Status < 400 || m.Status > 499 || m.TTFT != 0 || m.MaybeBilled(err) {
		t.Errorf("unknown model: %v, %+v; want it sent and refused with status 4xx", err, m)
	}
}

func chatMeta(t *testing.T, s Subject) {
	call := func(ctx context.Context, model string, m *llm.Meta) error {
		req := s.request("Say hello.")
		req.Model, req.Meta = model, m
		_, err := s.Chat.Chat(ctx, req)
		return err
	}
	checkMeta(t, s.ChatModel, call)
	refused(t, s, func(model string, m *llm.Meta) error { return call(t.Context(), model, m) })
	aborted := s.request(longPrompt)
	aborted.Meta = stale()
	aborted.OnDelta = func(string) error { return errors.New("enough") }
	if _, err := s.Chat.Chat(t.Context(), aborted); !aborted.Meta.MaybeBilled(err) || aborted.Meta.TTFT <= 0 {
		t.Errorf("aborted: %v, %+v; want it sent, maybe billed, with a TTFT", err, aborted.Meta)
	}
}

func embedMeta(t *testing.T, s Subject) {
	call := func(ctx context.Context, model string, m *llm.Meta) error {
		_, err := s.Embedder.Embed(ctx, llm.EmbedRequest{Model: model, Inputs: []string{"a", "b"}, Meta: m})
		return err
	}
	checkMeta(t, s.EmbedModel, call)
	refused(t, s, func(model string, m *llm.Meta) error { return call(t.Context(), model, m) })
}

func rerankMeta(t *testing.T, s Subject) {
	checkMeta(t, s.RerankModel, func(ctx context.Context, model string, m *llm.Meta) error {
		_, err := s.Reranker.Rerank(ctx, llm.RerankRequest{Model: model, Query: rerankQuery, Documents: passages(), Meta: m})
		return err
	})
}
