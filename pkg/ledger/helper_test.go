package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 30 * time.Second

func setup(t testing.TB) (*Ledger, *bus.Bus, *bustest.Server) {
	t.Helper()
	b, server := bustest.New(t)
	return New(b, nil), b, server
}

// intent is that of a delivery of acme's job j1.
func intent(epoch int64) Intent {
	return Intent{
		Tenant: "acme", Job: "j1", Step: "generate-0", Epoch: epoch, Worker: fmt.Sprint("w", epoch),
		Model: "small", Provider: "sim", Catalog: "r1", Estimate: 900,
	}
}

// answered is the line of a call that went well.
func answered(e *Entry, text string) Line {
	line := e.Line()
	line.Usage = llm.Usage{PromptTokens: 10, CachedTokens: 4, CompletionTokens: 3}
	line.CostNanoUSD = 70
	line.Answer = &Answer{Text: text, FinishReason: "stop", Model: "small-2026"}
	return line
}

func begin(t testing.TB, l *Ledger, in Intent) *Entry {
	t.Helper()
	e, err := l.Begin(t.Context(), in)
	if err != nil {
		t.Fatalf("epoch %d: %v", in.Epoch, err)
	}
	return e
}

func record(t testing.TB, l *Ledger, line Line) {
	t.Helper()
	if err := l.Record(t.Context(), line); err != nil {
		t.Fatal(err)
	}
}

// lines reads what the stream holds, as "epoch-call cost", and a word each for
// what is special.
func lines(t testing.TB, b *bus.Bus) []string {
	t.Helper()
	r, err := openReader(t.Context(), b, bus.StreamLedger, jetstream.ConsumerConfig{HeadersOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	err = r.each(t.Context(), func(msg message) (bool, error) {
		h, err := readHead(msg.Subject(), msg.Headers())
		if err != nil {
			return false, err
		}
		text := fmt.Sprintf("%d-%d %d", h.epoch, h.call, h.Cost)
		if h.Maybe {
			text += " maybe"
		}
		found = append(found, text)
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantLines(t testing.TB, b *bus.Bus, want ...string) {
	t.Helper()
	if got := strings.Join(lines(t, b), ", "); got != strings.Join(want, ", ") {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func wantFenced(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
}

func wantClass(t testing.TB, err error, class event.Class, texts ...string) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) || e.Class != class {
		t.Fatalf("got %v, want class %s", err, class)
	}
	for _, text := range texts {
		if !strings.Contains(e.Error(), text) {
			t.Errorf("no %q in %v", text, e)
		}
	}
}

// eventually asks again until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !holds() {
		if lifecycle.Sleep(ctx, 10*time.Millisecond) != nil {
			t.Fatalf("not after %s: %s", patience, what)
		}
	}
}

// run runs something until the returned function is called, or the test ends.
func run(t testing.TB, service interface{ Run(context.Context) error }) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	end := make(chan error, 1)
	go func() { end <- service.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-end:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}
