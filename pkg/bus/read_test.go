package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// read returns the data that a stream holds of a subject from a sequence on.
func read(t *testing.T, b *bus.Bus, subject string, from uint64) (data []string, sequences []uint64) {
	t.Helper()
	err := b.Read(t.Context(), bus.StreamTokens, subject, from, func(m *bus.Message) error {
		if m.Stream != bus.StreamTokens || m.Stored.IsZero() || !strings.HasPrefix(m.Subject, "weir.tokens.acme.") {
			t.Errorf("got %+v", m)
		}
		data, sequences = append(data, string(m.Data)), append(sequences, m.Sequence)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return data, sequences
}

// TestRead: the subject's messages alone, in order, over several batches, from any
// place.
func TestRead(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	if data, _ := read(t, b, event.TokenSubject("acme", "j1"), 0); len(data) != 0 {
		t.Errorf("read %q of an empty stream", data)
	}
	const n = 600
	outs := make([]bus.Out, 0, 2*n)
	for i := range n {
		outs = append(outs, bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: fmt.Append(nil, i)},
			bus.Out{Subject: event.TokenSubject("acme", "j2"), Data: []byte("x")})
	}
	if err := b.Publish(t.Context(), outs...); err != nil {
		t.Fatal(err)
	}
	data, sequences := read(t, b, event.TokenSubject("acme", "j1"), 0)
	if len(data) != n {
		t.Fatalf("read %d messages", len(data))
	}
	for i := range n {
		if data[i] != fmt.Sprint(i) || sequences[i] != uint64(2*i+1) {
			t.Fatalf("message %d is %q at %d", i, data[i], sequences[i])
		}
	}
	if data, _ := read(t, b, event.TokenSubject("acme", "j1"), sequences[n-2]); strings.Join(data, " ") != "598 599" {
		t.Errorf("from the last but one: %q", data)
	}
	if data, _ := read(t, b, event.TokenSubject("acme", "j1"), sequences[n-1]+1); len(data) != 0 {
		t.Errorf("behind the end: %q", data)
	}
	if data, _ := read(t, b, event.TokenSubject("acme", "*"), 0); len(data) != 2*n {
		t.Errorf("read %d messages of all jobs", len(data))
	}
}

// TestReadLarge: batches are bounded in bytes, too.
func TestReadLarge(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	outs := make([]bus.Out, 12)
	for i := range outs {
		outs[i] = bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: make([]byte, bus.ClaimOver), Header: map[string][]string{"X": {"y"}}}
	}
	for range 4 {
		if err := b.Publish(t.Context(), outs...); err != nil {
			t.Fatal(err)
		}
	}
	if data, _ := read(t, b, event.TokenSubject("acme", "j1"), 0); len(data) != 48 {
		t.Errorf("read %d messages", len(data))
	}
}

func TestReadFails(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	if err := b.Publish(t.Context(), bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := b.Read(t.Context(), bus.StreamTokens, event.TokenSubject("acme", "j1"), 0, func(*bus.Message) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
	if err := b.Read(t.Context(), "NO_STREAM", "x", 0, func(*bus.Message) error { return nil }); event.AsError(err) == nil || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("a stream that is not there: got %v", err)
	}
	server.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Read(ctx, bus.StreamTokens, "x", 0, func(*bus.Message) error { return nil }); event.AsError(err) == nil || event.AsError(err).Class != event.ClassUnavailable {
		t.Errorf("without a server: got %v", err)
	}
}
