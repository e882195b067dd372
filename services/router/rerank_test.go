package router

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// judged is a catalog with a collection that a model reranks.
const judged = text + "  - {id: handbook, rerank: judge}\n"

// ranked are n chunks, the best of which is the first.
func ranked(n int) []vector.Chunk {
	var chunks []vector.Chunk
	for i := range n {
		chunks = append(chunks, vector.Chunk{Document: fmt.Sprintf("d%02d", i), Prefix: "Title\n\n", Text: fmt.Sprint("Passage ", i)})
	}
	return chunks
}

// TestModelReranks: the order is that of its scores; the receipt and the ledger
// have the call.
func TestModelReranks(t *testing.T) {
	t.Parallel()
	r := setupWith(t, judged, finds(ranked(3)...)).embedder(vectors).
		answers(event.RerankRPC("judge"), event.RerankReply{V: event.Version, Scores: []float64{0.1, 0.3, 0.9}, Tokens: 20, CostNanoUSD: 100})
	lines := r.Subscribe("weir.ledger.acme.>")
	task := r.asked(question("Which passage?"))
	if got := documents(task.Sources); !slices.Equal(got, []string{"d02", "d00", "d01"}) { // the best at both ends
		t.Errorf("sources %q, want d02 first and d01 last", got)
	}
	receipt := task.Receipt
	if len(receipt.Attempts) != 2 || receipt.Attempts[1].Model != "judge" || receipt.Attempts[1].Catalog == "" || receipt.CostNanoUSD != 180 || receipt.PromptTokens != 24 ||
		receipt.Retrieval.Reranker != "judge" {
		t.Errorf("receipt %+v of %+v, want the embedding and the reranking", receipt, receipt.Retrieval)
	}
	for i, want := range []string{"embed", "judge"} {
		line, _ := r.line(lines)
		if line.Model != want || line.Call != i+1 || line.Step != "query" {
			t.Errorf("line %+v, want call %d of %s", line, i+1, want)
		}
	}
	reply, got := r.found("Which passage?", handbook)
	if !slices.Equal(got, []string{"d021", "d011", "d001"}) || reply.Reranker != "judge" || reply.CostNanoUSD != 180 || reply.Tokens != 24 {
		t.Errorf("found %q in %+v", got, reply)
	}
	if h := reply.Hits[0]; h.Number != 1 || h.Fused != 3 || h.Rerank == nil || *h.Rerank != 0.9 {
		t.Errorf("hit %+v, want the third of the fusion", h)
	}
}

// TestTheBestAreReranked: of many passages the first 20; the others stay behind.
func TestTheBestAreReranked(t *testing.T) {
	t.Parallel()
	r := setupWith(t, judged, finds(ranked(25)...)).embedder(vectors)
	requests := make(chan *nats.Msg, 10)
	if _, err := r.Bus.Conn().ChanSubscribe(event.RerankRPC("judge"), requests); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		names []string
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		reply, err := r.Client.Query(t.Context(), "acme", event.QueryRequest{Text: "Which passage?", RAG: event.RAG{Collection: "handbook", TopK: 25}})
		var names []string
		for _, h := range reply.Hits {
			names = append(names, h.Document)
		}
		answers <- answer{names, err}
	}()
	msg := stagetest.Wait(t, requests, "a request")
	request, err := event.Decode[event.RerankRequest](msg.Data)
	if err != nil || request.Query != "Which passage?" || len(request.Passages) != rerank.Depth || request.Passages[3] != "Title\n\nPassage 3" {
		t.Errorf("request %+v (%v), want the question and 20 passages", request, err)
	}
	scores := make([]float64, rerank.Depth)
	for i := range scores {
		scores[i] = float64(i)
	}
	data, err := json.Marshal(event.RerankReply{V: event.Version, Scores: scores})
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := stagetest.Wait(t, answers, "an answer")
	if got.err != nil || len(got.names) != 25 || got.names[0] != "d19" || got.names[19] != "d00" || got.names[20] != "d20" {
		t.Errorf("found %q (%v), want the first 20 turned round", got.names, got.err)
	}
}

