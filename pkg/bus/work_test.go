package bus_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
)

// TestWorker: every message is handled, over the loss of the durable and of the
// server, and a stop waits for what is in work.
func TestWorker(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	handled := make(chan string, 100)
	release := make(chan struct{})
	w := bus.Worker{Consumer: bus.DueConsumer("test", 10), Slots: 2, Drain: time.Minute, Handle: func(_ context.Context, msg *bus.Message) {
		handled <- string(msg.Data)
		if string(msg.Data) == "last" {
			<-release
		}
		if err := msg.Ack(); err != nil {
			t.Error(err)
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- w.Run(ctx, b, func() { close(ready) }) }()
	<-ready
	publish := func(data string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			err := b.Publish(t.Context(), bus.Out{Subject: "weir.due.test.acme", ID: data, Data: []byte(data)})
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
	}
	seen := map[string]bool{}
	want := func(data string) {
		t.Helper()
		defer func() { seen[data] = true }()
		for {
			select {
			case got := <-handled:
				if got == data {
					return
				}
				if !seen[got] { // a server that restarts forgets the last acks
					t.Fatalf("handled %q, want %q", got, data)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("%q was not handled", data)
			}
		}
	}
	for i := range 5 {
		publish(fmt.Sprint(i))
		want(fmt.Sprint(i))
	}
	if err := b.JetStream().DeleteConsumer(t.Context(), bus.StreamDelay, w.Consumer.Durable); err != nil {
		t.Fatal(err)
	}
	publish("after the durable")
	want("after the durable")
	server.Restart()
	publish("after the server")
	want("after the server")
	publish("last")
	want("last")
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("ended before what is in work: %v", err)
	default:
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestWorkerRefused: a durable that can't be made ends the worker.
func TestWorkerRefused(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	w := bus.Worker{Consumer: bus.DueConsumer("test", 10), Slots: 1, Drain: time.Second}
	if err := b.EnsureConsumer(t.Context(), bus.Consumer{Stream: bus.StreamDelay, Durable: "greedy", Filter: "weir.due.>", MaxAckPending: 1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context(), b, func() { t.Error("it says that it works") }); err == nil {
		t.Error("no error")
	}
}
