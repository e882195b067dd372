// Package llmtest holds what tests of language models need: the suite every
// llm.Chat, llm.Embedder and llm.Reranker must pass, and a fake for tests of their users.
package llmtest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// Subject is an adapter under test with what it serves.
type Subject struct {
	// Chat, Embedder and Reranker are tested when set.
	Chat     llm.Chat
	Embedder llm.Embedder
	Reranker llm.Reranker
	// ChatModel, EmbedModel and RerankModel are models that exist.
	ChatModel   string
	EmbedModel  string
	RerankModel string
	// UnknownModel is one that doesn't; "" leaves those tests out.
	UnknownModel string
	// ShorterDimensions is a length the embedding model can shorten its
	// vectors to; 0 leaves that test out.
	ShorterDimensions int
	// ReportsUsage says that token counts are reported.
	ReportsUsage bool
}

// Factory returns a fresh subject; it registers its clean-up with t.
type Factory func(t *testing.T) Subject

// longPrompt gets an answer of more than a few tokens from any model.
const longPrompt = "Repeat this sentence word for word: the quick brown fox jumps over the lazy dog while the patient turtle counts seven red boats."

// Run checks the contract of llm.Chat, llm.Embedder and llm.Reranker.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	s := factory(t)
	if s.Chat == nil && s.Embedder == nil && s.Reranker == nil {
		t.Fatal("the factory returned no Chat, Embedder or Reranker")
	}
	if s.Chat != nil {
		runAll(t, factory, "Chat", map[string]func(*testing.T, Subject){
			"Answers":           chatAnswers,
			"DeltasAreTheText":  chatDeltas,
			"DeltaErrorAborts":  chatDeltaError,
			"MaxTokens":         chatMaxTokens,
			"ContextErrors":     chatContext,
			"CancelWhileStream": chatCancelInside,
			"InvalidRequests":   chatInvalid,
			"Meta":              chatMeta,
			"Concurrent":        chatConcurrent,
			"Format":            chatFormat,
			"FormatRefused":     chatFormatRefused,
			"FormatCut":         chatFormatCut,
			"Logprobs":          chatLogprobs,
			"Seed":              chatSeed,
			"Tools":             chatTools,
			"ToolsNotCalled":    chatToolsNotCalled,
			"ToolsRefused":      chatToolsRefused,
		})
	}
	if s.Embedder != nil {
		runAll(t, factory, "Embed", map[string]func(*testing.T, Subject){
			"OrderAndLength":  embedOrder,
			"Dimensions":      embedDimensions,
			"ContextErrors":   embedContext,
			"InvalidRequests": embedInvalid,
			"Meta":            embedMeta,
			"Concurrent":      embedConcurrent,
		})
	}
	if s.Reranker != nil {
		runAll(t, factory, "Rerank", map[string]func(*testing.T, Subject){
			"BestFirst":       rerankOrder,
			"ContextErrors":   rerankContext,
			"InvalidRequests": rerankInvalid,
			"Meta":            rerankMeta,
		})
	}
}

func runAll(t *testing.T, factory Factory, group string, tests map[string]func(*testing.T, Subject)) {
	t.Run(group, func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, factory(t))
			})
		}
	})
}

func (s Subject) request(prompt string) llm.ChatRequest {
	return llm.ChatRequest{Model: s.ChatModel, Messages: []llm.Message{{Role: "user", Content: prompt}}}
}

func chatAnswers(t *testing.T, s Subject) {
	req := s.request("Say hello.")
	zero := 0.0
	req.Temperature, req.IdempotencyKey = &zero, "conformance-1"
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text == "" || got.FinishReason != "stop" || got.Model == "" {
		t.Errorf("got %+v, want a text, finish reason stop and a model", got)
	}
	if s.ReportsUsage && (got.Usage.PromptTokens < 1 || got.Usage.CompletionTokens < 1) {
		t.Errorf("usage %+v, want counts", got.Usage)
	}
}

func chatDeltas(t *testing.T, s Subject) {
	var all strings.Builder
	req := s.request(longPrompt)
	req.OnDelta = func(text string) error {
		if text == "" {
			t.Error("an empty piece")
		}
		all.WriteString(text)
		return nil
	}
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != got.Text {
		t.Errorf("pieces make %q, the text is %q", all.String(), got.Text)
	}
}

func chatDeltaError(t *testing.T, s Subject) {
	stop := errors.New("stop here")
	calls := 0
	req := s.request(longPrompt)
	req.OnDelta = func(string) error { calls++; return stop }
	got, err := s.Chat.Chat(t.Context(), req)
	if !errors.Is(err, stop) || !reflect.DeepEqual(got, llm.ChatResponse{}) {
		t.Errorf("got %+v, %v; want the callback's error and no response", got, err)
	}
	if calls != 1 {
		t.Errorf("OnDelta was called %d times, want 1", calls)
	}
}

func chatMaxTokens(t *testing.T, s Subject) {
	req := s.request(longPrompt)
	req.MaxTokens = 5
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.FinishReason != "length" {
		t.Errorf("finish reason %q of %q, want length", got.FinishReason, got.Text)
	}
	if s.ReportsUsage && got.Usage.CompletionTokens > 5 {
		t.Errorf("%d completion tokens, want at most 5", got.Usage.CompletionTokens)
	}
}

