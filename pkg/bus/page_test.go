package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// fill stores events of jobs of acme and of another tenant, in turn.
func fill(t *testing.T, b *bus.Bus, n, size int) {
	t.Helper()
	for i := range n {
		for _, tenant := range []string{"acme", "bmce"} {
			out := bus.Out{Subject: event.LifeSubject(tenant, fmt.Sprint("j", i%3)), Data: fmt.Appendf(nil, "%s-%d%s", tenant, i, strings.Repeat(".", size))}
			if err := b.Publish(t.Context(), out); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	fill(t, b, 10, 0)
	all, err := b.Page(t.Context(), bus.Page{Stream: bus.StreamEvents, Subject: "weir.events.acme.*", Limit: bus.MaxPage})
	if err != nil || len(all) != 10 {
		t.Fatalf("got %d messages, %v", len(all), err)
	}
	for i, m := range all {
		if string(m.Data) != fmt.Sprint("acme-", i) || m.Stored.IsZero() || m.Sequence != uint64(2*i+1) || m.Subject != fmt.Sprint("weir.events.acme.j", i%3) {
			t.Errorf("message %d is %+v", i, m)
		}
	}
	for _, tt := range []struct {
		page bus.Page
		want []int
	}{
		{bus.Page{Subject: "weir.events.acme.*", Limit: 3}, []int{0, 1, 2}},
		{bus.Page{Subject: "weir.events.acme.*", Limit: 2, From: all[4].Sequence + 1}, []int{5, 6}},
		{bus.Page{Subject: "weir.events.acme.*", Limit: 100, Since: all[8].Stored}, []int{8, 9}},
		{bus.Page{Subject: "weir.events.acme.j1", Limit: 100}, []int{1, 4, 7}},
		{bus.Page{Subject: "weir.events.acme.*", Limit: 5, Since: time.Now().Add(time.Hour)}, nil},
		{bus.Page{Subject: "weir.events.none.*", Limit: 5}, nil},
		{bus.Page{Subject: "weir.events.acme.*", Limit: 5, From: 1000}, nil},
	} {
		tt.page.Stream = bus.StreamEvents
		got, err := b.Page(t.Context(), tt.page)
		var numbers []int
		for _, m := range got {
			n := -1
			fmt.Sscanf(string(m.Data), "acme-%d", &n) //nolint:errcheck // -1 tells
			numbers = append(numbers, n)
		}
		if err != nil || !slices.Equal(numbers, tt.want) {
			t.Errorf("%+v: got %v, %v, want %v", tt.page, numbers, err, tt.want)
		}
	}
}

func TestPageBytes(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	fill(t, b, 10, 10_000)
	got, err := b.Page(t.Context(), bus.Page{Stream: bus.StreamEvents, Subject: "weir.events.acme.*", Limit: 10, MaxBytes: 25_000})
	if err != nil || len(got) < 2 || len(got) > 4 {
		t.Errorf("got %d messages, %v", len(got), err)
	}
	one, err := b.Page(t.Context(), bus.Page{Stream: bus.StreamEvents, Subject: "weir.events.acme.*", Limit: 10, MaxBytes: 1})
	if err != nil || len(one) != 1 {
		t.Errorf("got %d messages, %v, want one that is larger than all", len(one), err)
	}
}

func TestPageWithoutServer(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Page(ctx, bus.Page{Stream: bus.StreamEvents, Subject: "weir.events.acme.*", Limit: 5}); event.AsError(err) == nil || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("got %v", err)
	}
}

// TestWatch: what is there, what comes, and what came while the server was away.
func TestWatch(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	put := func(key string) {
		t.Helper()
		kv, err := b.KeyValue(t.Context(), bus.BucketCancels)
		for deadline := time.Now().Add(10 * time.Second); ; {
			if err == nil {
				_, err = kv.PutString(t.Context(), key, "now")
			}
			if err == nil || time.Now().After(deadline) {
				break
			}
			kv, err = b.KeyValue(t.Context(), bus.BucketCancels)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("acme.before")
	keys, known := make(chan string, 1000), make(chan struct{}, 1000)
	watched := server.Bus()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		watched.Watch(ctx, bus.BucketCancels, jetstream.AllKeys, func(e jetstream.KeyValueEntry) { keys <- e.Key() }, func() { known <- struct{}{} })
	}()
	await(t, known)
	if got := await(t, keys); got != "acme.before" {
		t.Errorf("got %s", got)
	}
	put("acme.live")
	if got := await(t, keys); got != "acme.live" {
		t.Errorf("got %s", got)
	}
	server.Restart()
	put("acme.after")
	for got := ""; got != "acme.after"; got = await(t, keys) {
		continue
	}
	stop()
	await(t, ended)
}

// await takes from a channel or fails the test.
func await[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
