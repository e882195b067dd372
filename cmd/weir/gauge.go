package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// view is what `weir top --json` prints.
type view struct {
	At time.Time `json:"at"`
	// Queues are by stage and lane, those where something is.
	Queues []queueView `json:"queues"`
	// JobsPerSecond that ended, over the last seconds.
	JobsPerSecond float64       `json:"jobs_per_second"`
	Results       uint64        `json:"results"` // stored
	Limits        []limitView   `json:"limits"`
	Providers     []health      `json:"providers"` // those that were ever heard of
	Spend         []tenantSpend `json:"spend"`
	Dead          []deadView    `json:"dead"`
}

// queueView is one stage's queue in one lane.
type queueView struct {
	Queue   string `json:"queue"`
	Lane    string `json:"lane"`
	Tenants int    `json:"tenants"`
	Waiting uint64 `json:"waiting"`
	InWork  uint64 `json:"in_work"`
}

// limitView is how far a limit is used.
type limitView struct {
	budget.Status
	// Utilisation is 0 to 1, of what is in force, over the last seconds; null before
	// it was measured.
	Utilisation *float64 `json:"utilisation"`
}

// tenantSpend is what a tenant spent.
type tenantSpend struct {
	Tenant       string `json:"tenant"`
	TodayNanoUSD int64  `json:"today_nano_usd"`
	// HourNanoUSD is what an hour costs at the rate of the last seconds.
	HourNanoUSD int64 `json:"per_hour_nano_usd"`
}

// deadView counts the dead letters of a stage.
type deadView struct {
	Stage   string `json:"stage"`
	Letters uint64 `json:"letters"`
}

// gauge reads views. What it read before makes the rates.
type gauge struct {
	bus     *bus.Bus
	catalog *catalog.Catalog
	health  *guard.Health
	past    []reading // oldest first
}

// reading are the counts of a moment, from which rates are made.
type reading struct {
	at      time.Time
	results uint64
	tenants map[string]int64 // nano-USD today
	models  map[string]ledger.Sum
}

// over is the time over which rates are made, when it has passed.
const over = time.Minute

// queues counts what waits and is in work.
func (g *gauge) queues(ctx context.Context, v *view) error {
	byQueue := map[[2]string]*queueView{}
	row := func(queue, lane string) *queueView {
		key := [2]string{queue, lane}
		if byQueue[key] == nil {
			byQueue[key] = &queueView{Queue: queue, Lane: lane}
		}
		return byQueue[key]
	}
	for _, s := range []struct{ name, subjects string }{{bus.StreamJobs, "weir.jobs.>"}, {bus.StreamSteps, "weir.steps.>"}} {
		stream, err := g.bus.JetStream().Stream(ctx, s.name)
		if err != nil {
			return fmt.Errorf("no stream %s: has a Weir run on this NATS server? %w", s.name, err)
		}
		info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.subjects))
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", s.name, err)
		}
		for subject, n := range info.State.Subjects {
			if queue, lane, ok := queueOf(subject); ok && n > 0 {
				r := row(queue, lane)
				r.Waiting, r.Tenants = r.Waiting+n, r.Tenants+1
			}
		}
		consumers := stream.ListConsumers(ctx)
		for c := range consumers.Info() {
			if queue, lane, ok := queueOf(c.Config.FilterSubject); ok && c.NumAckPending > 0 {
				row(queue, lane).InWork += uint64(c.NumAckPending)
			}
		}
		if err := consumers.Err(); err != nil {
			return fmt.Errorf("listing consumers of %s: %w", s.name, err)
		}
	}
	for _, r := range byQueue {
		r.InWork = min(r.InWork, r.Waiting) // not counted at once
		r.Waiting -= r.InWork
		v.Queues = append(v.Queues, *r)
	}
	slices.SortFunc(v.Queues, func(a, b queueView) int { return cmp.Or(cmp.Compare(a.Queue, b.Queue), cmp.Compare(b.Lane, a.Lane)) })
	return nil
}

// queueOf is the queue and the lane of a job's or step's subject: all but the tenant.
func queueOf(subject string) (queue, lane string, ok bool) {
	parts := strings.Split(subject, ".")
	if len(parts) < 5 {
		return "", "", false
	}
	parts = parts[1 : len(parts)-1]
	return strings.Join(parts[:len(parts)-1], " "), parts[len(parts)-1], true
}

// results counts those stored, and the dead letters.
func (g *gauge) results(ctx context.Context, v *view) error {
	stream, err := g.bus.JetStream().Stream(ctx, bus.StreamResults)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", bus.StreamResults, err)
	}
	v.Results = stream.CachedInfo().State.Msgs
	now := reading{at: v.At, results: stream.CachedInfo().State.LastSeq}
	g.past = append(g.past, now)
	for len(g.past) > 2 && now.at.Sub(g.past[1].at) >= over {
		g.past = g.past[1:]
	}
	if first := g.past[0]; now.at.After(first.at) && now.results >= first.results {
		v.JobsPerSecond = float64(now.results-first.results) / now.at.Sub(first.at).Seconds()
	}
	dead, err := g.bus.JetStream().Stream(ctx, bus.StreamDead)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", bus.StreamDead, err)
	}
	info, err := dead.Info(ctx, jetstream.WithSubjectFilter("weir.dead.>"))
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", bus.StreamDead, err)
	}
	letters := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		if parts := strings.Split(subject, "."); len(parts) == 4 {
			letters[parts[2]] += n
		}
	}
	for _, stage := range slices.Sorted(maps.Keys(letters)) {
		v.Dead = append(v.Dead, deadView{stage, letters[stage]})
	}
	return nil
}

