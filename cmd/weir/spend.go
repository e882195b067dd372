package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/ledger"
)

type spendCmd struct {
	By    string `enum:"tenant,model,job" default:"tenant" help:"What to add up by: tenant (all tenants), model or job (of --tenant)."`
	Since string `default:"24h" help:"From when: a duration such as 24h or 7d, or a day such as 2026-11-01. By tenant and model from the beginning of that UTC day."`
	All   bool   `help:"All tenants' models or jobs."`
}

// Run prints what was spent, the most expensive first.
func (c *spendCmd) Run(e *env) error {
	since, err := parseSince(c.Since, time.Now())
	if err != nil {
		return err
	}
	q := ledger.Query{By: ledger.By(c.By), Since: since, Tenant: e.Tenant}
	if c.All || q.By == ledger.ByTenant {
		q.Tenant = ""
	}
	rows, err := e.askLedger(q)
	if err != nil {
		return err
	}
	if !e.JSON {
		return e.printSpend(q.By, rows)
	}
	return printLines(e, rows)
}

func (e *env) askLedger(q ledger.Query) (rows []ledger.Row, err error) {
	err = e.withBus(func(b *bus.Bus) (err error) {
		ctx, cancel := context.WithTimeout(e.ctx, time.Minute)
		defer cancel()
		rows, err = ledger.Ask(ctx, b, q)
		return err
	})
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, coded(exitUnreachable, "no ledger: no Weir has run on this NATS server; start one with `weir up`")
	}
	return rows, err
}

// parseSince reads a duration back from now, with days, or a UTC day.
func parseSince(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		return at, nil
	}
	var back time.Duration
	var err error
	if number, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(number, 10, 16)
		back = time.Duration(n) * 24 * time.Hour //nolint:gosec // 16 bits
	} else {
		back, err = time.ParseDuration(text)
	}
	if err != nil || back <= 0 {
		return now, coded(exitUsage, "--since: %q is neither a duration (24h, 7d) nor a day (2026-11-01)", text)
	}
	return now.Add(-back), nil
}

func (e *env) printSpend(by ledger.By, rows []ledger.Row) error {
	total := ledger.Row{Key: "total"}
	for _, row := range rows {
		total.Add(row.Sum)
	}
	return e.table("what was spent", func(w io.Writer) {
		fmt.Fprintln(w, strings.ToUpper(string(by))+"\tCALLS\tFAILED\tMAYBE BILLED\tTOKENS IN\tOUT\tUSD\tOF IT MAYBE")
		for _, r := range append(rows, total) {
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Key, r.Calls, r.Failed, r.Maybe, r.Prompt, r.Completion, usd(r.CostNanoUSD), usd(r.MaybeNanoUSD))
		}
	})
}
