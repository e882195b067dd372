package embedder

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

func TestPoints(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	batch := chunked("a", "one", "two")
	batch.Document.Metadata = map[string]string{"team": "people"}
	r.publish(batch)
	r.ok("a")
	_, points := r.store.written()
	if len(points) != 2 {
		t.Fatalf("%d points, want 2", len(points))
	}
	for i, c := range batch.Chunks {
		want := vector.Point{ID: c.ID, Vector: llmtest.Vector(c.Prefix+c.Text, 4), Chunk: vector.Chunk{
			Document: "a", Version: 42, Position: i, Text: c.Text, Source: "a.md", Title: "Title of a", Section: c.Section,
			Start: c.Start, End: c.End, Created: batch.SubmittedAt, Metadata: batch.Document.Metadata}}
		if !reflect.DeepEqual(points[i], want) {
			t.Errorf("point %d:\n got %+v\nwant %+v", i, points[i], want)
		}
	}
	if want := (vector.Index{Name: vector.DefaultIndex, Model: "embed", Dimension: 4}); r.store.index != want {
		t.Errorf("index %+v, want %+v", r.store.index, want)
	}
}

// TestOldChunksGoLast: a reader never finds the document gone, so its old
// chunks are removed when the new ones are stored.
func TestOldChunksGoLast(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.publish(chunked("a", "one", "two"))
	r.ok("a")
	calls, _ := r.store.written()
	if want := []string{"upsert acme/handbook 2", "delete acme/handbook/a before 42"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

func TestResultCounts(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ahead = 2 * time.Second
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	batch := chunked("a", "one", "two")
	batch.Receipt.WaitingMS = 1000
	r.publish(batch)
	result := r.ok("a")
	want := event.Ingested{Collection: "handbook", Document: "a", Chunks: 2, Tokens: 6, Bytes: 1000}
	if *result.Ingested != want || result.Kind != event.KindIngest || result.Tenant != "acme" {
		t.Errorf("result %+v of %+v, want %+v", *result.Ingested, result, want)
	}
	receipt := result.Receipt
	if receipt.PromptTokens != 7 || receipt.CostNanoUSD != 140 || len(receipt.Attempts) != 1 || receipt.Attempts[0].Model != "embed" {
		t.Errorf("receipt %+v, want one call of 7 tokens for 140 nano-USD", receipt)
	}
	if receipt.WaitingMS < 3000 || receipt.TotalMS < 2000 {
		t.Errorf("waiting %.0f ms, total %.0f ms; want both waits and the whole time", receipt.WaitingMS, receipt.TotalMS)
	}
}

// TestDocumentIsInTheLedger: its line is there when its result is.
func TestDocumentIsInTheLedger(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	r.publish(chunked("a", "one"))
	r.ok("a")
	r.spent("a", 7*20)
}

// spent checks what the ledger has of a job, the only one in it.
func (r *rig) spent(job string, nanoUSD int64) {
	r.T.Helper()
	rows, err := ledger.Ask(r.T.Context(), r.Bus, ledger.Query{By: ledger.ByJob, Since: time.Now().Add(-time.Hour)})
	if err != nil || len(rows) != 1 || rows[0].CostNanoUSD != nanoUSD || !strings.Contains(rows[0].Key, job) {
		r.T.Errorf("ledger %+v (%v), want %d nano-USD for %s", rows, err, nanoUSD, job)
	}
}

// counted embeds like the fake and reports a fixed number of tokens.
func counted(tokens int) func(context.Context, llm.EmbedRequest) (llm.EmbedResponse, error) {
	return func(_ context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		out := llm.EmbedResponse{Usage: llm.Usage{PromptTokens: tokens}}
		for _, text := range req.Inputs {
			out.Vectors = append(out.Vectors, llmtest.Vector(text, 4))
		}
		return out, nil
	}
}

// TestTroubleIsRetried: of the provider and of the store; the repeated message
// writes the same points again.
func TestTroubleIsRetried(t *testing.T) {
	t.Parallel()
	down := event.Errorf(event.ClassUnavailable, "down")
	for _, at := range []string{"embed", "upsert", "delete"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			failOnce := func(where string) func() error {
				var calls atomic.Int32
				return func() error {
					if where == at && calls.Add(1) == 1 {
						return down
					}
					return nil
				}
			}
			embed, upsert := failOnce("embed"), failOnce("upsert")
			r.store.upsert = func([]vector.Point) error { return upsert() }
			r.store.deleteStale = failOnce("delete")
			fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
				if err := embed(); err != nil {
					return llm.EmbedResponse{}, err
				}
				return counted(1)(ctx, req)
			}}
			r.start(fake)
			r.publish(chunked("a", "one"))
			r.ok("a")
			if n := len(fake.Embeds()); n != 2 {
				t.Errorf("%d calls to the provider, want 2", n)
			}
			if at == "embed" { // the other calls were answered, and paid
				r.spent("a", 20)
			} else {
				r.spent("a", 2*20)
			}
			_, points := r.store.written()
			for _, p := range points {
				if p.ID != points[0].ID {
					t.Errorf("points %s and %s, want the same again", points[0].ID, p.ID)
				}
			}
		})
	}
}

