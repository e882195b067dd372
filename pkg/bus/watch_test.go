package bus_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
)

// TestWatchEndsWhole: a watch that ends before all was told leaves nothing behind that
// waits for a reader.
func TestWatchEndsWhole(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for i := range 1000 {
		if err := b.Publish(t.Context(), bus.Out{Subject: fmt.Sprintf("$KV.%s.acme.j%d", bus.BucketCancels, i), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	b.Watch(ctx, bus.BucketCancels, jetstream.AllKeys, func(jetstream.KeyValueEntry) {
		if ctx.Err() == nil { // until more has come than is held for a reader
			for tick := time.Tick(20 * time.Millisecond); stuck() == 0; {
				<-tick
			}
		}
		stop()
	}, nil)
	deadline := time.After(10 * time.Second)
	for tick := time.Tick(10 * time.Millisecond); stuck() > 0; {
		select {
		case <-tick:
		case <-deadline:
			t.Fatalf("%d watches wait for a reader", stuck())
		}
	}
}

// stuck counts the watches of buckets that wait for a reader.
func stuck() int {
	stack := make([]byte, 4<<20)
	n := 0
	for _, goroutine := range strings.Split(string(stack[:runtime.Stack(stack, true)]), "\n\n") {
		if head, rest, _ := strings.Cut(goroutine, "\n"); strings.Contains(head, "chan send") && strings.Contains(rest, "WatchFiltered") {
			n++
		}
	}
	return n
}
