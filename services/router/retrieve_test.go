package router

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

func TestSearchStaysInTenantAndCollection(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"})).embedder(vectors)
	r.submit(question("What?"))
	task, _ := r.task()
	got := r.store.queries()
	if len(got) != 1 || got[0].Scope != scope || !slices.Equal(got[0].Dense, []float32{0.6, 0.8}) || !got[0].Scores {
		t.Errorf("queries %+v, want one in %+v with the question's vector", got, scope)
	}
	if idx := (vector.Index{Name: vector.DefaultIndex, Model: "embed", Dimension: 2}); r.store.indexes[0] != idx {
		t.Errorf("index %+v, want %+v", r.store.indexes[0], idx)
	}
	receipt := task.Receipt
	if receipt.PromptTokens != 4 || receipt.CostNanoUSD != 80 || len(receipt.Attempts) != 1 || receipt.Attempts[0].Model != "embed" {
		t.Errorf("receipt %+v, want the embedding of the question", receipt)
	}
	if receipt.RetrievingMS <= 0 || receipt.WaitingMS < 0 {
		t.Errorf("receipt %+v, want the time of the retrieval", receipt)
	}
	if life := r.Life(event.LifePlanned); life.Detail != "model small, 1 sources" {
		t.Errorf("life %+v, want one source", life)
	}
}

func TestTopK(t *testing.T) {
	t.Parallel()
	var chunks []vector.Chunk
	for i := range event.MaxTopK {
		chunks = append(chunks, vector.Chunk{Document: fmt.Sprint("d", i), Text: fmt.Sprint("Text ", i)})
	}
	r := setupWith(t, text+"  - {id: minutes, top_k: 4}", finds(chunks...), func(c *Config) { c.TopK, c.ContextTokens = 5, 1e6 }).embedder(vectors)
	for _, tc := range []struct{ job, shown, searched int }{{0, 5, 20}, {3, 3, 20}, {100, 100, 200}} {
		job := question("What?")
		job.RAG.TopK = tc.job
		task := r.asked(job)
		got := r.store.queries()
		if len(task.Sources) != tc.shown || got[len(got)-1].TopK != tc.searched {
			t.Errorf("job's top_k %d: %d sources of %d wanted, want %d of %d", tc.job, len(task.Sources), got[len(got)-1].TopK, tc.shown, tc.searched)
		}
	}
}

// TestUnknownCollection differs from one that holds nothing near: the first is
// a mistake in the job, the second an answer.
func TestUnknownCollection(t *testing.T) {
	t.Parallel()
	store := &fakeStore{count: func(scope vector.Scope) (int, error) {
		if scope == (vector.Scope{Tenant: "acme", Collection: "handbook"}) {
			return 3, nil
		}
		return 0, nil
	}}
	r := setup(t, store).embedder(vectors)
	job := question("What?")
	job.RAG.Collection = "hand-book"
	id := r.submit(job)
	got := r.failure(id)
	if receipt := r.Result(id).Receipt; receipt.CostNanoUSD != 80 {
		t.Errorf("receipt %+v, want the embedding of the question", receipt)
	}
	if got.Class != event.ClassInvalid || got.Field != "rag.collection" || got.Hint == "" ||
		!strings.Contains(got.Message, `"acme"`) || !strings.Contains(got.Message, `"hand-book"`) {
		t.Errorf("error %+v, want an unknown collection of the tenant", got)
	}
	if got := r.OK(event.KindGenerate, r.submit(question("What?"))).Answer; got.FinishReason != event.FinishAbstained {
		t.Errorf("answer %+v, want none: nothing was found", got)
	}
}

func TestLastMessageMustAsk(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"})).embedder(vectors)
	job := question("What?")
	job.Messages = append(job.Messages, event.Message{Role: "assistant", Content: "That."})
	got := r.failure(r.submit(job))
	if got.Class != event.ClassInvalid || got.Field != "messages[1].role" || got.Hint == "" || !strings.Contains(got.Message, "assistant") {
		t.Errorf("error %+v, want an invalid messages[1].role", got)
	}
}

// TestNoEmbedder: the job waits for one, says so, and ends when its deliveries
// are used up.
func TestNoEmbedder(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}, func(c *Config) { c.MaxDeliveries = 2 })
	id := r.submit(question("What?"))
	life := r.Life(event.LifeRetrying)
	if life.Attempt != 1 || life.RetryMS < 1 || life.Error == nil || life.Error.Class != event.ClassUnavailable ||
		!strings.Contains(life.Error.Hint, `start an embedder for model "embed"`) {
		t.Errorf("life %+v, error %+v; want a retry with a hint", life, life.Error)
	}
	if got := r.failure(id); got.Class != event.ClassUnavailable || !strings.Contains(got.Hint, "start an embedder") {
		t.Errorf("error %+v, want unavailable with the hint", got)
	}
}

