package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

func TestUSD(t *testing.T) {
	t.Parallel()
	for nano, want := range map[int64]string{
		0: "0", 1: "0.000000001", 20: "0.00000002", 3380: "0.00000338", 1_500_000: "0.0015",
		1_000_000_000: "1", 10_000_000_000: "10", 1_234_567_890_123: "1234.567890123",
	} {
		if got := usd(nano); got != want {
			t.Errorf("%d nano-USD: %q, want %q", nano, got, want)
		}
	}
}

func TestMS(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]string{
		0: "0.0ms", 0.04: "0.0ms", 0.26: "0.3ms", 9.949: "9.9ms", 10: "10ms", 12.6: "13ms", 1500: "1.5s", 61_000: "1m1s",
	} {
		if got := ms(value); got != want {
			t.Errorf("%g ms: %q, want %q", value, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 4 << 30: "4.0 GiB", 1 << 63: "8.0 EiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d bytes: %q, want %q", bytes, got, want)
		}
	}
}

func TestReceiptLine(t *testing.T) {
	t.Parallel()
	r := event.Receipt{WaitingMS: 1.25, RetrievingMS: 15, GeneratingMS: 1204, TotalMS: 1220.4}
	r.Add(event.Attempt{Model: "embed", PromptTokens: 4, CostNanoUSD: 80})
	r.Add(event.Attempt{Model: "small", PromptTokens: 10, CompletionTokens: 3, CostNanoUSD: 3300})
	want := "models embed, small | tokens 14 in, 3 out | cost $0.00000338 | waiting 1.2ms, retrieving 15ms, generating 1.204s, total 1.22s"
	if got := receiptLine(r); got != want {
		t.Errorf("receipt\n got %s\nwant %s", got, want)
	}
}

func TestSourceLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		source event.Source
		want   string
	}{
		{event.Source{Document: "d"}, "d"},
		{event.Source{Document: "d", Source: "d.md"}, "d.md"},
		{event.Source{Document: "d", Source: "d.md", Title: "T"}, "d.md, T"},
		{event.Source{Document: "d", Title: "T", Section: []string{"A", "B"}}, "d, T > A > B"},
	} {
		if got := sourceLine(tc.source); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.source, got, tc.want)
		}
	}
}

func TestLifeLine(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.Local)
	for _, tc := range []struct {
		life event.Life
		want string
	}{
		{event.Life{At: at, Stage: "router", Type: event.LifePlanned, Attempt: 1, Detail: "model small"},
			"03:04:05.006  router    planned: model small"},
		{event.Life{At: at, Stage: "generator", Type: event.LifeRetrying, Attempt: 2, RetryMS: 1500, Error: event.Errorf(event.ClassThrottled, "slow down")},
			"03:04:05.006  generator retrying (delivery 2): throttled: slow down; again in 1.5s"},
	} {
		if got := lifeLine(tc.life); got != tc.want {
			t.Errorf("life\n got %s\nwant %s", got, tc.want)
		}
	}
}

func TestBarLine(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		total   int
		sum     partly
		elapsed time.Duration
		want    string
	}{
		{10, partly{tally{documents: 1, chunks: 3, toks: 30}, 1}, time.Second,
			"[==                      ] 1/10 documents, 3 chunks, 30 tokens, 3 chunks/s, ETA 9s"},
		{10, partly{tally{documents: 5, chunks: 42, toks: 1}, 5}, 2500 * time.Millisecond,
			"[============            ] 5/10 documents, 42 chunks, 1 token, 17 chunks/s, ETA 3s"},
		{10, partly{tally{documents: 10, chunks: 1000, toks: 9}, 10}, 500 * time.Millisecond,
			"[========================] 10/10 documents, 1000 chunks, 9 tokens, 2000 chunks/s, ETA 0s"},
		{1, partly{tally{chunks: 128}, 0.25}, 2 * time.Second,
			"[======                  ] 0/1 documents, 128 chunks, 0 tokens, 64 chunks/s, ETA 6s"},
		{5, partly{}, 2 * time.Second,
			"[                        ] 0/5 documents, 0 chunks, 0 tokens, 0 chunks/s, ETA ?"},
	} {
		if got := barLine(tc.total, tc.sum, tc.elapsed); got != tc.want {
			t.Errorf("bar\n got %s\nwant %s", got, tc.want)
		}
	}
}

// TestBar: on a terminal each state overwrites the one before, and an error
// gets a line of its own.
func TestBar(t *testing.T) {
	t.Parallel()
	var out, errs buffer
	p := &progress{e: &env{out: &out, err: &errs, cli: &cli{}}, total: 2, bar: true, start: time.Now()}
	p.add("a.md", event.Result{Ingested: &event.Ingested{Outcome: event.OutcomeStored, Chunks: 3, Embedded: 3, Tokens: 30}}, nil)
	p.add("b.md", event.Result{}, errors.New("broken"))
	err := p.end(nil)
	if err == nil || exitCode(err) != exitJobFailed || !strings.Contains(err.Error(), "1 of 2 documents") {
		t.Errorf("error %v, want one document of two", err)
	}
	if got := errs.String(); got != "b.md: broken\n" {
		t.Errorf("stderr %q", got)
	}
	got := out.String()
	if !strings.HasPrefix(got, "\r\x1b[K[============            ] 1/2 documents, 3 chunks") ||
		!strings.Contains(got, "\r\x1b[K[========================] 2/2 documents") || !strings.Contains(got, "\n1 document, 3 chunks, 30 tokens in ") {
		t.Errorf("stdout %q", got)
	}
}

// TestStopped: what has no result when the wait ends is told once, with the way on.
func TestStopped(t *testing.T) {
	t.Parallel()
	for cause, code := range map[error]int{context.Canceled: exitError, context.DeadlineExceeded: exitTimeout} {
		var out, errs buffer
		p := &progress{e: &env{out: &out, err: &errs, cli: &cli{}}, total: 3, start: time.Now()}
		p.add("a.md", event.Result{Ingested: &event.Ingested{Outcome: event.OutcomeStored, Chunks: 1, Embedded: 1, Tokens: 1}}, nil)
		err := p.end(cause)
		if err == nil || exitCode(err) != code || !strings.Contains(err.Error(), "2 of 3 documents have no result yet") {
			t.Errorf("%v: error %v, want two documents without a result", cause, err)
		}
		if got := out.String(); !strings.HasPrefix(got, "1/3 a.md: 1 chunk\n1 document, 1 chunk, 1 token in ") || errs.String() != "" {
			t.Errorf("stdout %q, stderr %q", got, errs.String())
		}
	}
}

func TestFit(t *testing.T) {
	t.Parallel()
	line := barLine(10, partly{tally{documents: 5, chunks: 42}, 5}, 2500*time.Millisecond)
	for width, want := range map[int]string{
		100: line, len(line) + 1: line, len(line): "5/10 documents, 42 chunks, 0 tokens, 17 chunks/s, ETA 3s", 10: "5/10 docu", 0: "",
	} {
		if got := fit(line, width); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
}
