package embedder

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// batching runs a batcher until the test ends.
func batching(t *testing.T, e llm.Embedder, change func(*Config)) *batcher {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Linger = neverLinger
	change(&cfg)
	b := newBatcher(cfg, direct{e}, newMetrics(prometheus.NewRegistry()))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { b.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return b
}

// TestBatchesJoinDocuments: the call is full only with the chunks of both.
func TestBatchesJoinDocuments(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.Linger, r.cfg.BatchItems = neverLinger, 4
	fake := &llmtest.Fake{}
	r.start(fake)
	r.publish(chunked("a", "a1", "a2"), chunked("b", "b1", "b2"))
	r.ok("a")
	r.ok("b")
	calls := fake.Embeds()
	if len(calls) != 1 {
		t.Fatalf("%d calls, want one for both documents", len(calls))
	}
	inputs := slices.Sorted(slices.Values(calls[0].Inputs))
	if want := []string{"P: a1", "P: a2", "P: b1", "P: b2"}; !slices.Equal(inputs, want) {
		t.Errorf("inputs %q, want %q", inputs, want)
	}
	if calls[0].Model != "sim-embed" || calls[0].Dimensions != 4 {
		t.Errorf("model %q with %d dimensions, want the provider's model with 4", calls[0].Model, calls[0].Dimensions)
	}
	_, points := r.store.written()
	for _, p := range points { // each document has its own vectors
		if want := llmtest.Vector("P: "+p.Chunk.Text, 4); !slices.Equal(p.Vector, want) {
			t.Errorf("chunk %q has another text's vector", p.Chunk.Text)
		}
	}
}

// TestBatchLimits: a text that would exceed BatchBytes starts a new call, and
// BatchItems fills one.
func TestBatchLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where Linger passes at once, if it is what a call waits for
		fake := &llmtest.Fake{}
		b := batching(t, fake, func(c *Config) { c.BatchBytes, c.BatchItems, c.Calls = 20, 3, 1 })
		ten, fifteen := strings.Repeat("x", 10), strings.Repeat("y", 15)
		start := time.Now()
		vectors, _, err := b.embed(t.Context(), guard.Call{}, []string{ten, ten, fifteen, "1", "2"})
		if err != nil {
			t.Fatal(err)
		}
		if len(vectors) != 5 || !slices.Equal(vectors[2], llmtest.Vector(fifteen, 4)) {
			t.Errorf("%d vectors, or not in the texts' order", len(vectors))
		}
		calls := fake.Embeds()
		if len(calls) != 2 || len(calls[0].Inputs)+len(calls[1].Inputs) != 5 || len(calls[0].Inputs) > 3 || len(calls[1].Inputs) > 3 {
			t.Errorf("calls %+v, want two with 2 and 3 texts", calls)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("a full call waited %s", took)
		}
	})
}

// TestOversizedTextGoesAlone: a text larger than a whole call is sent, not held.
func TestOversizedTextGoesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &llmtest.Fake{}
		b := batching(t, fake, func(c *Config) { c.BatchBytes, c.BatchItems = 5, 2 })
		if _, _, err := b.embed(t.Context(), guard.Call{}, []string{"0123456789", "ab", "c"}); err != nil {
			t.Fatal(err)
		}
		for _, call := range fake.Embeds() {
			if len(call.Inputs) > 1 && slices.Contains(call.Inputs, "0123456789") {
				t.Errorf("call %q, want the long text alone", call.Inputs)
			}
		}
	})
}

// TestLinger: a call that is not full waits that long and no longer.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &llmtest.Fake{}
		b := batching(t, fake, func(c *Config) { c.Linger = 7 * time.Millisecond })
		start := time.Now()
		if _, _, err := b.embed(t.Context(), guard.Call{}, []string{"one", "two"}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 7*time.Millisecond {
			t.Errorf("the call came after %s, want Linger", took)
		}
		if n := len(fake.Embeds()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// TestCallsAreBounded: no more than Calls at once, and that many.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			select { // a slow provider, on the bubble's clock
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
			mu.Lock()
			running--
			mu.Unlock()
			return counted(1)(ctx, req)
		}}
		b := batching(t, fake, func(c *Config) { c.BatchItems, c.Calls = 1, 2 })
		if _, _, err := b.embed(t.Context(), guard.Call{}, []string{"1", "2", "3", "4", "5"}); err != nil {
			t.Fatal(err)
		}
		if most != 2 {
			t.Errorf("%d calls at once, want 2", most)
		}
	})
}

// poisoned refuses any call that holds the word.
func poisoned(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
	if strings.Contains(strings.Join(req.Inputs, " "), "poison") {
		return llm.EmbedResponse{}, event.Invalid("input", "send less", "input too long")
	}
	return counted(1)(ctx, req)
}

