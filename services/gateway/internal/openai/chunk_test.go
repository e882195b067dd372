package openai_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

// told is what a job's stream tells: text, or "<restart>".
func run(t *testing.T, c *openai.Chunks, told []string, result event.Result) (chunks []openai.Chunk, err error) {
	t.Helper()
	for _, text := range told {
		if text == "<restart>" {
			c.Restart()
			continue
		}
		more, err := c.Delta(text)
		chunks = append(chunks, more...)
		if err != nil {
			return chunks, err
		}
	}
	more, err := c.Done(result)
	return append(chunks, more...), err
}

// TestChunks: an answer that starts over goes on where it says the same, and ends
// with an error where not.
func TestChunks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		told   []string
		answer string
		broken bool
	}{
		"as it comes":             {[]string{"so ", "it ", "is"}, "so it is", false},
		"nothing":                 {nil, "", false},
		"restart before a piece":  {[]string{"<restart>", "so"}, "so", false},
		"the same again":          {[]string{"so ", "it", "<restart>", "so ", "it is"}, "so it is", false},
		"again in other pieces":   {[]string{"so it", "<restart>", "s", "o i", "t is", "!"}, "so it is!", false},
		"exactly the same":        {[]string{"so", "<restart>", "s", "o"}, "so", false},
		"restarted twice":         {[]string{"so it", "<restart>", "so", "<restart>", "so it is"}, "so it is", false},
		"something else":          {[]string{"so it", "<restart>", "no"}, "no", true},
		"less":                    {[]string{"so it", "<restart>", "so"}, "so", true},
		"nothing after a restart": {[]string{"so", "<restart>"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chat := openai.Chat{Model: "weir/auto", IncludeUsage: true}
			chunks, err := run(t, chat.Chunks("j1", time.Unix(7, 0)), c.told, event.Result{ID: "j1", Status: event.StatusOK,
				Answer: &event.Answer{Text: c.answer, Model: "small", FinishReason: "stop"}, Receipt: event.Receipt{PromptTokens: 1, CompletionTokens: 2}})
			if c.broken {
				status, body := openai.ErrorOf(err)
				if status != 409 || *body.Error.Code != "restarted" || !strings.Contains(body.Error.Message, "j1") {
					t.Errorf("got %d %+v, %v", status, body, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			check(t, chunks, c.answer)
		})
	}
}

// check that the chunks are those of an answer, in the order that OpenAI has.
func check(t *testing.T, chunks []openai.Chunk, answer string) {
	t.Helper()
	var text strings.Builder
	n := len(chunks)
	for i, c := range chunks {
		if c.ID != "chatcmpl-j1" || c.Object != "chat.completion.chunk" || c.Created != 7 {
			t.Errorf("chunk %d: %+v", i, c)
		}
		for _, choice := range c.Choices {
			if (choice.Delta.Role == "assistant") != (i == 0) || (choice.FinishReason != nil) != (i == n-2) {
				t.Errorf("chunk %d of %d: %+v", i, n, choice)
			}
			if choice.Delta.Content != nil {
				text.WriteString(*choice.Delta.Content)
			}
		}
		if usage := string(c.Usage); (usage == "null") == (i == n-1) {
			t.Errorf("chunk %d of %d: usage %s", i, n, usage)
		}
	}
	last := chunks[n-1]
	if text.String() != answer || len(last.Choices) != 0 || last.Model != "small" || chunks[n-2].Weir.Job != "j1" {
		t.Errorf("text %q, last %+v", text.String(), last)
	}
}

func TestChunksOfToolCalls(t *testing.T) {
	t.Parallel()
	chunks, err := run(t, openai.Chat{Model: "m"}.Chunks("j1", time.Unix(7, 0)), nil, event.Result{ID: "j1", Answer: &event.Answer{
		ToolCalls: []event.ToolCall{{ID: "a", Type: "function", Function: event.FunctionCall{Name: "f", Arguments: "{}"}}, {ID: "b"}}}})
	if err != nil || len(chunks) != 3 {
		t.Fatalf("got %+v, %v", chunks, err)
	}
	data, err := json.Marshal(chunks[1].Choices[0].Delta)
	const want = `{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"index":1,"id":"b","type":"","function":{"name":"","arguments":""}}]}`
	if err != nil || string(data) != want || *chunks[2].Choices[0].FinishReason != "tool_calls" || chunks[2].Usage != nil {
		t.Errorf("got %s, %+v, %v", data, chunks[2], err)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	var names []string
	for _, m := range openai.ModelsOf(cat(), "acme").Data {
		names = append(names, m.ID)
	}
	if got := strings.Join(names, " "); got != "weir/auto weir/support small" {
		t.Errorf("acme may use %s", got)
	}
	if n := len(openai.ModelsOf(cat(), "zeta").Data); n != 6 {
		t.Errorf("zeta may use %d", n)
	}
	if m, err := openai.ModelOf(cat(), "acme", "gpt"); err != nil || m.ID != "gpt" {
		t.Errorf("got %+v, %v", m, err)
	}
}
