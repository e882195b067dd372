package event_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/internal/golden"
)

func ptr[T any](v T) *T { return &v }

var envelope = event.Envelope{V: 1, ID: "j1", Tenant: "acme", Lane: event.LaneBatch,
	Deadline: at.Add(time.Hour), SubmittedAt: at}

var receipt = event.Receipt{
	Attempts:     []event.Attempt{{Model: "big", PromptTokens: 10, CompletionTokens: 2, CostNanoUSD: 30, DurationMS: 1.5, TTFTMS: 0.5}},
	PromptTokens: 10, CompletionTokens: 2, CostNanoUSD: 30, WaitingMS: 1, RetrievingMS: 2, GeneratingMS: 3, TotalMS: 6.25,
}

// TestWireFormat: these files are what other programs read and write. A field
// may be added; one that changes its name or type needs a new version.
func TestWireFormat(t *testing.T) {
	t.Parallel()
	source := event.Source{Number: 1, Document: "d1", Source: "a.md", Title: "A", Section: []string{"One", "Two"}, Score: 0.5}
	document := event.Document{ID: "d1", Source: "a.md", Title: "A", MediaType: "text/markdown", Text: "hello", Metadata: map[string]string{"k": "v"}}
	messages := []event.Message{{Role: "user", Content: "why? <&>"}}
	golden.JSON(t, "generate_job", event.Decode[event.GenerateJob], event.GenerateJob{Envelope: envelope, Model: "big", Messages: messages,
		RAG: &event.RAG{Collection: "docs", TopK: 5}, MaxTokens: 100, Temperature: ptr(0.0), Stream: true})
	golden.JSON(t, "generate_job_least", event.Decode[event.GenerateJob], event.GenerateJob{Envelope: event.Envelope{V: 1, ID: "j1"}, Messages: messages})
	golden.JSON(t, "ingest_job", event.Decode[event.IngestJob], event.IngestJob{Envelope: envelope, Collection: "docs", Document: document})
	golden.JSON(t, "chunk_batch", event.Decode[event.ChunkBatch], event.ChunkBatch{Envelope: envelope, Collection: "docs", Document: event.Document{ID: "d1", Data: []byte{0, 255}},
		DocumentVersion: at.UnixMicro(), Model: "small", Batch: 1, Kind: event.KindIngest, Receipt: receipt,
		Chunks: []event.Chunk{{ID: "c1", Prefix: "A", Text: "hello", Section: []string{"One"}, Hash: event.ChunkHash("Ahello"), Tokens: 1}}})
	golden.JSON(t, "generate_task", event.Decode[event.GenerateTask], event.GenerateTask{Envelope: envelope, Model: "big", Messages: messages,
		Sources: []event.Source{source}, MaxTokens: 100, Temperature: ptr(0.7), Stream: true, Receipt: receipt})
	golden.JSON(t, "result_answer", event.Decode[event.Result], event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK,
		Answer:  &event.Answer{Text: "so [1]", Citations: []event.Source{source}, FinishReason: "stop", Model: "big"},
		Receipt: receipt, FinishedAt: at})
	golden.JSON(t, "result_ingested", event.Decode[event.Result], event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindIngest, Status: event.StatusOK,
		Ingested: &event.Ingested{Collection: "docs", Document: "d1", Version: 7, Outcome: event.OutcomeStored, Chunks: 1, Tokens: 2, Bytes: 5}, FinishedAt: at})
	golden.JSON(t, "result_failed", event.Decode[event.Result], event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusFailed,
		Error: event.Invalid("model", "use another", "unknown model"), FinishedAt: at})
	golden.JSON(t, "life", event.Decode[event.Life], event.Life{V: 1, ID: "j1", Type: event.LifeRetrying, At: at, Stage: "generator", Attempt: 2, Detail: "d",
		Error: event.Errorf(event.ClassThrottled, "slow down"), RetryMS: 1500})
	golden.JSON(t, "token", event.Decode[event.Token], event.Token{V: 1, ID: "j1", Type: event.TokenDelta, Epoch: 1, Text: "so"})
	golden.JSON(t, "embed_request", event.Decode[event.EmbedRequest], event.EmbedRequest{V: 1, Inputs: []string{"a"}})
	golden.JSON(t, "embed_reply", event.Decode[event.EmbedReply], event.EmbedReply{V: 1, Vectors: [][]float32{{0.5, -1}}, Model: "embed", Tokens: 1, CostNanoUSD: 2})
}

