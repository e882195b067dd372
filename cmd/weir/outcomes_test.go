package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// onFirst is output that calls a function when its first line was printed.
type onFirst struct {
	bytes.Buffer
	then func()
}

func (w *onFirst) Write(p []byte) (int, error) {
	defer func() { w.then(); w.then = func() {} }()
	return w.Buffer.Write(p) //nolint:wrapcheck // of a buffer
}

// TestOutcomes: what was recorded is printed, and what expires meanwhile is no
// error.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	for i := range 3 {
		data, err := json.Marshal(event.Observation{Task: []string{"math", "sort"}[i%2], Outcome: json.RawMessage(fmt.Sprintf(`{"id":"o%d"}`, i))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.JetStream().Publish(t.Context(), event.OutcomeSubject("default", fmt.Sprint(i)), data); err != nil {
			t.Fatal(err)
		}
	}
	all := []string{"outcomes", "--nats-url", server.URL()}
	weir(t, all...).wants(t, exitOK, `"o0"`, `"o1"`, `"o2"`)
	if got := weir(t, append(all, "--task", "sort")...).wants(t, exitOK, `"o1"`); strings.Contains(got.out, "o0") {
		t.Errorf("another task was printed: %s", got.out)
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamOutcomes)
	if err != nil {
		t.Fatal(err)
	}
	out := &onFirst{then: func() {
		if err := stream.Purge(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}}
	var errs buffer
	if code := run(t.Context(), all, out, &errs); code != exitOK || !strings.Contains(out.String(), `"o0"`) || errs.String() != "" {
		t.Errorf("exit code %d, output %q, errors %q; want the outcome that was there", code, out.String(), errs.String())
	}
}
