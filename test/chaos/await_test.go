package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/system"
)

// TestAwaitOutlivesTheServer kills NATS after a waiting client has asked for the
// result and before it got an answer: the answer never comes, so it has to ask
// again.
func TestAwaitOutlivesTheServer(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("CHAOS NOT RUN: -short skips the tests that kill processes at work")
	}
	sys := system.Start(t, system.Options{Mode: system.Separate})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	id, err := sys.Client(t).Generate(ctx, tenant, event.GenerateJob{Messages: []event.Message{{Role: "user", Content: "Hello"}}})
	if err != nil {
		t.Fatalf("submitting: %v", err)
	}
	if _, err := sys.Client(t).Await(ctx, tenant, id); err != nil {
		t.Fatalf("awaiting: %v", err)
	}

	nc := sys.Connect(t)
	c, err := client.New(nc)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	sys.Processes["nats"].Freeze()
	asked := nc.Stats().OutMsgs
	done := make(chan error, 1)
	start := time.Now()
	go func() {
		_, err := c.Await(ctx, tenant, id)
		done <- err
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for written := 0; written < 20; <-tick.C { // a while, so that it has left the client
		if n, _ := nc.Buffered(); n == 0 && nc.Stats().OutMsgs > asked {
			written++
		}
	}
	sys.Restart("nats")
	if err := <-done; err != nil {
		t.Fatalf("awaiting over a restart of NATS, after %s: %v", time.Since(start), err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("awaiting over a restart of NATS took %s", d)
	}
}