func chatContext(t *testing.T, s Subject) {
	checkContext(t, func(ctx context.Context) error {
		_, err := s.Chat.Chat(ctx, s.request("Say hello."))
		return err
	})
}

func embedContext(t *testing.T, s Subject) {
	checkContext(t, func(ctx context.Context) error {
		_, err := s.Embedder.Embed(ctx, llm.EmbedRequest{Model: s.EmbedModel, Inputs: []string{"a"}})
		return err
	})
}

// checkContext calls with a context that was cancelled and one whose deadline
// has passed.
func checkContext(t *testing.T, call func(context.Context) error) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelLate()
	for _, tc := range []struct {
		ctx   context.Context
		want  error
		class event.Class
	}{{canceled, context.Canceled, event.ClassCanceled}, {late, context.DeadlineExceeded, event.ClassDeadline}} {
		err := call(tc.ctx)
		if !errors.Is(err, tc.want) {
			t.Errorf("got %v, want %v", err, tc.want)
			continue
		}
		if class := event.AsError(err).Class; class != tc.class {
			t.Errorf("class %s of %v, want %s", class, err, tc.class)
		}
	}
}

func chatCancelInside(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req := s.request(longPrompt)
	req.OnDelta = func(string) error {
		cancel()
		return ctx.Err()
	}
	if _, err := s.Chat.Chat(ctx, req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func chatInvalid(t *testing.T, s Subject) {
	noMessages, noModel, unknown := s.request(""), s.request("hi"), s.request("hi")
	noMessages.Messages = nil
	noModel.Model = ""
	unknown.Model = s.UnknownModel
	for name, req := range map[string]llm.ChatRequest{"no messages": noMessages, "no model": noModel, "unknown model": unknown} {
		if name == "unknown model" && s.UnknownModel == "" {
			continue
		}
		_, err := s.Chat.Chat(t.Context(), req)
		wantInvalid(t, name, err)
	}
}

func embedInvalid(t *testing.T, s Subject) {
	for name, req := range map[string]llm.EmbedRequest{
		"no inputs":     {Model: s.EmbedModel},
		"no model":      {Inputs: []string{"a"}},
		"unknown model": {Model: s.UnknownModel, Inputs: []string{"a"}},
	} {
		if name == "unknown model" && s.UnknownModel == "" {
			continue
		}
		_, err := s.Embedder.Embed(t.Context(), req)
		wantInvalid(t, name, err)
	}
}

// wantInvalid checks that err says the request itself is wrong.
func wantInvalid(t *testing.T, name string, err error) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) || e.Class != event.ClassInvalid {
		t.Errorf("%s: got %v, want an *event.Error of class %s", name, err, event.ClassInvalid)
		return
	}
	if e.Message == "" {
		t.Errorf("%s: the error has no message", name)
	}
}

func chatConcurrent(t *testing.T, s Subject) {
	concurrently(func() {
		if got, err := s.Chat.Chat(t.Context(), s.request("Say hello.")); err != nil || got.Text == "" {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func embedConcurrent(t *testing.T, s Subject) {
	concurrently(func() {
		got, err := s.Embedder.Embed(t.Context(), llm.EmbedRequest{Model: s.EmbedModel, Inputs: []string{"a", "b"}})
		if err != nil || len(got.Vectors) != 2 {
			t.Errorf("got %d vectors, %v", len(got.Vectors), err)
		}
	})
}

func concurrently(call func()) {
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(call)
	}
	wg.Wait()
}

func embedOrder(t *testing.T, s Subject) {
	texts := []string{"A job is kept in a durable stream.", "Cats sleep most of the day.", "東京は日本の首都である。", "A job is kept in a durable stream."}
	batch, err := s.Embedder.Embed(t.Context(), llm.EmbedRequest{Model: s.EmbedModel, Inputs: texts, IdempotencyKey: "conformance-2"})
	if err != nil {
		t.Fatal(err)
	}
	if len(batch.Vectors) != len(texts) || batch.Model == "" {
		t.Fatalf("%d vectors of model %q for %d texts", len(batch.Vectors), batch.Model, len(texts))
	}
	if s.ReportsUsage && batch.Usage.PromptTokens < 1 {
		t.Errorf("usage %+v, want a count", batch.Usage)
	}
	for i, text := range texts {
		alone, err := s.Embedder.Embed(t.Context(), llm.EmbedRequest{Model: s.EmbedModel, Inputs: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		if c := cosine(batch.Vectors[i], alone.Vectors[0]); !(c > 0.999) {
			t.Errorf("text %d: cosine %.4f between its vector in the batch and alone", i, c)
		}
	}
	if c := cosine(batch.Vectors[0], batch.Vectors[1]); !(c < 0.999) {
		t.Errorf("cosine %.4f between different texts", c)
	}
}

func embedDimensions(t *testing.T, s Subject) {
	if s.ShorterDimensions == 0 {
		t.Skip("NOT CHECKED: the subject names no ShorterDimensions")
	}
	got, err := s.Embedder.Embed(t.Context(), llm.EmbedRequest{Model: s.EmbedModel, Inputs: []string{"a", "b"}, Dimensions: s.ShorterDimensions})
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range got.Vectors {
		if len(v) != s.ShorterDimensions {
			t.Errorf("vector %d has %d dimensions, want %d", i, len(v), s.ShorterDimensions)
		}
	}
}

// cosine is NaN for vectors of different or no length.
func cosine(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.NaN()
	}
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return dot / math.Sqrt(aa*bb)
}
