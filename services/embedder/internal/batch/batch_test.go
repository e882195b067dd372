package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// TestDocumentsShareCalls: the call is full only with the texts of both, and each
// gets its own vectors.
func TestDocumentsShareCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		b := batching(t, p, func(c *Config) { c.Items = 4 })
		var documents sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			documents.Go(func() {
				vectors, usage, err := b.Embed(t.Context(), call(event.LaneBatch), numbered(name, 2))
				if err != nil || usage != 2 {
					t.Errorf("%d tokens, error %v", usage, err)
				}
				for i, v := range vectors {
					if !slices.Equal(v, llmtest.Vector(fmt.Sprint(name, i), 4)) {
						t.Errorf("vector %d of %s is another text's", i, name)
					}
				}
			})
		}
		documents.Wait()
		if calls := p.sent(); len(calls) != 1 || len(calls[0].inputs) != 4 || calls[0].call.Model != "embed" || calls[0].call.Lane != event.LaneBatch {
			t.Errorf("calls %+v, want one with all four", calls)
		}
	})
}

// TestBatchLimits: a text that would exceed a limit starts a new call, a full call
// goes at once, and a text larger than a whole call goes alone.
func TestBatchLimits(t *testing.T) {
	t.Parallel()
	ten, fifteen := strings.Repeat("x", 10), strings.Repeat("y", 15)
	for _, tc := range []struct {
		name   string
		limits Limits
		texts  []Text
		want   []string
	}{
		{"items", Limits{2, 1000, 1000}, texts("a", "b", "c", "d"), []string{"a|b", "c|d"}},
		{"bytes", Limits{9, 1000, 20}, texts(ten, ten, fifteen, "12345"), []string{ten + "|" + ten, fifteen + "|12345"}},
		{"bytes that don't fit", Limits{2, 1000, 20}, texts(ten, fifteen, "12345"), []string{ten, fifteen + "|12345"}},
		{"tokens", Limits{9, 10, 1000}, []Text{{Text: "a", Tokens: 6}, {Text: "b", Tokens: 4}, {Text: "c", Tokens: 10}}, []string{"a|b", "c"}},
		{"tokens not known", Limits{9, 4, 1000}, texts(ten, fifteen), []string{ten, fifteen}},
		{"too large alone", Limits{2, 1000, 5}, texts("0123456789", "ab", "c"), []string{"0123456789", "ab|c"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // where Linger passes at once, if it is what a call waits for
				p := &provider{}
				b := batching(t, p, func(c *Config) { c.Limits, c.Calls = tc.limits, 1 })
				start := time.Now()
				vectors, _, err := b.Embed(t.Context(), call(event.LaneBatch), tc.texts)
				if err != nil || len(vectors) != len(tc.texts) || slices.ContainsFunc(vectors, func(v []float32) bool { return v == nil }) {
					t.Errorf("vectors %v, error %v", vectors, err)
				}
				if got := p.inputs(); !slices.Equal(got, tc.want) {
					t.Errorf("calls %q, want %q", got, tc.want)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("a full call waited %s", took)
				}
			})
		})
	}
}

// TestModelLimits: what the catalog says of a model bounds its calls, its prefix
// included.
func TestModelLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		b := batching(t, p, func(c *Config) { c.Calls, c.Linger = 1, time.Millisecond })
		if _, _, err := b.Embed(t.Context(), guard.Call{Model: "e5"}, texts("a", "b", "0123456789012345678901", "c", "d", "e")); err != nil {
			t.Fatal(err)
		}
		want := []string{"passage: a|passage: b", "passage: 0123456789012345678901", "passage: c|passage: d", "passage: e"}
		if got := p.inputs(); !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
		p.calls = nil
		if _, _, err := b.Embed(t.Context(), guard.Call{Model: "paced"}, []Text{{Text: "a", Tokens: 6}, {Text: "b", Tokens: 4}, {Text: "c", Tokens: 5}}); err != nil {
			t.Fatal(err)
		}
		if got, want := p.inputs(), []string{"a|b", "c"}; !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q: a second of 600 tokens per minute", got, want)
		}
	})
}

