package router

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// requests hands the test what the router asks the embedder of a model.
func (r *rig) requests(model string) <-chan *nats.Msg {
	r.T.Helper()
	ch := make(chan *nats.Msg, 10)
	if _, err := r.Bus.Conn().ChanSubscribe(event.EmbedRPC(model), ch); err != nil {
		r.T.Fatal(err)
	}
	return ch
}

// respond answers a request.
func (r *rig) respond(to *nats.Msg, reply event.EmbedReply) {
	r.T.Helper()
	reply.V = event.Version
	data, err := json.Marshal(reply)
	if err == nil {
		err = to.Respond(data)
	}
	if err != nil {
		r.T.Fatal(err)
	}
}

// TestWorkingEmbedderIsWaitedFor: longer than one that is silent, and it is not
// asked again.
func TestWorkingEmbedderIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"}), func(c *Config) { c.RetrieveTimeout = time.Second })
	requests := r.requests("embed")
	r.submit(question("What?"))
	request := stagetest.Wait(t, requests, "a request")
	sign := time.NewTicker(300 * time.Millisecond)
	defer sign.Stop()
	for range 5 {
		<-sign.C
		r.respond(request, event.EmbedReply{Working: true})
	}
	r.respond(request, vectors)
	if task, _ := r.task(); len(task.Sources) != 1 || task.Receipt.RetrievingMS < 1500 {
		t.Errorf("%d sources, receipt %+v; want one, after 1.5 s", len(task.Sources), task.Receipt)
	}
	if n := len(requests); n != 0 {
		t.Errorf("asked another %d times", n)
	}
}

// TestSilentEmbedderIsAskedAgain: another one takes what a dying one took along.
func TestSilentEmbedderIsAskedAgain(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"}))
	requests := r.requests("embed")
	r.submit(question("What?"))
	lost := stagetest.Wait(t, requests, "a request")
	again := stagetest.Wait(t, requests, "another request")
	if string(lost.Data) != string(again.Data) {
		t.Errorf("asked %s, then %s", lost.Data, again.Data)
	}
	r.respond(again, vectors)
	if task, _ := r.task(); len(task.Sources) != 1 || task.Receipt.RetrievingMS < event.Milliseconds(askAgain) {
		t.Errorf("%d sources, receipt %+v; want one, after %s", len(task.Sources), task.Receipt, askAgain)
	}
}

// TestSilentEmbedderIsGivenUp: for a retry of the job.
func TestSilentEmbedderIsGivenUp(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}, func(c *Config) { c.RetrieveTimeout, c.MaxDeliveries = 100*time.Millisecond, 1 })
	r.requests("embed")
	got := r.failure(r.submit(question("What?")))
	if got.Class != event.ClassUnavailable || !strings.Contains(got.Message, "no answer after 100ms") {
		t.Errorf("error %+v, want unavailable after 100 ms", got)
	}
}

// TestQuestionIsInTheLedger: its embedding was paid for the job.
func TestQuestionIsInTheLedger(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"})).embedder(vectors)
	lines := r.Subscribe("weir.ledger.acme.>")
	id := r.submit(question("What?"))
	line, _ := r.line(lines)
	if line.Job != id || line.Step != "query" || line.Model != "embed" || line.CostNanoUSD != 80 || line.Usage.PromptTokens != 4 || line.Catalog == "" {
		t.Errorf("line %+v, want the embedding of %s", line, id)
	}
}

// TestNoEmbeddingModel: the catalog must have the one that the settings name.
func TestNoEmbeddingModel(t *testing.T) {
	t.Parallel()
	store := &fakeStore{current: func(context.Context) (vector.Index, bool, error) { return vector.Index{}, false, nil }}
	r := setup(t, store, func(c *Config) { c.EmbeddingModel = "small" })
	got := r.failure(r.submit(question("What?")))
	if got.Field != "WEIR_ROUTER_EMBEDDING_MODEL" || got.Hint == "" || !strings.Contains(got.Message, `"small"`) {
		t.Errorf("error %+v, want the setting and the model", got)
	}
}
