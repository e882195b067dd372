package llmtest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

func TestFakePassesTheSuite(t *testing.T) {
	t.Parallel()
	llmtest.Run(t, func(*testing.T) llmtest.Subject {
		f := &llmtest.Fake{Models: []string{"chat", "embed", "rerank"}}
		return llmtest.Subject{
			Chat: f, Embedder: f, Reranker: f, ChatModel: "chat", EmbedModel: "embed", RerankModel: "rerank", UnknownModel: "nobody",
			ShorterDimensions: 4, ReportsUsage: true,
		}
	})
}

func TestFakeRecordsAndCallsItsFuncs(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	f := &llmtest.Fake{
		ChatFunc:  func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) { return llm.ChatResponse{}, boom },
		EmbedFunc: func(context.Context, llm.EmbedRequest) (llm.EmbedResponse, error) { return llm.EmbedResponse{}, boom },
		RerankFunc: func(context.Context, llm.RerankRequest) (llm.RerankResponse, error) {
			return llm.RerankResponse{}, boom
		},
	}
	if _, err := f.Chat(t.Context(), llm.ChatRequest{Model: "a"}); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	if _, err := f.Embed(t.Context(), llm.EmbedRequest{Model: "b"}); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	if _, err := f.Rerank(t.Context(), llm.RerankRequest{Model: "c"}); !errors.Is(err, boom) {
		t.Errorf("got %v, want %v", err, boom)
	}
	if len(f.Reranks()) != 1 || f.Reranks()[0].Model != "c" {
		t.Errorf("recorded %+v", f.Reranks())
	}
	if len(f.Chats()) != 1 || f.Chats()[0].Model != "a" || len(f.Embeds()) != 1 || f.Embeds()[0].Model != "b" {
		t.Errorf("recorded %+v and %+v", f.Chats(), f.Embeds())
	}
}