// TestTooLongText: it is refused with its name before anything is paid for, and no
// fault of other documents.
func TestTooLongText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		b := batching(t, p, func(c *Config) { c.Linger = time.Millisecond })
		long := []Text{{Text: "fine", Tokens: 17}, {Text: "long", Tokens: 18, Name: "chunk 7"}} // and 3 of the prefix
		vectors, usage, err := b.Embed(t.Context(), guard.Call{Model: "e5"}, long)
		if e := event.AsError(err); e == nil || e.Class != event.ClassTooLarge || e.Message != "chunk 7 has 21 tokens, model e5 takes 20" || e.Hint == "" {
			t.Errorf("error %v", err)
		}
		if len(vectors) != 2 || vectors[0] != nil || usage != 0 || len(p.sent()) != 0 {
			t.Errorf("vectors %v, %d tokens, calls %v; want none", vectors, usage, p.inputs())
		}
		if _, _, err := b.Embed(t.Context(), guard.Call{Model: "e5"}, long[:1]); err != nil {
			t.Error(err)
		}
	})
}

// TestLinger: a call that is not full waits that long after its first text and no
// longer.
func TestLinger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		b := batching(t, p, func(c *Config) { c.Linger = 7 * time.Millisecond })
		start := time.Now()
		var documents sync.WaitGroup
		for i := range 2 {
			documents.Go(func() {
				<-time.After(time.Duration(i) * 4 * time.Millisecond) // the later one must not make the first wait longer
				if _, _, err := b.Embed(t.Context(), call(event.LaneBatch), texts("one", "two")); err != nil {
					t.Error(err)
				}
			})
		}
		documents.Wait()
		if took := time.Since(start); took != 7*time.Millisecond {
			t.Errorf("the call came after %s, want Linger", took)
		}
		if n := len(p.sent()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// TestCallsAreBounded: no more than Calls at once, and that many; what waits
// meanwhile is bounded as well and fills the next calls.
func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: slow}
		b := batching(t, p, func(c *Config) { c.Items, c.Calls = 3, 2 })
		start := time.Now()
		done := make(chan error, 1)
		go func() {
			_, _, err := b.Embed(t.Context(), call(event.LaneBatch), numbered("t", 18))
			done <- err
		}()
		synctest.Wait()
		q := b.queue(key{"embed", event.LaneBatch, passages})
		q.mu.Lock()
		running, waits := q.running, len(q.waiting)
		q.mu.Unlock()
		if running != 2 || waits != 6 {
			t.Errorf("%d calls and %d texts that wait, want 2 and two batches", running, waits)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); p.most != 2 || took != 3*time.Second || len(p.sent()) != 6 {
			t.Errorf("%d calls, %d at once, in %s; want 6 full ones, 2 at once, in 3s", len(p.sent()), p.most, took)
		}
	})
}

// TestQueuesAreApart: a backlog holds neither the other lane, nor another model, nor
// questions.
func TestQueuesAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := &provider{embed: func(_ context.Context, inputs []string) error {
			if strings.HasPrefix(inputs[0], "backlog") {
				<-release
			}
			return nil
		}}
		b := batching(t, p, func(c *Config) { c.Items, c.Calls, c.QueryCalls = 1, 1, 1 })
		var backlog sync.WaitGroup
		backlog.Go(func() {
			if _, _, err := b.Embed(t.Context(), call(event.LaneBatch), numbered("backlog", 9)); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		for _, c := range []guard.Call{call(event.LaneInteractive), {Model: "other", Lane: event.LaneBatch}} {
			if _, _, err := b.Embed(t.Context(), c, texts("urgent")); err != nil {
				t.Error(err)
			}
		}
		if _, err := b.Query(t.Context(), "embed", []string{"why?"}); err != nil {
			t.Error(err)
		}
		if n := len(p.sent()); n != 4 {
			t.Errorf("%d calls, want the three beside the backlog's", n)
		}
		close(release)
		backlog.Wait()
	})
}

