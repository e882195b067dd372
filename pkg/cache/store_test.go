package cache_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
)

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	c := newCache(t, b)
	e := entry("acme", "It is.")
	e.Sources = []event.SourceVersion{{Document: "d", Version: 2, Chunks: []string{"x"}}}
	put(t, c, key("a"), e)
	server.Restart()
	got, err := c.Get(within(t, 10*time.Second), "acme", key("a"))
	for err != nil && t.Context().Err() == nil { // until the connection is back
		got, err = c.Get(within(t, 10*time.Second), "acme", key("a"))
	}
	wantText(t, got, "It is.")
	if got == nil || got.V != 1 || got.Job != "j1" || got.CostNanoUSD != 7 || !got.CreatedAt.Equal(clock()) || got.Sources[0].Version != 2 {
		t.Errorf("got %+v", got)
	}
	for name, other := range map[string][2]string{"tenant": {"other", key("a")}, "key": {"acme", key("b")}} {
		if got, err := c.Get(t.Context(), other[0], other[1]); got != nil || err != nil {
			t.Errorf("%s: got %v, %v; want a miss", name, got, err)
		}
	}
}

// TestForeignEntry: what another version or tenant wrote, or nobody, is a miss.
func TestForeignEntry(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	c := newCache(t, b)
	kv, err := b.KeyValue(t.Context(), bus.BucketCache)
	if err != nil {
		t.Fatal(err)
	}
	mine, _ := json.Marshal(cache.Entry{V: cache.EntryVersion, Tenant: "acme", Answer: event.Answer{Text: "x"}})
	for name, tt := range map[string]struct {
		data string
		hit  bool
	}{
		"own":     {string(mine), true},
		"tenant":  {strings.Replace(string(mine), "acme", "evil", 1), false},
		"version": {strings.Replace(string(mine), `"v":1`, `"v":2`, 1), false},
		"garbage": {"\xff{", false},
		"empty":   {"", false},
	} {
		if _, err := kv.Put(t.Context(), "acme."+key("a"), []byte(tt.data)); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), "acme", key("a")); (got != nil) != tt.hit || err != nil {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
}

func TestNotKept(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	c := newCache(t, b)
	large := entry("acme", strings.Repeat("x", cache.DefaultMaxBytes))
	cut := entry("acme", "It")
	cut.Answer.FinishReason = "length"
	for name, e := range map[string]cache.Entry{"large": large, "cut": cut} {
		if stored, err := c.Put(t.Context(), key(name), e, time.Minute); stored || err != nil {
			t.Errorf("%s: %t, %v; want not kept", name, stored, err)
		}
	}
	// The largest that is kept is taken by the bucket.
	put(t, c, key("fits"), entry("acme", strings.Repeat("x", cache.DefaultMaxBytes-512)))
	for name, bad := range map[string]error{
		"tenant": second(c.Put(t.Context(), key("a"), entry("a.b", "x"), time.Minute)),
		"key":    second(c.Put(t.Context(), "../x", entry("acme", "x"), time.Minute)),
		"ttl":    second(c.Put(t.Context(), key("a"), entry("acme", "x"), 0)),
	} {
		wantError(t, bad, name)
	}
}

func second(_ bool, err error) error { return err }

func TestCacheable(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer event.Answer
		want   bool
	}{
		"complete":    {event.Answer{Text: "x", FinishReason: "stop"}, true},
		"cut":         {event.Answer{Text: "x", FinishReason: "length"}, false},
		"filtered":    {event.Answer{Text: "x", FinishReason: "content_filter"}, false},
		"abstained":   {event.Answer{Text: "I don't know.", FinishReason: event.FinishAbstained}, false},
		"blank":       {event.Answer{Text: " \n", FinishReason: "stop"}, false},
		"unsupported": {event.Answer{Text: "x", FinishReason: "stop", Unsupported: []string{"x"}}, false},
		"unknown":     {event.Answer{Text: "x"}, false},
		"calls":       {event.Answer{FinishReason: "tool_calls", ToolCalls: make([]event.ToolCall, 1)}, true},
		"no calls":    {event.Answer{Text: "x", FinishReason: "tool_calls"}, false},
		"calls, cut":  {event.Answer{FinishReason: "length", ToolCalls: make([]event.ToolCall, 1)}, false},
	} {
		if got := cache.Cacheable(tt.answer); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestEntryEnds: the server removes an entry when its time is over.
func TestEntryEnds(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	c := newCache(t, b)
	kv, err := b.KeyValue(t.Context(), bus.BucketCache)
	if err != nil {
		t.Fatal(err)
	}
	watcher, err := kv.Watch(within(t, 20*time.Second), "acme.*")
	if err != nil {
		t.Fatal(err)
	}
	if stored, err := c.Put(t.Context(), key("a"), entry("acme", "x"), time.Millisecond); !stored || err != nil {
		t.Fatal(stored, err)
	}
	for update := range watcher.Updates() {
		if update != nil && len(update.Value()) == 0 {
			break // its end is shown
		}
	}
	if got, err := c.Get(t.Context(), "acme", key("a")); got != nil || err != nil {
		t.Errorf("got %v, %v; want a miss", got, err)
	}
}

// TestStoreAway: without the server all is a miss with an error, in bounded time.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	c := newCache(t, b)
	put(t, c, key("a"), entry("acme", "x"))
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	got, err := c.Get(ctx, "acme", key("a"))
	if got != nil || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("get: %v, %v", got, err)
	}
	if stored, err := c.Put(ctx, key("a"), entry("acme", "x"), time.Minute); stored || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("put: %t, %v", stored, err)
	}
	if _, lead, err := c.Lead(ctx, "acme", key("a"), "j1", time.Minute); lead || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("lead: %t, %v", lead, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for want, cfg := range map[string]cache.Config{
		"Bus": {Now: clock}, "Now": {Bus: b}, "MaxBytes is -1": {Bus: b, Now: clock, MaxBytes: -1},
	} {
		_, err := cache.New(cfg)
		wantError(t, err, want)
	}
}