// TestStoreRefuses: what no retry lifts is a failed result.
func TestStoreRefuses(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.store.upsert = func([]vector.Point) error {
		return &event.Error{Class: event.ClassInvalid, Message: "wrong dimension", Err: vector.ErrDimension}
	}
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	r.publish(chunked("a", "one"))
	result := r.Result("a")
	if result.Status != event.StatusFailed || result.Error.Class != event.ClassInvalid {
		t.Errorf("result %+v, want failed as invalid", result)
	}
	if result.Receipt.CostNanoUSD != 7*20 {
		t.Errorf("receipt %+v, want what the vectors cost", result.Receipt)
	}
	r.spent("a", 7*20)
	if calls, _ := r.store.written(); len(calls) != 1 {
		t.Errorf("calls %q, want one upsert and no delete", calls)
	}
}

// TestDocumentsInWorkDrain: a stop lets the provider call and the writes end.
func TestDocumentsInWorkDrain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	entered, release := make(chan struct{}), make(chan struct{})
	stop := r.start(&llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		close(entered)
		<-release
		if err := ctx.Err(); err != nil {
			return llm.EmbedResponse{}, err
		}
		return counted(1)(ctx, req)
	}})
	r.publish(chunked("a", "one"))
	stagetest.Wait(t, entered, "the call to the provider")
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Error("the embedder stopped with a document in work")
	default:
	}
	close(release)
	stagetest.Wait(t, stopped, "the end of the embedder")
	// It is stored when Run has returned: no other embedder does it.
	if result, err := r.Client.Result(t.Context(), "acme", "a"); err != nil || result.Status != event.StatusOK {
		t.Errorf("result %+v, error %v; want ok", result, err)
	}
}

func TestOtherDimensionEndsRun(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.store.ensure = func() error {
		return &event.Error{Class: event.ClassInvalid, Message: "index has 8, want 4", Err: vector.ErrDimension}
	}
	s := r.service(&llmtest.Fake{})
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	err := stagetest.Wait(t, done, "the end of Run")
	if !errors.Is(err, vector.ErrDimension) || !strings.Contains(err.Error(), "index has 8, want 4") {
		t.Errorf("Run ended with %v, want the store's dimension error", err)
	}
	select {
	case <-s.Ready():
		t.Error("it was ready all the same")
	default:
	}
}

// TestWaitsForStore: services may start in any order.
func TestWaitsForStore(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var tries atomic.Int32
	r.store.ensure = func() error {
		if tries.Add(1) < 3 {
			return event.Errorf(event.ClassUnavailable, "connection refused")
		}
		return nil
	}
	r.start(&llmtest.Fake{})
	r.publish(chunked("a", "one"))
	r.ok("a")
	if n := tries.Load(); n != 3 {
		t.Errorf("%d tries, want 3", n)
	}
}

// TestStopWhileWaitingForStore: a stop does not wait for the store.
func TestStopWhileWaitingForStore(t *testing.T) {
	t.Parallel()
	r := setup(t)
	tried := make(chan struct{}, 100)
	r.store.ensure = func() error {
		tried <- struct{}{}
		return event.Errorf(event.ClassUnavailable, "connection refused")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.service(&llmtest.Fake{}).Run(ctx) }()
	stagetest.Wait(t, tried, "the first try")
	cancel()
	if err := stagetest.Wait(t, done, "the end of Run"); !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v, want context canceled", err)
	}
}
