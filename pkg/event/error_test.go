package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

func TestClass(t *testing.T) {
	t.Parallel()
	for class, want := range map[event.Class]struct{ retry, dead bool }{
		event.ClassInvalid:     {false, false},
		event.ClassUnsupported: {false, true},
		event.ClassTooLarge:    {false, false},
		event.ClassAuth:        {false, true},
		event.ClassQuota:       {false, true},
		event.ClassContent:     {false, false},
		event.ClassThrottled:   {true, true},
		event.ClassUnavailable: {true, true},
		event.ClassTruncated:   {true, true},
		event.ClassDeadline:    {false, false},
		event.ClassCanceled:    {false, false},
		event.ClassPoison:      {false, true},
		event.ClassInternal:    {true, true},
		"of a later version":   {false, true}, // kept rather than lost
	} {
		if class.Retryable() != want.retry || class.DeadLetter() != want.dead {
			t.Errorf("%s: retryable %t, dead letter %t; want %t, %t", class, class.Retryable(), class.DeadLetter(), want.retry, want.dead)
		}
	}
}

func TestAsError(t *testing.T) {
	t.Parallel()
	own := event.Invalid("model", "use another", "unknown model %q", "x")
	timedOut, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	canceled, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		name string
		err  error
		want event.Class
	}{
		{"own", own, event.ClassInvalid},
		{"wrapped", fmt.Errorf("planning: %w", own), event.ClassInvalid},
		{"joined", errors.Join(io.EOF, own), event.ClassInvalid},
		{"deadline", fmt.Errorf("calling: %w", timedOut.Err()), event.ClassDeadline},
		{"canceled", canceled.Err(), event.ClassCanceled},
		{"own around a context's", event.Errorf(event.ClassUnavailable, "calling: %w", context.Canceled), event.ClassUnavailable},
		{"any other", io.ErrUnexpectedEOF, event.ClassInternal},
	} {
		got := event.AsError(c.err)
		if got.Class != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got.Class, c.want)
		}
		if got.Message == "" {
			t.Errorf("%s: no message", c.name)
		}
	}
	if event.AsError(nil) != nil {
		t.Error("AsError(nil) is not nil")
	}
	if err := event.AsError(fmt.Errorf("reading: %w", io.EOF)); !errors.Is(err, io.EOF) {
		t.Error("the cause is lost")
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	err := event.Invalid("rag.top_k", "use 1 to 100", "got %d", 500)
	if want := "invalid: rag.top_k: got 500 (use 1 to 100)"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	plain := event.Errorf(event.ClassUnavailable, "calling: %w", io.EOF)
	if plain.Error() != "unavailable: calling: EOF" || !errors.Is(plain, io.EOF) {
		t.Errorf("got %q, cause %v", plain, plain.Err)
	}
}

// TestErrorOnTheWire: the cause's Go error and wait stay inside.
func TestErrorOnTheWire(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(&event.Error{Class: event.ClassThrottled, Message: "m", Err: io.EOF, RetryAfter: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"class":"throttled","message":"m"}`; string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
}
