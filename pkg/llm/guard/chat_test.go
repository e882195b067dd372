package guard

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// shapedRequest wants all that a model may lack.
func shapedRequest() llm.ChatRequest {
	seed, temperature := int64(7), 0.5
	schema := json.RawMessage(`{"type":"object","properties":{"answer":{"type":"string"}}}`)
	return llm.ChatRequest{
		Messages: []llm.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "hi"}},
		Seed:     &seed, Temperature: &temperature, Logprobs: true,
		Format: &llm.Format{Name: "answer", Schema: schema, Strict: schema},
	}
}

// TestChatShape: a model is asked for what it can do by the catalog.
func TestChatShape(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	g := guarded(t, dialFake(fake))
	for _, tc := range []struct {
		model                       string
		mode                        llm.FormatMode
		noStrict                    bool
		logprobs, seed, temperature bool
	}{
		{model: "strict", mode: llm.FormatStrict, logprobs: true, seed: true, temperature: true},
		{model: "strict", mode: llm.FormatSchema, noStrict: true, logprobs: true, seed: true, temperature: true},
		{model: "shaped", mode: llm.FormatSchema, temperature: true},
		{model: "tools", mode: llm.FormatTool},
		{model: "bare", mode: llm.FormatNone, temperature: true},
	} {
		req := shapedRequest()
		if tc.noStrict {
			req.Format.Strict = nil
		}
		before := shapedRequest()
		resp, _, err := g.Chat(t.Context(), Call{Tenant: "acme", Job: "j-" + tc.model + string(tc.mode), Step: "s", Epoch: 1, Model: tc.model, Attempts: 1}, req)
		if err != nil {
			t.Fatalf("%s: %v", tc.model, err)
		}
		calls := fake.Chats()
		got := calls[len(calls)-1]
		if got.Format.Mode != tc.mode || got.Logprobs != tc.logprobs || (got.Seed != nil) != tc.seed || (got.Temperature != nil) != tc.temperature {
			t.Errorf("%s: sent mode %s, logprobs %v, seed %v, temperature %v; want %+v", tc.model, got.Format.Mode, got.Logprobs, got.Seed, got.Temperature, tc)
		}
		if (resp.Logprobs != nil) != tc.logprobs {
			t.Errorf("%s: log probabilities %+v", tc.model, resp.Logprobs)
		}
		system := got.Messages[0].Content
		holdsSchema := strings.Contains(system, string(req.Format.Schema))
		if len(got.Messages) != 2 || !strings.Contains(system, "JSON") || holdsSchema != (tc.mode == llm.FormatNone) {
			t.Errorf("%s: messages %+v", tc.model, got.Messages)
		}
		if req.Format.Mode != "" || !reflect.DeepEqual(req.Messages, before.Messages) {
			t.Errorf("%s: the caller's request was changed to %+v", tc.model, req)
		}
	}
}

// TestChatCountsTheSchema: it is input whichever way it travels.
func TestChatCountsTheSchema(t *testing.T) {
	t.Parallel()
	g := guarded(t, dialFake(&llmtest.Fake{}))
	<-g.ready
	for _, name := range []string{"strict", "tools", "bare"} {
		m, err := g.find(name, "chat")
		if err != nil {
			t.Fatal(err)
		}
		plain, full := shapedRequest(), shapedRequest()
		plain.Format = nil
		full.Format.Schema = json.RawMessage(`{"type":"object","title":"` + strings.Repeat("many words ", 500) + `"}`)
		shape(&plain, m.Supports)
		shape(&full, m.Supports)
		sized := withAll(full)
		few, err := g.estimateChat(m, "acme", &plain)
		if err != nil {
			t.Fatal(err)
		}
		many, err := g.estimateChat(m, "acme", &sized)
		if err != nil || many.counted < few.counted+1000 {
			t.Errorf("%s: %d tokens with the schema, %d without, %v", name, many.counted, few.counted, err)
		}
	}
}

// TestReusedSignals: an answer taken from the ledger has its signals.
func TestReusedSignals(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{}
	g := guarded(t, dialFake(fake))
	call := Call{Tenant: "acme", Job: "j1", Step: "s", Epoch: 1, Model: "strict", Attempts: 1}
	first, report, err := g.Chat(t.Context(), call, shapedRequest())
	if err != nil || first.Logprobs == nil {
		t.Fatalf("got %+v, %v", first, err)
	}
	if err := g.ledger.Record(t.Context(), *report.Line); err != nil {
		t.Fatal(err)
	}
	call.Epoch = 2
	second, report, err := g.Chat(t.Context(), call, shapedRequest())
	if err != nil || !reflect.DeepEqual(first, second) || !report.Attempts[0].Reused || len(fake.Chats()) != 1 {
		t.Errorf("got %+v, %+v, %v after %+v", second, report, err, first)
	}
}