// TestCascadeWireFormat is the same of what policies brought.
func TestCascadeWireFormat(t *testing.T) {
	t.Parallel()
	messages := []event.Message{{Role: "user", Content: "how much?"}}
	check := event.Check{Name: "paid", Expr: "answer.total > 0.0", Message: "the total is above 0"}
	gates := event.Gates{Complete: true, Schema: json.RawMessage(`{}`), Checks: []event.Check{check}, Verify: []string{event.VerifyArithmetic},
		Logprobs: true, Calibration: json.RawMessage(`{}`), Tau: 0.8, Paid: []event.PaidSignal{{Signal: "agree", Model: "tiny", K: 2}}}
	judged := event.Judged{Answer: event.Answer{Text: "{}", FinishReason: "stop", Model: "small"}, P: 0.4, Reason: "probability",
		Gates: []event.GateResult{{Name: "probability", Value: ptr(0.4), Threshold: ptr(0.8)}}, Features: map[string]float64{"logprob_mean": -0.5},
		CostNanoUSD: 10, LatencyMS: 5, Paid: map[string]int64{"agree": 3}}
	routed := receipt
	routed.Routing = &event.Routing{Task: "extract", Policy: "p1", Table: "t1", Chain: []string{"small", "large"}, Skipped: []event.Skipped{{Model: "mid", Reason: "parked"}},
		Escalated: []event.Escalation{{Model: "small", Gate: "probability", P: 0.4}}, Reference: "large", ReferenceCostNanoUSD: 99}
	task := event.GenerateTask{Envelope: envelope, Model: "large", Messages: messages, Task: "extract", Question: "how much?", Gates: &gates, Prior: []event.Judged{judged}, Hold: true,
		Compare: &event.Compare{Models: []string{"large"}, Rate: 0.05, Audit: true}, Cache: &event.CachePlan{Key: "ab", TTLMS: 1000, Scope: "cd"}, Hop: 1, Receipt: routed}
	golden.JSON(t, "generate_job_task", event.Decode[event.GenerateJob], event.GenerateJob{Envelope: envelope, Task: "extract", Messages: messages, Schema: gates.Schema,
		Checks: []event.Check{check}, NoCache: true})
	golden.JSON(t, "generate_task_gates", event.Decode[event.GenerateTask], task)
	golden.JSON(t, "route_task_judged", event.Decode[event.RouteTask], event.RouteTask{Envelope: envelope, Task: event.GenerateTask{Envelope: envelope, Model: "small", Messages: messages}, Judged: &judged})
	golden.JSON(t, "observation", event.Decode[event.Observation], event.Observation{Envelope: envelope, Task: "extract", Outcome: json.RawMessage(`{}`), Escalated: true, AuditNanoUSD: 7})
	routed.Cache = &event.CacheHit{Kind: "semantic", Job: "j0", Similarity: 0.9, SavedNanoUSD: 42}
	golden.JSON(t, "result_cascade", event.Decode[event.Result], event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK,
		Answer: &judged.Answer, Receipt: routed, FinishedAt: at})
	rejected := event.Errorf(event.ClassRejected, "no answer was accepted")
	rejected.Violations = []event.Violation{{Path: "/total", Keyword: "type", Message: "got string, want number"}}
	golden.JSON(t, "result_rejected", event.Decode[event.Result], event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusFailed, Error: rejected, FinishedAt: at})
}