// TestPoisonedDocumentFailsAlone: the others of its call succeed.
func TestPoisonedDocumentFailsAlone(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.Linger, r.cfg.BatchItems = neverLinger, 6
	fake := &llmtest.Fake{EmbedFunc: poisoned}
	r.start(fake)
	r.publish(chunked("a", "a1", "a2"), chunked("bad", "b1", "poison"), chunked("c", "c1", "c2"))
	r.ok("a")
	r.ok("c")
	result := r.Result("bad")
	if result.Status != event.StatusFailed || result.Error.Class != event.ClassInvalid || result.Error.Message != "input too long" {
		t.Errorf("result %+v, want failed as invalid", result)
	}
	// One call for all, then one for each: chunks that arrived interleaved
	// still go by document.
	if n := len(fake.Embeds()); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
	_, points := r.store.written()
	for _, p := range points {
		if p.Chunk.Document == "bad" {
			t.Errorf("chunk %q of the failed document was stored", p.Chunk.Text)
		}
	}
}

// TestSharedTroubleIsNotRepeated: when the provider is down, one call tells
// it; each document must not ask again.
func TestSharedTroubleIsNotRepeated(t *testing.T) {
	t.Parallel()
	fake := &llmtest.Fake{EmbedFunc: func(context.Context, llm.EmbedRequest) (llm.EmbedResponse, error) {
		return llm.EmbedResponse{}, event.Errorf(event.ClassThrottled, "slow down")
	}}
	b := batching(t, fake, func(c *Config) { c.BatchItems = 2 })
	errs := make(chan error, 2)
	for _, text := range []string{"a", "b"} {
		go func() {
			_, _, err := b.embed(context.Background(), guard.Call{}, []string{text})
			errs <- err
		}()
	}
	for range 2 {
		if err := stagetest.Wait(t, errs, "the error"); event.AsError(err).Class != event.ClassThrottled {
			t.Errorf("error %v, want throttled", err)
		}
	}
	if n := len(fake.Embeds()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestSharesSumToTheUsage(t *testing.T) {
	t.Parallel()
	for _, usage := range []int{0, 1, 7, 100, 101} {
		b := batching(t, &llmtest.Fake{EmbedFunc: counted(usage)}, func(c *Config) { c.BatchItems = 5 })
		shares := make(chan int, 2)
		for _, texts := range [][]string{{strings.Repeat("x", 80), "yy"}, {"", strings.Repeat("z", 11), "w"}} {
			go func() {
				_, share, err := b.embed(context.Background(), guard.Call{}, texts)
				if err != nil {
					t.Error(err)
				}
				shares <- share
			}()
		}
		one, two := stagetest.Wait(t, shares, "a share"), stagetest.Wait(t, shares, "a share")
		if one+two != usage || min(one, two) < 0 {
			t.Errorf("shares %d and %d, want a sum of %d", one, two, usage)
		}
		if usage > 50 && max(one, two) < usage*3/4 {
			t.Errorf("shares %d and %d of %d, want most for the larger document", one, two, usage)
		}
	}
}

// TestEmbedEndsWithItsContext: also while it waits for a batcher that is stuck.
func TestEmbedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := newBatcher(DefaultConfig(), direct{&llmtest.Fake{}}, newMetrics(prometheus.NewRegistry())) // never run
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.embed(ctx, guard.Call{}, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context canceled", err)
	}
}

// TestCallEndsWithItsDocuments: a call for several documents goes on while one
// of them is wanted, and ends when none is.
func TestCallEndsWithItsDocuments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, _ llm.EmbedRequest) (llm.EmbedResponse, error) {
			<-ctx.Done() // a provider that does not answer
			return llm.EmbedResponse{}, event.Errorf(event.ClassCanceled, "%w", ctx.Err())
		}}
		b := batching(t, fake, func(c *Config) { c.BatchItems = 2 })
		start := time.Now()
		var documents sync.WaitGroup
		for _, limit := range []time.Duration{time.Second, time.Minute} {
			documents.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				if _, _, err := b.embed(ctx, guard.Call{}, []string{"text"}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want the deadline", err)
				}
			})
		}
		documents.Wait()
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the call ended after %s, want a minute", took)
		}
	})
}

// TestSplitGroupsByDocument: whatever the order in which chunks arrived.
func TestSplitGroupsByDocument(t *testing.T) {
	t.Parallel()
	a, b := &document{}, &document{}
	groups := split([]*item{{doc: a, at: 0}, {doc: b, at: 0}, {doc: a, at: 1}, {doc: b, at: 1}})
	if len(groups) != 2 || len(groups[0]) != 2 || groups[0][0].doc != a || groups[0][1].at != 1 || groups[1][1].doc != b {
		t.Errorf("%d groups, want the two of a and the two of b", len(groups))
	}
}
