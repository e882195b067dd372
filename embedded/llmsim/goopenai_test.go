package llmsim_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sashabaranov/go-openai"

	"github.com/weir-dev/weir/embedded/llmsim"
)

// goOpenAI starts a simulator and returns a client of the library and the
// kinds of events its webhook gets.
func goOpenAI(t *testing.T) (*openai.Client, <-chan string) {
	t.Helper()
	events := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ Type string }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		events <- event.Type
	}))
	t.Cleanup(hook.Close)
	cfg := llmsim.DefaultConfig()
	cfg.Answers.Webhook = llmsim.Webhook{URL: hook.URL, Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("k"))}
	client := openai.DefaultConfig("sk-sim")
	client.BaseURL = start(t, cfg).URL()
	return openai.NewClientWithConfig(client), events
}

func userMessage(text string) []openai.ChatCompletionMessage {
	return []openai.ChatCompletionMessage{{Role: "user", Content: text}}
}

func TestGoOpenAIChat(t *testing.T) {
	t.Parallel()
	c, _ := goOpenAI(t)
	params := json.RawMessage(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`)
	request := openai.ChatCompletionRequest{Model: "sim-small", N: 2, LogProbs: true, TopLogProbs: 2, Messages: userMessage("one two")}
	got, err := c.CreateChatCompletion(t.Context(), request)
	if err != nil || len(got.Choices) != 2 || got.Choices[1].Message.Content != "You said: one two" || len(got.Choices[0].LogProbs.Content) != 5 || got.Usage.CompletionTokens != 10 {
		t.Errorf("got %+v, %v", got, err)
	}
	tools := openai.ChatCompletionRequest{Model: "sim-small", Messages: userMessage("What is the weather in Paris?"),
		Tools: []openai.Tool{{Type: "function", Function: &openai.FunctionDefinition{Name: "get_weather", Parameters: params, Strict: true}}}}
	got, err = c.CreateChatCompletion(t.Context(), tools)
	if err != nil || len(got.Choices[0].Message.ToolCalls) != 1 || got.Choices[0].Message.ToolCalls[0].Function.Arguments != `{"city":"Paris"}` {
		t.Fatalf("got %+v, %v", got, err)
	}
	tools.Messages = append(tools.Messages, got.Choices[0].Message, openai.ChatCompletionMessage{Role: "tool", ToolCallID: got.Choices[0].Message.ToolCalls[0].ID, Content: "sunny"})
	if got, err = c.CreateChatCompletion(t.Context(), tools); err != nil || got.Choices[0].Message.Content != "get_weather returned: sunny" {
		t.Errorf("got %+v, %v", got, err)
	}
	shaped := openai.ChatCompletionRequest{Model: "sim-small", Messages: userMessage("The city is Rome."), ResponseFormat: &openai.ChatCompletionResponseFormat{
		Type: "json_schema", JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "place", Strict: true, Schema: params}}}
	if got, err = c.CreateChatCompletion(t.Context(), shaped); err != nil || got.Choices[0].Message.Content != `{"city":"Rome"}` {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestGoOpenAIStream(t *testing.T) {
	t.Parallel()
	c, _ := goOpenAI(t)
	stream, err := c.CreateChatCompletionStream(t.Context(), openai.ChatCompletionRequest{Model: "sim-small", Messages: userMessage("one two three"), StreamOptions: &openai.StreamOptions{IncludeUsage: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	text, tokens := "", 0
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if part.Usage != nil {
			tokens = part.Usage.CompletionTokens
		}
		for _, one := range part.Choices {
			text += one.Delta.Content
		}
	}
	if text != "You said: one two three" || tokens != 6 {
		t.Errorf("got %q, %d tokens", text, tokens)
	}
}

func TestGoOpenAIEmbeddingsAndModerations(t *testing.T) {
	t.Parallel()
	c, _ := goOpenAI(t)
	for _, input := range []any{"one", []string{"one", "two"}, []int{1, 2}, [][]int{{1}, {2, 3}}} {
		for _, format := range []openai.EmbeddingEncodingFormat{"float", "base64"} {
			got, err := c.CreateEmbeddings(t.Context(), openai.EmbeddingRequest{Model: "sim-embed", Input: input, Dimensions: 64, EncodingFormat: format})
			if err != nil || len(got.Data) == 0 || len(got.Data[0].Embedding) != 64 {
				t.Errorf("%v as %s: %d vectors, %v", input, format, len(got.Data), err)
			}
		}
	}
	got, err := c.Moderations(t.Context(), openai.ModerationRequest{Input: "He murdered them."})
	if err != nil || len(got.Results) != 1 || !got.Results[0].Flagged || !got.Results[0].Categories.Violence {
		t.Errorf("got %+v, %v", got, err)
	}
	if models, err := c.ListModels(t.Context()); err != nil || len(models.Models) != 3 {
		t.Errorf("got %+v, %v", models, err)
	}
}

func TestGoOpenAIFilesAndBatches(t *testing.T) {
	t.Parallel()
	c, events := goOpenAI(t)
	file, err := c.CreateFileBytes(t.Context(), openai.FileBytesRequest{Name: "a.jsonl", Bytes: []byte("x"), Purpose: openai.PurposeBatch})
	if err != nil || file.Bytes != 1 || file.Status != "processed" {
		t.Fatalf("got %+v, %v", file, err)
	}
	content, err := c.GetFileContent(t.Context(), file.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if data, err := io.ReadAll(content); err != nil || string(data) != "x" {
		t.Errorf("got %q, %v", data, err)
	}
	if got, err := c.GetFile(t.Context(), file.ID); err != nil || got.ID != file.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	if list, err := c.ListFiles(t.Context()); err != nil || len(list.Files) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	var lines openai.UploadBatchFileRequest
	lines.FileName = "in.jsonl"
	lines.AddChatCompletion("one", openai.ChatCompletionRequest{Model: "sim-small", Messages: userMessage("hi")})
	lines.AddChatCompletion("two", openai.ChatCompletionRequest{Model: "none", Messages: userMessage("hi")})
	batch, err := c.CreateBatchWithUploadFile(t.Context(), openai.CreateBatchWithUploadFileRequest{Endpoint: openai.BatchEndpointChatCompletions, UploadBatchFileRequest: lines})
	if err != nil {
		t.Fatal(err)
	}
	if kind := <-events; kind != "batch.completed" {
		t.Errorf("event %s", kind)
	}
	batch, err = c.RetrieveBatch(t.Context(), batch.ID)
	if err != nil || batch.Status != "completed" || batch.RequestCounts != (openai.BatchRequestCounts{Total: 2, Completed: 1, Failed: 1}) || batch.OutputFileID == nil || batch.ErrorFileID == nil {
		t.Errorf("got %+v, %v", batch, err)
	}
	if _, err := c.CancelBatch(t.Context(), batch.ID); err == nil || !strings.Contains(err.Error(), "completed") {
		t.Errorf("cancelling a completed batch: %v", err)
	}
	if list, err := c.ListBatch(t.Context(), nil, nil); err != nil || len(list.Data) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	if err := c.DeleteFile(t.Context(), file.ID); err != nil {
		t.Error(err)
	}
}

func TestGoOpenAIResponses(t *testing.T) {
	t.Parallel()
	c, events := goOpenAI(t)
	background, err := c.CreateResponse(t.Context(), openai.CreateResponseRequest{Model: "sim-small", Input: "hi there", Background: true})
	if err != nil {
		t.Fatal(err)
	}
	if kind := <-events; kind != "response.completed" {
		t.Errorf("event %s", kind)
	}
	got, err := c.RetrieveResponse(t.Context(), background.ID)
	if err != nil || got.Status != "completed" || len(got.Output) != 1 || got.Usage.OutputTokens != 5 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.DeleteResponse(t.Context(), background.ID); err != nil {
		t.Error(err)
	}
	stream, err := c.CreateResponseStream(t.Context(), openai.CreateResponseRequest{Model: "sim-small", Input: "hi there"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	text, last := "", openai.ResponseStreamEvent{}
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, last = text+event.Delta, event
	}
	if text != "You said: hi there" || last.Type != "response.completed" || last.Response.Status != "completed" {
		t.Errorf("got %q, last %+v", text, last)
	}
}
