package embedder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

func TestPoints(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	v := version{"a", 42, []string{"one", "two"}, vector.Meta{Source: "a.md", Title: "A", Metadata: map[string]string{"team": "people"}, ACL: []string{"staff"}}}
	batch := r.begin(v)[0]
	r.publish(batch)
	r.ok(v.job())
	_, points := r.store.written()
	if len(points) != 2 {
		t.Fatalf("%d points, want 2", len(points))
	}
	for _, c := range batch.Chunks {
		bm25, grams := sparse.New().Passage(c.Prefix + c.Text)
		want := vector.Point{ID: c.ID, Dense: llmtest.Vector(c.Prefix+c.Text, 4), BM25: bm25, Grams: grams, Chunk: vector.Chunk{
			Document: "a", Version: 42, Hash: c.Hash, Prefix: c.Prefix, Text: c.Text, Tokens: c.Tokens, Section: c.Section,
			Created: batch.SubmittedAt, Meta: v.meta}}
		if got := points[c.Text]; !reflect.DeepEqual(got, want) {
			t.Errorf("point\n got %+v\nwant %+v", got, want)
		}
	}
}

// TestNewVersion: only chunks that are new are embedded, the mark of the last batch
// makes the version current, and what only the old one had is then removed.
func TestNewVersion(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{}
	r.start(fake)
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two", "three"}})
	result := r.stores(version{document: "a", number: 2, texts: []string{"one", "2", "three"}})
	want := event.Ingested{Collection: "handbook", Document: "a", Version: 2, Outcome: event.OutcomeStored,
		Chunks: 3, Embedded: 1, Removed: 1, Tokens: 9, Bytes: 1000}
	if *result.Ingested != want {
		t.Errorf("ingested %+v, want %+v", *result.Ingested, want)
	}
	calls, points := r.store.written()
	if want := []string{"upsert acme/handbook 3", "upsert acme/handbook 1", "delete 1 of a before 3"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	if len(points) != 3 || points["one"].Chunk.Version != 1 || points["2"].Chunk.Version != 2 {
		t.Errorf("points %+v", points)
	}
	if row := r.row("a"); row.Version != 2 || row.Unsettled() || row.Pending != nil {
		t.Errorf("row %+v", row)
	}
}

// TestBatches: a document of several batches becomes current with the last one,
// whatever their order; the job has one result with the calls of all.
func TestBatches(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	v := version{document: "a", number: 1}
	for i := range 2*manifest.BatchChunks + 1 {
		v.texts = append(v.texts, fmt.Sprint("text ", i))
	}
	lives := r.Subscribe(event.LifeSubject("acme", v.job()))
	batches := r.begin(v)
	slices.Reverse(batches)
	r.publish(batches[:2]...)
	for range 2 {
		if life, _ := stagetest.Next(r.Kit, lives, event.Decode[event.Life]); life.Type != event.LifeEmbedded || life.Progress.Total != len(v.texts) {
			t.Errorf("event %+v, want one of an embedded batch", life)
		}
	}
	if row := r.row("a"); row.Version != 0 || row.Pending == nil || row.Pending.Done() != manifest.BatchChunks+1 {
		t.Errorf("row %+v before the last batch", row)
	}
	r.publish(batches[2])
	result := r.ok(v.job())
	if result.Ingested.Embedded != len(v.texts) || len(result.Receipt.Attempts) != 3 || result.Receipt.PromptTokens < 7 {
		t.Errorf("ingested %+v, receipt %+v; want three calls", *result.Ingested, result.Receipt)
	}
}

// TestStoredVectorsAreReused: equal text is embedded once in a tenant, whatever
// document it is in.
func TestStoredVectorsAreReused(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{}
	r.start(fake)
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}})
	result := r.stores(version{document: "b", number: 1, texts: []string{"two", "one"}})
	if in := result.Ingested; in.Reused != 2 || in.Embedded != 0 || result.Receipt.CostNanoUSD != 0 || len(fake.Embeds()) != 1 {
		t.Errorf("ingested %+v for %d nano-USD, %d calls; want all reused", *in, result.Receipt.CostNanoUSD, len(fake.Embeds()))
	}
}

