package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
)

// paid stores the lines of some calls and has them added up.
func paid(t *testing.T, b *bus.Bus, lines ...ledger.Line) {
	t.Helper()
	l := ledger.New(b, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	want := map[string]int64{}
	for i, line := range lines {
		line.Step, line.Epoch, line.Call, line.Provider = "generate-0", int64(i+1), 1, "sim"
		want[line.Tenant] += line.CostNanoUSD
		if err := l.Record(ctx, line); err != nil {
			t.Fatal(err)
		}
	}
	p, err := ledger.NewProjector(ledger.ProjectorConfig{Bus: b, Worker: "test"})
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan error, 1)
	go func() { end <- p.Run(ctx) }()
	defer func() { cancel(); <-end }()
	kv, err := b.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := kv.Watch(ctx, "checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop() //nolint:errcheck // the test's own
	for {
		select {
		case entry := <-watch.Updates():
			if entry != nil && string(entry.Value()) == fmt.Sprint(len(lines)) {
				return
			}
		case <-time.After(patience):
			t.Fatal("the lines were not added up")
		}
	}
}

func TestSpend(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	paid(t, b,
		ledger.Line{Tenant: "acme", Job: "j1", Model: "small", CostNanoUSD: 3380, Usage: llm.Usage{PromptTokens: 10, CompletionTokens: 3}},
		ledger.Line{Tenant: "acme", Job: "j1", Model: "large", CostNanoUSD: 2e9, MaybeBilled: true, Error: "unavailable"},
		ledger.Line{Tenant: "zeta", Job: "j2", Model: "small", CostNanoUSD: 20, Usage: llm.Usage{PromptTokens: 5, CompletionTokens: 1}},
	)
	spend := func(args ...string) outcome {
		t.Helper()
		got := weir(t, append([]string{"spend", "--nats-url", server.URL()}, args...)...).wants(t, exitOK)
		got.out = strings.Join(strings.Fields(got.out), " ") + " "
		return got
	}
	const head = " CALLS FAILED MAYBE BILLED TOKENS IN OUT USD OF IT MAYBE "
	for want, args := range map[string][]string{
		"TENANT" + head + "acme 2 1 1 10 3 2.00000338 2 zeta 1 0 0 5 1 0.00000002 0 total 3 1 1 15 4 2.0000034 2 ": nil,
		"MODEL" + head + "small 1 0 0 5 1 0.00000002 0 total 1 0 0 5 1 0.00000002 0 ":                              {"--by", "model", "--tenant", "zeta", "--since", "7d"},
		"MODEL" + head + "large 1 1 1 0 0 2 2 small 2 0 0 15 4 0.0000034 0 total 3 1 1 15 4 2.0000034 2 ":          {"--by", "model", "--all", "--since", "2026-01-01"},
		"JOB" + head + "j1 2 1 1 10 3 2.00000338 2 total 2 1 1 10 3 2.00000338 2 ":                                 {"--by", "job", "--tenant", "acme", "--since", "1h"},
		"JOB" + head + "total 0 0 0 0 0 0 0 ":                                                                      {"--by", "job"}, // tenant default
	} {
		if got := spend(args...).out; got != want {
			t.Errorf("%q:\n got %s\nwant %s", args, got, want)
		}
	}
	rows := lines[ledger.Row](t, weir(t, "spend", "--json", "--nats-url", server.URL()))
	if len(rows) != 2 || rows[0].Key != "acme" || rows[0].CostNanoUSD != 2_000_003_380 || rows[0].MaybeNanoUSD != 2e9 {
		t.Errorf("got %+v", rows)
	}
}

func TestSpendSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	bare := bustest.Start(t)
	for _, by := range []string{"tenant", "job"} {
		weir(t, "spend", "--by", by, "--nats-url", bare.URL()).wants(t, exitUnreachable, "no ledger", "weir up")
	}
	weir(t, "spend", "--nats-url", nowhere).wants(t, exitUnreachable, nowhere)
	weir(t, "spend", "--by", "moon").wants(t, exitUsage, "--by")
	for _, since := range []string{"soon", "-5h", "0h", "d", "99999999d", "2026-13-01"} {
		weir(t, "spend", "--since="+since, "--nats-url", nowhere).wants(t, exitUsage, "--since", since)
	}
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"24h": "2026-11-24T10:00:00Z", "90m": "2026-11-25T08:30:00Z", "7d": "2026-11-18T10:00:00Z", "2026-11-01": "2026-11-01T00:00:00Z",
	} {
		if got, err := parseSince(text, now); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}
