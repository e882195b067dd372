package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// taskOverhead is how much longer a task is than its job: envelope and receipt.
func taskOverhead(task event.GenerateTask) int {
	task.Messages = nil
	data, err := json.Marshal(task)
	if err != nil {
		return 0
	}
	return len(data)
}

// bareWindow is the number of unacknowledged publishes: 256 costs the least
// CPU per message.
const bareWindow = 256

// startBare runs the same hops with nothing but JetStream, as fast as its
// client can: the same streams and consumers, messages of the same sizes, the
// same dedupe ids, publish, and ack after the publish is acknowledged. The second
// hop stores what an accounted call stores: an intent first, then a line of the
// ledger beside the result.
//
//	weir.jobs.generate -> weir.steps.generate -> intent -> line, weir.results
func startBare(ctx context.Context, server *natsd.Server, s sizes) (*system, error) {
	client, err := connectBus(ctx, server)
	if err != nil {
		return nil, err
	}
	first, err := startHop(ctx, server, bus.JobConsumer("router", event.KindGenerate, event.LaneBatch, 1024), s.task,
		nil, func(string) string { return event.GenerateSubject("small", event.LaneBatch, tenant) })
	if err != nil {
		return nil, err
	}
	second, err := startHop(ctx, server, bus.GenerateConsumer("small", event.LaneBatch, 1024), s.result,
		&records{intent: s.intent, line: s.line}, func(id string) string { return event.StoreSubject(tenant, id) })
	if err != nil {
		return nil, err
	}
	return &system{client: client, stop: func() { first(); second() }}, nil
}

// records are the sizes of what a hop stores beside its output.
type records struct{ intent, line int }

// startHop moves messages from a consumer to the next subject.
func startHop(ctx context.Context, server *natsd.Server, c bus.Consumer, size int, paid *records, next func(id string) string) (stop func(), err error) {
	b, err := connectBus(ctx, server)
	if err != nil {
		return nil, err
	}
	if err := b.EnsureConsumer(ctx, c); err != nil {
		return nil, err
	}
	js, err := jetstream.New(b.Conn(), jetstream.WithPublishAsyncMaxPending(bareWindow))
	if err != nil {
		return nil, fmt.Errorf("opening jetstream: %w", err)
	}
	consumer, err := js.Consumer(ctx, c.Stream, c.Durable)
	if err != nil {
		return nil, fmt.Errorf("opening consumer: %w", err)
	}
	intents, acks := make(chan hop, bareWindow), make(chan hop, bareWindow)
	finish := func(msg jetstream.Msg) {
		id := jobID(msg.Data())
		h := hop{msg: msg}
		if paid != nil {
			h.add(js.PublishAsync(event.LedgerSubject(tenant, id, "generate-0", 1, 1), payload(id, paid.line)))
		}
		h.add(js.PublishAsync(next(id), payload(id, size), jetstream.WithMsgID(c.Durable+id)))
		acks <- h
	}
	go func() {
		for h := range intents {
			if h.wait() {
				finish(h.msg)
			}
		}
	}()
	go func() {
		for h := range acks {
			if h.wait() {
				h.msg.Ack() //nolint:errcheck // counted at the end
			}
		}
	}()
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		if paid == nil {
			finish(msg)
			return
		}
		id := jobID(msg.Data())
		h := hop{msg: msg}
		h.add(js.PublishAsync("$KV."+bus.BucketLedger+"."+tenant+"."+id+".generate-0", payload(id, paid.intent)))
		intents <- h
	}, jetstream.PullMaxMessages(500))
	if err != nil {
		return nil, fmt.Errorf("consuming: %w", err)
	}
	return consuming.Stop, nil
}

// hop is a message whose successors are being stored.
type hop struct {
	msg    jetstream.Msg
	stored []jetstream.PubAckFuture
	failed bool
}

func (h *hop) add(f jetstream.PubAckFuture, err error) {
	if err != nil {
		h.failed = true
		return
	}
	h.stored = append(h.stored, f)
}

// wait reports whether all are stored.
func (h *hop) wait() bool {
	for _, f := range h.stored {
		select {
		case <-f.Ok():
		case <-f.Err():
			return false
		}
	}
	return !h.failed
}

// jobID finds the id without decoding: bare means no work on the payload.
func jobID(data []byte) string {
	_, rest, _ := bytes.Cut(data, []byte(`"id":"`))
	id, _, _ := bytes.Cut(rest, []byte(`"`))
	return string(id)
}

// payload is a message of a size that carries the id.
func payload(id string, size int) []byte {
	head := `{"v":1,"id":"` + id + `","text":"`
	return []byte(head + strings.Repeat("x", max(0, size-len(head)-2)) + `"}`)
}
