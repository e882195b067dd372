package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

type statusCmd struct{}

// status is what `weir status --json` prints.
type status struct {
	Streams   []streamStatus   `json:"streams"`
	Consumers []consumerStatus `json:"consumers"`
}

type streamStatus struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Messages    uint64 `json:"messages"`
	Bytes       uint64 `json:"bytes"`
	MaxMessages int64  `json:"max_messages"` // -1: bounded by bytes and age
	MaxBytes    int64  `json:"max_bytes"`
}

// consumerStatus sums up a stage's consumers: one per tenant.
type consumerStatus struct {
	Stream      string `json:"stream"`
	Name        string `json:"name"`
	Tenants     int    `json:"tenants"`
	Backlog     uint64 `json:"backlog"`
	InFlight    int    `json:"in_flight"`
	Redelivered int    `json:"redelivered"`
	// Pulls is the number of pull requests waiting for a message: 0 with a
	// backlog means that nobody works on it.
	Pulls int `json:"waiting_pulls"`
}

// Run shows the state of the queues.
func (statusCmd) Run(e *env) error {
	var s status
	err := e.withBus(func(b *bus.Bus) (err error) {
		ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
		defer cancel()
		s, err = readStatus(ctx, b.JetStream())
		return err
	})
	if err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(s)
	}
	return e.printStatus(s)
}

func readStatus(ctx context.Context, js jetstream.JetStream) (status, error) {
	var s status
	for _, cfg := range bus.Streams(bus.DefaultLimits()) {
		stream, err := js.Stream(ctx, cfg.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return s, coded(exitUnreachable, "no stream %s: no Weir has run on this NATS server; start one with `weir up`", cfg.Name)
		}
		if err != nil {
			return s, coded(exitUnreachable, "reading stream %s: %w", cfg.Name, err)
		}
		info := stream.CachedInfo()
		s.Streams = append(s.Streams, streamStatus{Name: cfg.Name, Description: cfg.Description,
			Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxMessages: info.Config.MaxMsgs, MaxBytes: info.Config.MaxBytes})
		if err := s.addConsumers(ctx, cfg.Name, stream); err != nil {
			return s, err
		}
	}
	slices.SortFunc(s.Consumers, func(a, b consumerStatus) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Name, b.Name))
	})
	return s, nil
}

// addConsumers sums the consumers of a stream up by stage.
func (s *status) addConsumers(ctx context.Context, name string, stream jetstream.Stream) error {
	sums := map[string]*consumerStatus{}
	consumers := stream.ListConsumers(ctx)
	for c := range consumers.Info() {
		if c.Config.Durable == "" {
			continue // somebody's view
		}
		stage, _, _ := strings.Cut(c.Name, "@")
		sum, ok := sums[stage]
		if !ok {
			sum = &consumerStatus{Stream: name, Name: stage}
			sums[stage] = sum
		}
		sum.Tenants++
		sum.Backlog += c.NumPending
		sum.InFlight += c.NumAckPending
		sum.Redelivered += c.NumRedelivered
		sum.Pulls += c.NumWaiting
	}
	if err := consumers.Err(); err != nil {
		return fmt.Errorf("listing consumers of %s: %w", name, err)
	}
	for _, sum := range sums {
		s.Consumers = append(s.Consumers, *sum)
	}
	return nil
}

func (e *env) printStatus(s status) error {
	err := e.table("status", func(w io.Writer) {
		fmt.Fprintln(w, "STREAM\tMESSAGES\tBYTES\tOF\tWHAT")
		for _, st := range s.Streams {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", st.Name, st.Messages, size(st.Bytes), size(uint64(max(0, st.MaxBytes))), st.Description) //nolint:gosec // not negative
		}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out)
	return e.table("status", func(w io.Writer) {
		fmt.Fprintln(w, "CONSUMER\tTENANTS\tBACKLOG\tIN FLIGHT\tREDELIVERED\tWAITING PULLS")
		for _, c := range s.Consumers {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", c.Name, c.Tenants, c.Backlog, c.InFlight, c.Redelivered, c.Pulls)
		}
	})
}

// size writes bytes with a binary unit.
func size(bytes uint64) string {
	const units = "KMGTPE"
	if bytes < 1024 {
		return fmt.Sprintf("%d B", bytes)
	}
	value, unit := float64(bytes)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}
