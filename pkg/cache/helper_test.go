package cache_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/event"
)

// clock is a time that stands still: entries' times are not what is tested.
func clock() time.Time { return time.Date(2025, 11, 25, 12, 0, 0, 0, time.UTC) }

// newCache returns a cache over a connection of its own, as another process has.
func newCache(t *testing.T, b *bus.Bus) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{Bus: b, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// key is some request's.
func key(name string) string { return cache.RequestKey(cache.Request{Task: name}) }

func entry(tenant, text string) cache.Entry {
	return cache.Entry{Tenant: tenant, Question: "What is it?", Job: "j1", Model: "m", CostNanoUSD: 7,
		Answer: event.Answer{Text: text, FinishReason: "stop", Model: "m"}}
}

// put stores an entry that must be taken.
func put(t *testing.T, c *cache.Cache, key string, e cache.Entry) {
	t.Helper()
	if stored, err := c.Put(t.Context(), key, e, time.Minute); err != nil || !stored {
		t.Fatalf("put: %t, %v", stored, err)
	}
}

// wantText compares the answer of an entry; "" wants none.
func wantText(t *testing.T, e *cache.Entry, want string) {
	t.Helper()
	switch {
	case e == nil && want != "":
		t.Errorf("no entry, want %q", want)
	case e != nil && e.Answer.Text != want:
		t.Errorf("entry %q, want %q", e.Answer.Text, want)
	}
}

// fleet returns caches as n processes have them, on one server.
func fleet(t *testing.T, n int) []*cache.Cache {
	t.Helper()
	server := bustest.Start(t)
	caches := make([]*cache.Cache, n)
	for i := range caches {
		caches[i] = newCache(t, server.Bus())
	}
	return caches
}

// within ends a test that hangs.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("no end within %s", d))
	t.Cleanup(cancel)
	return ctx
}

// wantError checks that an error names what is wrong.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
	}
}
