package llmsim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/llm/openai"
)

// start runs a simulator until the end of the test.
func start(t *testing.T, cfg llmsim.Config) *llmsim.Server {
	t.Helper()
	s, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-s.Ready():
	case err := <-ended:
		t.Fatal(err)
	}
	return s
}

func adapter(t *testing.T, s *llmsim.Server) *openai.Client {
	t.Helper()
	cfg := openai.DefaultConfig(s.URL())
	cfg.APIKey = "sk-sim"
	c, err := openai.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAdapterPassesTheSuite(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(t *testing.T) llmtest.Subject {
		c := adapter(t, start(t, llmsim.DefaultConfig()))
		return llmtest.Subject{
			Chat: c, Embedder: c, ChatModel: "sim-small", EmbedModel: "sim-embed", UnknownModel: "gpt-5-unknown",
			ShorterDimensions: 256, ReportsUsage: true,
		}
	})
}

func TestAdapterAsksOverSources(t *testing.T) {
	t.Parallel()
	s := start(t, llmsim.DefaultConfig())
	c := adapter(t, s)
	const sources = `<source id="1" source="docs/jobs.md" section="Jobs > Safety">Weir keeps every job in a stream until its result is stored, so a job isn't lost when a worker crashes. Counters are &lt;b&gt;small&lt;/b&gt;.</source>
<source id="2" source="docs/web.md" section="Web">The web page lists the collections.</source>
Question: `
	for question, want := range map[string]string{
		"How does Weir keep a job from being lost?": "Weir keeps every job in a stream until its result is stored, so a job isn't lost when a worker crashes. [1]",
		"What is the capital of Mongolia?":          "I don't know.",
	} {
		got, err := c.Chat(t.Context(), llm.ChatRequest{Model: "sim-small", IdempotencyKey: "q", Messages: []llm.Message{
			{Role: "system", Content: "Answer from the sources."}, {Role: "user", Content: sources + question}}})
		if err != nil || got.Text != want || got.FinishReason != "stop" {
			t.Errorf("%s: got %+v, %v", question, got, err)
		}
	}
	ledger := s.Ledger()
	if s.Requests() != 2 || ledger.Chat != 2 || ledger.Statuses[200] != 2 || ledger.Last[0].IdempotencyKey != "q" || !ledger.Last[0].Stream {
		t.Errorf("ledger %+v", ledger)
	}
}

func TestAdapterClassifiesTheSimulatorsErrors(t *testing.T) {
	t.Parallel()
	cfg := llmsim.DefaultConfig()
	cfg.ContextTokens, cfg.InputTokens = 50, 20
	c := adapter(t, start(t, cfg))
	long := strings.Repeat("word ", 200)
	_, chatErr := c.Chat(t.Context(), llm.ChatRequest{Model: "sim-small", Messages: []llm.Message{{Role: "user", Content: long}}})
	_, embedErr := c.Embed(t.Context(), llm.EmbedRequest{Model: "sim-embed", Inputs: []string{long}})
	_, manyErr := c.Embed(t.Context(), llm.EmbedRequest{Model: "sim-embed", Inputs: make([]string, 2049)})
	for name, err := range map[string]error{"chat": chatErr, "embed": embedErr, "2049 inputs": manyErr} {
		var e *event.Error
		if !errors.As(err, &e) || e.Class != event.ClassTooLarge {
			t.Errorf("%s: got %v, want class %s", name, err, event.ClassTooLarge)
		}
	}
	cfg = llmsim.DefaultConfig()
	cfg.APIKey = "another"
	_, err := adapter(t, start(t, cfg)).Embed(t.Context(), llm.EmbedRequest{Model: "sim-embed", Inputs: []string{"a"}})
	if event.AsError(err).Class != event.ClassAuth {
		t.Errorf("got %v, want class %s", err, event.ClassAuth)
	}
}

func TestAdapterTimesOutOnASlowSimulator(t *testing.T) {
	t.Parallel()
	cfg := llmsim.DefaultConfig()
	cfg.TTFT = time.Minute
	s := start(t, cfg)
	c, err := openai.New(openai.Config{BaseURL: s.URL(), Timeouts: openai.Timeouts{FirstToken: 20 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Chat(t.Context(), llm.ChatRequest{Model: "sim-small", Messages: []llm.Message{{Role: "user", Content: "hi"}}})
	if e := event.AsError(err); e.Class != event.ClassUnavailable || !strings.Contains(e.Message, "first token") {
		t.Errorf("got %v, want class %s for the first token", err, event.ClassUnavailable)
	}
}