// spending makes the rates of money and of the limits out of the ledger's totals.
func (g *gauge) spending(ctx context.Context, v *view) error {
	now, first := &g.past[len(g.past)-1], &g.past[0]
	now.tenants, now.models = map[string]int64{}, map[string]ledger.Sum{}
	for by, take := range map[ledger.By]func(ledger.Row){
		ledger.ByTenant: func(r ledger.Row) { now.tenants[r.Key] = r.CostNanoUSD },
		ledger.ByModel:  func(r ledger.Row) { now.models[r.Key] = r.Sum },
	} {
		rows, err := ledger.Ask(ctx, g.bus, ledger.Query{By: by, Since: v.At})
		if err != nil {
			return err
		}
		for _, r := range rows {
			take(r)
		}
	}
	seconds := now.at.Sub(first.at).Seconds()
	for _, tenant := range slices.Sorted(maps.Keys(now.tenants)) {
		s := tenantSpend{Tenant: tenant, TodayNanoUSD: now.tenants[tenant]}
		if seconds > 0 { // below 0 when a day has begun
			s.HourNanoUSD = max(0, int64(float64(s.TodayNanoUSD-first.tenants[tenant])/seconds*3600))
		}
		v.Spend = append(v.Spend, s)
	}
	for i := range v.Limits {
		v.Limits[i].Utilisation = g.utilisation(&v.Limits[i].Status, first, now)
	}
	return nil
}

// utilisation is how far a limit was used from one reading to another.
func (g *gauge) utilisation(s *budget.Status, first, now *reading) *float64 {
	if s.InForce <= 0 {
		return nil
	}
	share := float64(s.Used) / float64(s.InForce)
	if s.Dimension == budget.Requests || s.Dimension == budget.Tokens || s.Dimension == budget.Input || s.Dimension == budget.Output {
		minutes := now.at.Sub(first.at).Minutes()
		if minutes <= 0 {
			return nil
		}
		share = float64(g.used(s, first, now)) / minutes / float64(s.InForce)
	}
	share = max(share, 0)
	return &share
}

// used is what the models of a limit's group took of its dimension.
func (g *gauge) used(s *budget.Status, first, now *reading) int64 {
	used := int64(0)
	for i := range g.catalog.Models {
		m := &g.catalog.Models[i]
		if m.Provider+"."+m.Group() != s.Group {
			continue
		}
		before, after := first.models[m.ID], now.models[m.ID]
		switch s.Dimension {
		case budget.Requests:
			used += after.Calls - before.Calls
		case budget.Input:
			used += after.Prompt - before.Prompt
		case budget.Output:
			used += after.Completion - before.Completion
		default:
			used += after.Prompt + after.Completion - before.Prompt - before.Completion
		}
	}
	return used
}

// print writes the view for people.
func (v *view) print(out io.Writer) error {
	dead := uint64(0)
	for _, d := range v.Dead {
		dead += d.Letters
	}
	fmt.Fprintf(out, "weir top  %s  %.1f jobs/s  %d results  %d dead letters\n", v.At.Local().Format(time.TimeOnly), v.JobsPerSecond, v.Results, dead)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nQUEUE\tLANE\tTENANTS\tWAITING\tIN WORK")
	for _, q := range v.Queues {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\n", q.Queue, q.Lane, q.Tenants, q.Waiting, q.InWork)
	}
	if len(v.Queues) == 0 {
		fmt.Fprintln(w, "nothing waits\t\t\t\t")
	}
	if len(v.Limits) > 0 {
		fmt.Fprintln(w, "\nLIMIT\tIN FORCE\tUSED\t\tNEXT BATCH CALL IN")
	}
	for _, l := range v.Limits {
		fmt.Fprintf(w, "%s %s\t%d\t%s\t%s\t%s\n", l.Group, l.Dimension, l.InForce, percent(l.Utilisation), bar(l.Utilisation), l.Reserved.Round(time.Millisecond))
	}
	fmt.Fprintln(w, "\nPROVIDER\tSTATE\tUNTIL\tWHY\t")
	works := true
	for _, h := range v.Providers {
		if h.State == string(guard.Closed) {
			continue
		}
		works = false
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t\n", guard.Target{Provider: h.Provider, Group: h.Group}, h.State, h.Until.Local().Format(time.TimeOnly), h.Reason)
	}
	if works {
		fmt.Fprintln(w, "all work\t\t\t\t")
	}
	fmt.Fprintln(w, "\nTENANT\tUSD TODAY\tUSD AN HOUR\t\t")
	for _, s := range v.Spend {
		fmt.Fprintf(w, "%s\t%.6f\t%.6f\t\t\n", s.Tenant, float64(s.TodayNanoUSD)/1e9, float64(s.HourNanoUSD)/1e9)
	}
	for _, d := range v.Dead {
		fmt.Fprintf(w, "\ndead letters of %s\t%d\t\t\t\n", d.Stage, d.Letters)
	}
	return w.Flush()
}

func percent(share *float64) string {
	if share == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", 100**share)
}

// barWidth is that of a full bar.
const barWidth = 20

func bar(share *float64) string {
	if share == nil {
		return ""
	}
	full := int(min(*share, 1)*barWidth + 0.5)
	return strings.Repeat("#", full) + strings.Repeat(".", barWidth-full)
}
