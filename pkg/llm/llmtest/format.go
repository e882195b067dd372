package llmtest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
)

// answerSchema is taken by every mode.
const answerSchema = `{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"],"additionalProperties":false}`

// formatted is a request for an answer in a format.
func (s Subject) formatted(prompt string, mode llm.FormatMode) llm.ChatRequest {
	req := s.request(prompt)
	req.Format = &llm.Format{Name: "answer", Schema: json.RawMessage(answerSchema), Strict: json.RawMessage(answerSchema), Mode: mode}
	req.Messages = llm.Instruct(req.Messages, req.Format)
	return req
}

// boundModes are the modes in which a provider sees to the form.
var boundModes = []llm.FormatMode{llm.FormatStrict, llm.FormatSchema, llm.FormatTool}

func chatFormat(t *testing.T, s Subject) {
	for _, mode := range boundModes {
		req := s.formatted(longPrompt, mode)
		var all strings.Builder
		req.OnDelta = func(text string) error { all.WriteString(text); return nil }
		got, err := s.Chat.Chat(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		var value map[string]any
		if err := json.Unmarshal([]byte(got.Text), &value); err != nil || len(value) != 1 || got.FinishReason != "stop" {
			t.Errorf("%s: got %+v, %v; want JSON and finish reason stop", mode, got, err)
		}
		if answer, ok := value["answer"].(string); !ok || answer == "" {
			t.Errorf("%s: got %q, want an answer", mode, got.Text)
		}
		if all.String() != got.Text {
			t.Errorf("%s: pieces make %q, the text is %q", mode, all.String(), got.Text)
		}
	}
	free := s.formatted("Say hello.", llm.FormatNone)
	if got, err := s.Chat.Chat(t.Context(), free); err != nil || got.Text == "" {
		t.Errorf("without a mode: got %+v, %v", got, err)
	}
}

func chatFormatRefused(t *testing.T, s Subject) {
	name, mode, form := s.formatted("hi", llm.FormatSchema), s.formatted("hi", "xml"), s.formatted("hi", llm.FormatStrict)
	name.Format.Name = "not a name"
	form.Format.Strict = nil
	for what, req := range map[string]llm.ChatRequest{"name": name, "mode": mode, "strict without a form": form} {
		_, err := s.Chat.Chat(t.Context(), req)
		wantInvalid(t, what, err)
	}
}

// chatFormatCut: what the token limit cuts off is not passed for a whole answer.
func chatFormatCut(t *testing.T, s Subject) {
	for _, mode := range boundModes {
		req := s.formatted(longPrompt, mode)
		req.MaxTokens = 6
		got, err := s.Chat.Chat(t.Context(), req)
		if err != nil || got.FinishReason != "length" || json.Valid([]byte(got.Text)) {
			t.Errorf("%s: got %+v, %v; want cut JSON and finish reason length", mode, got, err)
		}
	}
}

func chatLogprobs(t *testing.T, s Subject) {
	req := s.request(longPrompt)
	if got, err := s.Chat.Chat(t.Context(), req); err != nil || got.Logprobs != nil {
		t.Errorf("got %+v, %v; want no log probabilities unasked", got.Logprobs, err)
	}
	req.Logprobs = true
	got, err := s.Chat.Chat(t.Context(), req)
	if err != nil || got.Logprobs == nil {
		t.Fatalf("got %+v, %v; want log probabilities", got, err)
	}
	l := *got.Logprobs
	if l.N < 2 || l.Min < llm.MinLogprob || l.Min > l.Q10 || l.Q10 > 0 || l.Mean < l.Min || l.Mean > 0 || l.Margin == nil {
		t.Errorf("got %+v, want Min <= Q10 <= 0, Min <= Mean <= 0 and a margin", l)
	}
	if s.ReportsUsage && l.N > got.Usage.CompletionTokens {
		t.Errorf("%d log probabilities of %d tokens", l.N, got.Usage.CompletionTokens)
	}
}

func chatSeed(t *testing.T, s Subject) {
	seed := int64(7)
	req := s.request("Say hello.")
	req.Seed = &seed
	first, err := s.Chat.Chat(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := s.Chat.Chat(t.Context(), req); err != nil || second.Text != first.Text {
		t.Errorf("got %q, then %q, %v, with the same seed", first.Text, second.Text, err)
	}
}