// TestSuperseded: a batch of a version that another one took over is not paid for,
// and what was stored of it is removed.
func TestSuperseded(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{}
	r.start(fake)
	old := r.begin(version{document: "a", number: 1, texts: []string{"old"}})
	r.stores(version{document: "a", number: 2, texts: []string{"new"}})
	r.store.put(index, scope, vector.Point{ID: old[0].Chunks[0].ID, Chunk: vector.Chunk{Document: "a", Version: 1, Text: "old"}})
	r.publish(old...)
	if in := r.ok("a-1").Ingested; in.Outcome != event.OutcomeSuperseded || in.Chunks != 0 {
		t.Errorf("ingested %+v, want superseded", *in)
	}
	if _, points := r.store.written(); len(points) != 1 || points["new"].ID == "" {
		t.Errorf("points %v, want only the new one", points)
	}
	if n := len(fake.Embeds()); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

// TestSupersededWhileEmbedding: the later version comes while the provider works.
func TestSupersededWhileEmbedding(t *testing.T) {
	t.Parallel()
	r := setup(t)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	r.start(&llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if req.Inputs[0] == "P: old" {
			entered <- struct{}{}
			<-release
		}
		return counted(7)(ctx, req)
	}})
	r.publish(r.begin(version{document: "a", number: 1, texts: []string{"old"}})...)
	stagetest.Wait(t, entered, "the call to the provider")
	r.stores(version{document: "a", number: 2, texts: []string{"new"}})
	close(release)
	result := r.ok("a-1")
	if result.Ingested.Outcome != event.OutcomeSuperseded || result.Receipt.CostNanoUSD != 7*20 {
		t.Errorf("result %+v, want superseded with what it cost", result)
	}
	if _, points := r.store.written(); len(points) != 1 || points["new"].ID == "" {
		t.Errorf("points %v, want only the new one", points)
	}
}

// TestMeta: other metadata is written to the stored chunks without embedding any.
func TestMeta(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{}
	r.start(fake)
	v := version{document: "a", number: 1, texts: []string{"one"}}
	r.stores(v)
	v.number, v.meta = 2, vector.Meta{ACL: []string{"staff"}}
	_, err := r.rows.Change(t.Context(), vector.Document{Scope: scope, ID: "a"}, func(row *manifest.Row) error {
		row.Refresh(manifest.State{Version: 2, Job: v.job(), Outcome: event.OutcomeUnchanged, Meta: v.meta})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.publish(r.settleOnly(v))
	if in := r.ok(v.job()).Ingested; in.Outcome != event.OutcomeUnchanged || in.Chunks != 1 || in.Embedded != 0 {
		t.Errorf("ingested %+v", *in)
	}
	row := r.row("a")
	if _, points := r.store.written(); len(points["one"].Chunk.ACL) != 1 || len(fake.Embeds()) != 1 || row.Unsettled() {
		t.Errorf("points %+v, %d calls, row %+v", points, len(fake.Embeds()), row)
	}
}

// TestDeleted: the chunks of a tombstone are removed.
func TestDeleted(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}})
	gone := version{document: "a", number: 2}
	_, err := r.rows.Change(t.Context(), vector.Document{Scope: scope, ID: "a"}, func(row *manifest.Row) error {
		row.Delete(manifest.State{Version: 2, Job: gone.job(), Outcome: event.OutcomeDeleted})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.publish(r.settleOnly(gone))
	if in := r.ok(gone.job()).Ingested; in.Outcome != event.OutcomeDeleted || in.Removed != 2 || in.Chunks != 0 {
		t.Errorf("ingested %+v", *in)
	}
	if _, points := r.store.written(); len(points) != 0 {
		t.Errorf("points %v are left", points)
	}
}

// TestOnlyWhatFailedIsPaidAgain: of two calls for one batch one fails; the next
// delivery finds the other's vectors.
func TestOnlyWhatFailedIsPaidAgain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.BatchItems = 1
	var failed atomic.Bool
	fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if req.Inputs[0] == "P: two" && !failed.Swap(true) {
			return llm.EmbedResponse{}, event.Errorf(event.ClassInternal, "broken answer")
		}
		return counted(7)(ctx, req)
	}}
	r.start(fake)
	result := r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}})
	asked := map[string]int{}
	for _, req := range fake.Embeds() {
		asked[req.Inputs[0]]++
	}
	if asked["P: one"] != 1 || result.Receipt.CostNanoUSD != 2*7*20 {
		t.Errorf("asked %v for %d nano-USD, want the first text once", asked, result.Receipt.CostNanoUSD)
	}
	r.spent("a-1", 2*7*20)
}