// TestRerankErrors are those of the job: what was paid until then is told.
func TestRerankErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		reply *event.RerankReply // nil: nobody is there
		class event.Class
		has   string
	}{
		{"too few scores", &event.RerankReply{Scores: []float64{1}}, event.ClassInternal, "1 scores for 2 passages"},
		{"too many scores", &event.RerankReply{Scores: []float64{1, 2, 3}}, event.ClassInternal, "3 scores for 2 passages"},
		{"throttled", &event.RerankReply{Failure: event.FailureOf(event.Errorf(event.ClassThrottled, "slow down"))}, event.ClassThrottled, "slow down"},
		{"nobody there", nil, event.ClassUnavailable, "reranking"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := setupWith(t, judged, finds(ranked(2)...), func(c *Config) { c.MaxDeliveries = 1 }).embedder(vectors)
			if tc.reply != nil {
				tc.reply.V = event.Version
				r.answers(event.RerankRPC("judge"), tc.reply)
			}
			lines := r.Subscribe("weir.ledger.acme.>")
			id := r.submit(question("Which passage?"))
			got := r.failure(id)
			if got.Class != tc.class || !strings.Contains(got.Message, tc.has) {
				t.Errorf("error %+v, want %s with %q", got, tc.class, tc.has)
			}
			if tc.reply == nil && got.Hint != `start an embedder for model "judge"` {
				t.Errorf("hint %q", got.Hint)
			}
			if receipt := r.Result(id).Receipt; receipt.CostNanoUSD != 80 {
				t.Errorf("receipt %+v, want the embedding", receipt)
			}
			if line, _ := r.line(lines); line.Job != id || line.Model != "embed" || line.CostNanoUSD != 80 {
				t.Errorf("line %+v, want the embedding, which was paid", line)
			}
		})
	}
}

// TestOnePassageIsNotReranked: there is nothing to order.
func TestOnePassageIsNotReranked(t *testing.T) {
	t.Parallel()
	r := setupWith(t, judged, finds(ranked(1)...)).embedder(vectors)
	if task := r.asked(question("Which passage?")); len(task.Sources) != 1 || task.Receipt.Retrieval.Reranker != "" {
		t.Errorf("sources %q, retrieval %+v", documents(task.Sources), task.Receipt.Retrieval)
	}
}

// TestRerankers: without one the order is the fusion's; by features, that of their
// scores. Both find the same.
func TestRerankers(t *testing.T) {
	t.Parallel()
	for _, reranker := range []string{"none", "linear"} {
		t.Run(reranker, func(t *testing.T) {
			t.Parallel()
			r := setupWith(t, text+"  - {id: handbook, rerank: "+reranker+"}\n", finds(
				vector.Chunk{Document: "a", Text: "Fish pass the weir by a ladder."},
				vector.Chunk{Document: "b", Text: "The moon circles the earth in 27 days."},
				vector.Chunk{Document: "c", Text: "The earth circles the sun in 365 days."})).embedder(vectors)
			reply, got := r.found("In how many days does the earth circle the sun?", handbook)
			if sorted := slices.Sorted(slices.Values(got)); !slices.Equal(sorted, []string{"a1", "b1", "c1"}) {
				t.Errorf("found %q, want all three", got)
			}
			scored := reply.Reranker == "linear"
			for i, h := range reply.Hits {
				if (h.Rerank != nil) != scored || scored && i > 0 && *h.Rerank > *reply.Hits[i-1].Rerank || !scored && h.Fused != i+1 {
					t.Errorf("hit %d is %+v of %s", i+1, h, reply.Reranker)
				}
			}
			if reranker == "none" && scored {
				t.Error("reranked against the collection's will")
			}
		})
	}
}
