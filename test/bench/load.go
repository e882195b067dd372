package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/embedded/natsd"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// tenant of all benchmark jobs.
const tenant = "bench"

// prompt makes a job of about 1 KiB.
var prompt = strings.Repeat("Summarise the quarterly report for the board. ", 20)

// startNATS runs a server on a fresh directory until the returned stop.
func startNATS(ctx context.Context) (server *natsd.Server, stop func(), err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, nil, fmt.Errorf("making a temporary directory: %w", err)
	}
	server, err = natsd.New(natsd.Config{Dir: dir})
	if err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- server.Run(running) }()
	stop = func() {
		cancel()
		<-done
		os.RemoveAll(dir) //nolint:errcheck // temporary
	}
	select {
	case <-server.Ready():
		return server, stop, nil
	case err := <-done:
		cancel()
		return nil, nil, err
	}
}

// connectBus opens a connection of its own, as each process would, and makes
// the streams.
func connectBus(ctx context.Context, server *natsd.Server) (*bus.Bus, error) {
	nc, err := server.Conn()
	if err != nil {
		return nil, err
	}
	b, err := bus.New(nc)
	if err != nil {
		return nil, err
	}
	return b, b.Ensure(ctx, bus.DefaultLimits())
}

// jobOut is the n-th job of a round.
func jobOut(round string, n int) (bus.Out, error) {
	id := round + "-" + strconv.Itoa(n)
	data := fmt.Appendf(nil, `{"v":1,"id":%q,"messages":[{"role":"user","content":%q}]}`, id, prompt)
	return bus.Out{Subject: event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: tenant}.Subject(),
		ID: tenant + "." + id, Data: data}, nil
}

// submitWindow is how many jobs are published before their acks are awaited.
const submitWindow = 256

// throughput publishes n jobs, waits for all results, and returns jobs/s.
func throughput(ctx context.Context, b *bus.Bus, round string, n int) (float64, error) {
	results := make(chan *nats.Msg, n+1)
	sub, err := b.Conn().ChanSubscribe(event.ResultSubject(tenant, "*"), results)
	if err != nil {
		return 0, fmt.Errorf("subscribing: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the end of the round
	start := time.Now()
	for at := 0; at < n; at += submitWindow {
		outs := make([]bus.Out, 0, submitWindow)
		for i := at; i < min(n, at+submitWindow); i++ {
			out, err := jobOut(round, i)
			if err != nil {
				return 0, err
			}
			outs = append(outs, out)
		}
		if err := b.Publish(ctx, outs...); err != nil {
			return 0, err
		}
	}
	for range n {
		select {
		case <-results:
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("results are missing after a minute: %d of %d are there", n-len(results), n)
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// latencies submits jobs one at a time and returns each one's time from
// submission to result in milliseconds.
func latencies(ctx context.Context, b *bus.Bus, round string, n int) ([]float64, error) {
	results := make(chan *nats.Msg, n)
	sub, err := b.Conn().ChanSubscribe(event.ResultSubject(tenant, "*"), results)
	if err != nil {
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the end of the round
	values := make([]float64, n)
	for i := range n {
		out, err := jobOut(round, i)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := b.Publish(ctx, out); err != nil {
			return nil, err
		}
		select {
		case <-results:
		case <-time.After(time.Minute):
			return nil, fmt.Errorf("no result after a minute")
		}
		values[i] = event.Milliseconds(time.Since(start))
	}
	return values, nil
}
