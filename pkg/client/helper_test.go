package client_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

const patience = 20 * time.Second

// setup returns a client, and the bus of the pipeline it talks to.
func setup(t *testing.T) (*client.Client, *bus.Bus, *bustest.Server) {
	t.Helper()
	b, server := bustest.New(t)
	c, err := client.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	return c, b, server
}

// next takes from a channel or fails the test.
func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// answer stores the ok result of a job with the text.
func answer(t *testing.T, b *bus.Bus, job, text string) {
	t.Helper()
	out, err := stage.ResultOut(event.Result{V: 1, ID: job, Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK,
		Answer: &event.Answer{Text: text, Model: "big", FinishReason: "stop"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

// token publishes a piece of a job's answer and waits until it is stored.
func token(t *testing.T, b *bus.Bus, job string, epoch int64, text string) {
	t.Helper()
	store(t, b, event.TokenSubject("acme", job), event.Token{V: 1, ID: job, Type: event.TokenDelta, Epoch: epoch, Text: text})
}

func store(t *testing.T, b *bus.Bus, subject string, value any) {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(t.Context(), bus.Out{Subject: subject, Data: data}); err != nil {
		t.Fatal(err)
	}
}

// lastJob returns the last job stored on a subject, and how many jobs there are.
func lastJob(t *testing.T, b *bus.Bus, subject string) (data []byte, stored int) {
	t.Helper()
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), subject)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return msg.Data, int(stream.CachedInfo().State.Msgs) //nolint:gosec // a small number
}

// up waits until the server answers again.
func up(t *testing.T, b *bus.Bus) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		_, err := b.Finished(t.Context(), "acme", "j1")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server did not come back: %v", err)
		}
	}
}