// TestEmbedderComesLate: services may start in any order.
func TestEmbedderComesLate(t *testing.T) {
	t.Parallel()
	r := setup(t, finds(vector.Chunk{Document: "d", Text: "x"}))
	r.submit(question("What?"))
	r.Life(event.LifeRetrying)
	r.embedder(vectors)
	if task, _ := r.task(); len(task.Sources) != 1 {
		t.Errorf("sources %+v, want one", task.Sources)
	}
}

func TestEmbedderErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		reply event.EmbedReply
		class event.Class
		field string
	}{
		{"invalid", event.EmbedReply{Failure: event.FailureOf(event.Invalid("input", "ask shorter", "too long"))}, event.ClassInvalid, "input"},
		{"throttled", event.EmbedReply{Failure: event.FailureOf(event.Errorf(event.ClassThrottled, "slow down"))}, event.ClassThrottled, ""},
		{"no vector", event.EmbedReply{}, event.ClassInternal, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := setup(t, &fakeStore{}, func(c *Config) { c.MaxDeliveries = 1 }).embedder(tc.reply)
			if got := r.failure(r.submit(question("What?"))); got.Class != tc.class || got.Field != tc.field {
				t.Errorf("error %+v, want %s of field %q", got, tc.class, tc.field)
			}
			if n := len(r.store.queries()); n != 0 {
				t.Errorf("%d searches without a vector", n)
			}
		})
	}
}

// TestSlowStoreIsTriedAgain: the search's own time limit is not the job's
// deadline.
func TestSlowStoreIsTriedAgain(t *testing.T) {
	t.Parallel()
	store := finds(vector.Chunk{Document: "d", Text: "x"})
	found := store.search
	var calls atomic.Int32
	store.search = func(ctx context.Context, q vector.Query) ([]vector.Hit, error) {
		if calls.Add(1) == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return found(ctx, q)
	}
	r := setup(t, store, func(c *Config) { c.RetrieveTimeout = time.Second }).embedder(vectors)
	r.submit(question("What?"))
	life := r.Life(event.LifeRetrying)
	if life.Error == nil || life.Error.Class != event.ClassUnavailable || !strings.Contains(life.Error.Message, "no answer after 1s") ||
		!strings.Contains(life.Error.Message, DefaultConfig().QdrantAddr) {
		t.Errorf("life %+v, error %+v; want unavailable with the store and the limit", life, life.Error)
	}
	if task, _ := r.task(); len(task.Sources) != 1 {
		t.Errorf("sources %+v, want one", task.Sources)
	}
}

// TestDeadlineEndsTheSearch: the job's own time is over.
func TestDeadlineEndsTheSearch(t *testing.T) {
	t.Parallel()
	store := &fakeStore{search: func(ctx context.Context, _ vector.Query) ([]vector.Hit, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	r := setup(t, store).embedder(vectors)
	job := question("What?")
	job.Deadline = time.Now().Add(700 * time.Millisecond).UTC()
	if got := r.failure(r.submit(job)); got.Class != event.ClassDeadline {
		t.Errorf("error %+v, want deadline", got)
	}
}

// TestStoreTroubleIsTriedAgain: of the search and of the count after it.
func TestStoreTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	down := event.Errorf(event.ClassUnavailable, "connection refused")
	var searches, counts atomic.Int32
	store := &fakeStore{
		search: func(context.Context, vector.Query) ([]vector.Hit, error) {
			if searches.Add(1) == 1 {
				return nil, down
			}
			return nil, nil
		},
		count: func(vector.Scope) (int, error) {
			if counts.Add(1) == 1 {
				return 0, down
			}
			return 1, nil
		},
	}
	r := setup(t, store).embedder(vectors)
	if got := r.OK(event.KindGenerate, r.submit(question("What?"))).Answer; got.FinishReason != event.FinishAbstained {
		t.Errorf("answer %+v, want none: nothing was found", got)
	}
	if s, c := searches.Load(), counts.Load(); s != 3 || c != 2 {
		t.Errorf("%d searches and %d counts, want 3 and 2", s, c)
	}
}
