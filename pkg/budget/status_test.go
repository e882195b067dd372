package budget

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

// TestRead: the state of limits, before any use and after.
func TestRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	js, err := jetstream.New(f.server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "budget")
	if err != nil {
		t.Fatal(err)
	}
	group := Group{Name: "test.read", Laws: []Law{
		{Dimension: Tokens, Law: Bucket, Limit: 6000, Window: time.Minute},
		{Dimension: DayRequests, Law: Fixed, Limit: 100, Window: 24 * time.Hour},
		{Dimension: Concurrency, Limit: 3},
	}}
	read := func() map[string]Status {
		list, err := Read(t.Context(), kv, group, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]Status{}
		for _, s := range list {
			out[s.Dimension] = s
		}
		return out
	}
	if s := read(); s[Tokens].InForce != 6000 || s[Tokens].Reserved != 0 || s[Concurrency].Used != 0 {
		t.Errorf("before any use: %+v", s)
	}
	l, _ := f.worker("w", 0)
	for range 2 {
		grant, err := l.Acquire(t.Context(), Request{Group: group, Class: event.LaneInteractive, Cost: Cost{Tokens: 100, DayRequests: 1}})
		if err != nil {
			t.Fatal(err)
		}
		defer grant.Settle(nil)
	}
	s := read()
	if s[DayRequests].Used != 2 || s[Concurrency].Used != 2 {
		t.Errorf("after two calls: %+v", s)
	}
	l.Throttled(group.Name, time.Minute)
	deadline := time.Now().Add(patience)
	for read()[Tokens].NotBefore.IsZero() && time.Now().Before(deadline) {
		lifecycle.Sleep(t.Context(), 5*time.Millisecond) //nolint:errcheck // polled
	}
	if at := read()[Tokens].NotBefore; time.Until(at) < 30*time.Second {
		t.Errorf("not before %s, want a minute from now", at)
	}
}
