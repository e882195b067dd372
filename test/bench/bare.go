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
// same dedupe ids, publish, and ack after the publish is acknowledged.
//
//	weir.jobs.generate -> weir.steps.generate -> weir.results
func startBare(ctx context.Context, server *natsd.Server, s sizes) (*system, error) {
	client, err := connectBus(ctx, server)
	if err != nil {
		return nil, err
	}
	first, err := startHop(ctx, server, bus.JobConsumer("router", event.KindGenerate, event.LaneBatch, 1024), s.task,
		func(string) string { return event.GenerateSubject("small", event.LaneBatch, tenant) })
	if err != nil {
		return nil, err
	}
	second, err := startHop(ctx, server, bus.GenerateConsumer("small", event.LaneBatch, 1024), s.result,
		func(id string) string { return event.StoreSubject(tenant, id) })
	if err != nil {
		return nil, err
	}
	return &system{client: client, stop: func() { first(); second() }}, nil
}

// startHop moves messages from a consumer to the next subject.
func startHop(ctx context.Context, server *natsd.Server, c bus.Consumer, size int, next func(id string) string) (stop func(), err error) {
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
	acks := make(chan hop, bareWindow)
	go func() {
		for h := range acks {
			select {
			case <-h.stored.Ok():
				h.msg.Ack() //nolint:errcheck // counted at the end
			case <-h.stored.Err():
			}
		}
	}()
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		id := jobID(msg.Data())
		stored, err := js.PublishAsync(next(id), payload(id, size), jetstream.WithMsgID(c.Durable+id))
		if err == nil {
			acks <- hop{msg, stored}
		}
	}, jetstream.PullMaxMessages(500))
	if err != nil {
		return nil, fmt.Errorf("consuming: %w", err)
	}
	return consuming.Stop, nil
}

// hop is a message whose successor is being stored.
type hop struct {
	msg    jetstream.Msg
	stored jetstream.PubAckFuture
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