// TestToolsWireFormat is the same of tools, embed jobs and batches.
func TestToolsWireFormat(t *testing.T) {
	t.Parallel()
	asks := envelope
	asks.Webhook, asks.Metadata, asks.NotBefore = "https://example.com/hook", map[string]string{"k": "v"}, at
	call := event.ToolCall{ID: "call_1", Type: "function", Function: event.FunctionCall{Name: "look_up", Arguments: `{"city":"Paris"}`}}
	messages := []event.Message{{Role: "user", Content: "Paris?", Name: "ann"}, {Role: "assistant", ToolCalls: []event.ToolCall{call}}, {Role: "tool", Content: "2 million", ToolCallID: "call_1"}}
	tooling := event.Tooling{Tools: json.RawMessage(`[
    {
      "type": "function",
      "function": {
        "name": "look_up"
      }
    }
  ]`), ToolChoice: json.RawMessage(`"auto"`), Params: map[string]json.RawMessage{"top_p": json.RawMessage("0.5")}}
	golden.JSON(t, "generate_job_tools", event.Decode[event.GenerateJob], event.GenerateJob{Envelope: asks, Messages: messages, Tooling: tooling})
	golden.JSON(t, "generate_task_tools", event.Decode[event.GenerateTask], event.GenerateTask{Envelope: asks, Model: "big", Messages: messages, Tooling: tooling})
	golden.JSON(t, "embed_job", event.Decode[event.EmbedJob], event.EmbedJob{Envelope: envelope, Model: "embed", Inputs: []string{"a", "b"}})
	golden.JSON(t, "batch_job", event.Decode[event.BatchJob], event.BatchJob{Envelope: asks, InputFile: "file-1", Endpoint: "/v1/embeddings"})
	spent := receipt
	spent.Asked = &event.Asked{Task: "extract", Collection: "docs", TopK: 5, PromptTokens: 9, MaxTokens: 100, Schema: true, Tools: true}
	end := asks.ResultOf(event.KindGenerate, at)
	end.Answer, end.Receipt = &event.Answer{FinishReason: "tool_calls", Model: "big", ToolCalls: []event.ToolCall{call}}, spent
	golden.JSON(t, "result_tool_calls", event.Decode[event.Result], end)
	end = envelope.ResultOf(event.KindEmbed, at)
	end.Embedded = &event.Embedded{Model: "embed", Dimensions: 2, Vectors: [][]byte{{0, 0, 0, 63, 0, 0, 128, 191}}, Tokens: 1}
	golden.JSON(t, "result_embedded", event.Decode[event.Result], end)
	end = asks.ResultOf(event.KindBatch, at)
	end.Batch = &event.Batch{InputFile: "file-1", OutputFile: "file-2", ErrorFile: "file-3", Total: 3, Completed: 1, Failed: 1, Expired: true, CostNanoUSD: 30}
	golden.JSON(t, "result_batch", event.Decode[event.Result], end)
	golden.JSON(t, "life_waiting", event.Decode[event.Life], event.Life{V: 1, ID: "j1", Type: event.LifeWaiting, At: at, Stage: "generator", Detail: "limit rpm of sim/big (60)",
		RetryMS: 1500, Wait: &event.Wait{Cause: event.WaitLimit, Name: "sim/big rpm", Until: at}})
}

func TestReceiptAdds(t *testing.T) {
	t.Parallel()
	var r event.Receipt
	r.Add(event.Attempt{Model: "a", PromptTokens: 1, CompletionTokens: 2, CostNanoUSD: 3})
	r.Add(event.Attempt{Model: "b", PromptTokens: 10, CompletionTokens: 20, CostNanoUSD: 30})
	if r.PromptTokens != 11 || r.CompletionTokens != 22 || r.CostNanoUSD != 33 || len(r.Attempts) != 2 || r.Attempts[1].Model != "b" {
		t.Errorf("got %+v", r)
	}
	if ms := event.Milliseconds(1500 * time.Microsecond); ms != 1.5 {
		t.Errorf("got %g ms, want 1.5", ms)
	}
}