func TestResultCounts(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.ahead = 2 * time.Second
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	batch := r.begin(version{document: "a", number: 42, texts: []string{"one", "two"}})[0]
	batch.Receipt.WaitingMS = 1000
	r.publish(batch)
	result := r.ok("a-42")
	want := event.Ingested{Collection: "handbook", Document: "a", Version: 42, Outcome: event.OutcomeStored, Chunks: 2, Embedded: 2, Tokens: 6, Bytes: 1000}
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
	r.spent("a-42", 7*20)
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
			r.store.removes = failOnce("delete")
			fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
				if err := embed(); err != nil {
					return llm.EmbedResponse{}, err
				}
				return counted(1)(ctx, req)
			}}
			r.start(fake)
			r.publish(r.begin(version{document: "a", number: 1, texts: []string{"zero"}})...)
			if at != "delete" {
				r.ok("a-1")
				return
			}
			r.ok("a-1")
			r.stores(version{document: "a", number: 2, texts: []string{"one"}})
			if _, points := r.store.written(); len(points) != 1 || len(fake.Embeds()) != 2 {
				t.Errorf("points %v after %d calls, want the new one and no call again", points, len(fake.Embeds()))
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
	r.publish(r.begin(version{document: "a", number: 1, texts: []string{"one"}})...)
	result := r.Result("a-1")
	if result.Status != event.StatusFailed || result.Error.Class != event.ClassInvalid {
		t.Errorf("result %+v, want failed as invalid", result)
	}
	if result.Receipt.CostNanoUSD != 7*20 {
		t.Errorf("receipt %+v, want what the vectors cost", result.Receipt)
	}
	r.spent("a-1", 7*20)
	if calls, _ := r.store.written(); len(calls) != 1 {
		t.Errorf("calls %q, want one upsert and no delete", calls)
	}
}

// TestPaidWorkIsBooked: an embedder that dies when it has marked a batch, before its
// outputs are stored, leaves the calls in the ledger.
func TestPaidWorkIsBooked(t *testing.T) {
	t.Parallel()
	r := setup(t)
	s := r.service(&llmtest.Fake{EmbedFunc: counted(7)})
	r.Start(s)
	v := version{document: "a", number: 1, texts: []string{"one"}}
	data, err := json.Marshal(r.begin(v)[0])
	if err != nil {
		t.Fatal(err)
	}
	in := &bus.Message{Subject: event.EmbedSubject("embed", event.LaneInteractive, "acme"), Data: data, Stored: time.Now(), Sequence: 1, Deliveries: 1}
	if _, err := s.index(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	in.Deliveries++
	outs, err := s.index(t.Context(), in)
	if err == nil {
		err = r.Bus.Publish(t.Context(), outs...)
	}
	if err != nil {
		t.Fatal(err)
	}
	if result := r.ok(v.job()); result.Receipt.CostNanoUSD != 7*20 {
		t.Errorf("receipt %+v, want the call of the first delivery", result.Receipt)
	}
	r.spent(v.job(), 7*20)
}

// TestFailureShowsAllCalls: those of earlier deliveries as well.
func TestFailureShowsAllCalls(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var calls atomic.Int32
	r.store.upsert = func([]vector.Point) error {
		if calls.Add(1) == 1 {
			return event.Errorf(event.ClassUnavailable, "down")
		}
		return event.Errorf(event.ClassInvalid, "refused")
	}
	r.start(&llmtest.Fake{EmbedFunc: counted(7)})
	r.publish(r.begin(version{document: "a", number: 1, texts: []string{"one"}})...)
	if result := r.Result("a-1"); result.Status != event.StatusFailed || result.Receipt.CostNanoUSD != 2*7*20 {
		t.Errorf("result %+v, want failed with two calls", result)
	}
	r.spent("a-1", 2*7*20)
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
	r.publish(r.begin(version{document: "a", number: 1, texts: []string{"one"}})...)
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
	if result, err := r.Client.Result(t.Context(), "acme", "a-1"); err != nil || result.Status != event.StatusOK {
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
	r.stores(version{document: "a", number: 1, texts: []string{"one"}})
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