// TestEmbedEndsWithItsContext: what waits is given up, the places in the queue are
// free again, and the document has what was embedded before.
func TestEmbedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: slow}
		b := batching(t, p, func(c *Config) { c.Items, c.Calls = 1, 1 })
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start := time.Now()
		vectors, usage, err := b.Embed(ctx, call(event.LaneBatch), numbered("t", 9))
		if !errors.Is(err, context.DeadlineExceeded) || usage != 1 || vectors[0] == nil || vectors[1] != nil || len(vectors) != 9 {
			t.Errorf("vectors %v, %d tokens, error %v; want the first and the deadline", vectors, usage, err)
		}
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Errorf("it ended after %s", took)
		}
		if _, _, err := b.Embed(t.Context(), call(event.LaneBatch), numbered("t", 9)); err != nil {
			t.Errorf("after it: %v", err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := b.Embed(ended, call(event.LaneBatch), texts("t")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context canceled", err)
		}
	})
}

// TestCallEndsWithItsDocuments: a call for several documents goes on while one of
// them is wanted, and ends when none is.
func TestCallEndsWithItsDocuments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{embed: func(ctx context.Context, _ []string) error {
			<-ctx.Done() // a provider that does not answer
			return event.Errorf(event.ClassCanceled, "%w", ctx.Err())
		}}
		b := batching(t, p, func(c *Config) { c.Items = 2 })
		start := time.Now()
		var documents sync.WaitGroup
		for _, limit := range []time.Duration{time.Second, time.Minute} {
			documents.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				if _, _, err := b.Embed(ctx, call(event.LaneBatch), texts("text")); !errors.Is(err, context.DeadlineExceeded) {
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

// TestWaitsAreTold to all documents of a call.
func TestWaitsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &provider{}
		b := batching(t, p, func(c *Config) { c.Items = 2 })
		var mu sync.Mutex
		var told []string
		var documents sync.WaitGroup
		for _, name := range []string{"a", "b"} {
			c := call(event.LaneBatch)
			c.OnWait = func(w guard.Wait) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, name+" "+w.Reason)
			}
			documents.Go(func() { b.Embed(t.Context(), c, texts(name)) })
		}
		documents.Wait()
		p.sent()[0].call.OnWait(guard.Wait{Reason: "tpm"})
		slices.Sort(told)
		if !slices.Equal(told, []string{"a tpm", "b tpm"}) {
			t.Errorf("told %q", told)
		}
	})
}

func TestNothingToEmbed(t *testing.T) {
	t.Parallel()
	if vectors, usage, err := batching(t, &provider{}, nil).Embed(t.Context(), call(event.LaneBatch), nil); len(vectors) != 0 || usage != 0 || err != nil {
		t.Errorf("vectors %v, %d tokens, error %v", vectors, usage, err)
	}
}

// TestManyDocuments: whatever happens at once, each document gets its own vectors,
// and the usage is shared out without a rest.
func TestManyDocuments(t *testing.T) {
	t.Parallel()
	p := &provider{}
	b := batching(t, p, func(c *Config) { c.Items, c.Linger = 7, 100*time.Microsecond })
	var documents sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for d := range 50 {
		documents.Go(func() {
			list := numbered(fmt.Sprint("d", d, "-"), d)
			vectors, usage, err := b.Embed(t.Context(), call(event.LaneBatch), list)
			if err != nil {
				t.Error(err)
			}
			for i, v := range vectors {
				if !slices.Equal(v, llmtest.Vector(list[i].Text, 4)) {
					t.Errorf("vector %d of document %d is another text's", i, d)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total += usage
		})
	}
	documents.Wait()
	if want := 49 * 50 / 2; total != want {
		t.Errorf("%d tokens in all, want %d", total, want)
	}
}

// TestLateText: a text that comes to the queue after its document's end gives its
// place back.
func TestLateText(t *testing.T) {
	t.Parallel()
	b := batching(t, &provider{}, nil)
	q := b.queue(key{"embed", event.LaneBatch, passages})
	ctx, cancel := context.WithCancel(t.Context())
	doc := newDocument(ctx, call(event.LaneBatch), texts("late"))
	if !q.wait(ctx) {
		t.Fatal("no place")
	}
	cancel()
	q.add(doc.items(0, 1)...)
	<-doc.done
	if !errors.Is(doc.err, context.Canceled) || len(q.places) != 0 || len(q.waiting) != 0 {
		t.Errorf("error %v, %d places taken, %d texts wait", doc.err, len(q.places), len(q.waiting))
	}
}
