// Package why says what holds a job that has no result: a provider's limit, a
// breaker, the tenant's budget, others' turn or the tenant's own backlog, a time or a
// try that is still to come, or that nobody takes the jobs of its stage. It looks at
// the last that was told of the job, and else at the state of things, which also
// tells when a job that is yet to be submitted would start.
package why

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// Reason says what holds a job.
type Reason struct {
	Cause event.WaitCause `json:"cause"`
	// Name is that of the limit (group and dimension), the breaker's target, the
	// tenant whose budget or backlog it is, the stage, or the job that leads a flight.
	Name   string `json:"name,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Since is when the job came to wait, as far as that is known.
	Since time.Time `json:"since,omitzero"`
	// ExpectedStart is when it is expected to move; zero when that can't be told.
	ExpectedStart time.Time `json:"expected_start,omitzero"`
	// Position is about the job's place among its tenant's in the queue, from 1; 0 is
	// unknown.
	Position int `json:"position,omitempty"`
	// Text is all of it in one sentence.
	Text string `json:"text"`
}

// Pace is what is known of the tasks of a model that ended lately. What is 0 is not
// known.
type Pace struct {
	// PerSecond is how many end a second, of those that are there to be done.
	PerSecond float64
	// Tokens is what one takes of the limits, Took how long its call does.
	Tokens int
	Took   time.Duration
}

// Config is what a Forecaster works with.
type Config struct {
	Bus *bus.Bus
	// Catalog is the one in force.
	Catalog func() *catalog.Catalog
	// Status is how a model's provider is, as breakers see it; the zero value works.
	Status func(catalog.Model) guard.Status
	// Pace is that of a model; nil knows none: then the limits alone say how fast work
	// is done.
	Pace func(model string) Pace
	// Spent is what a tenant has spent from start up to, but not including, end; nil
	// reads the ledger's totals.
	Spent func(ctx context.Context, tenant string, start, end time.Time) (int64, error)
	// Model is that of jobs that name neither model nor task, EmbeddingModel that of
	// documents; as the router's.
	Model, EmbeddingModel string
	// Names has other tenants named, for operators; else they are "others".
	Names bool
	Now   func() time.Time
}

// Forecaster says why jobs wait and when they start. It is safe for concurrent use.
type Forecaster struct{ cfg Config }

// New returns a Forecaster. It does no I/O.
func New(cfg Config) (*Forecaster, error) {
	if cfg.Bus == nil || cfg.Catalog == nil || cfg.Status == nil {
		return nil, errors.New("why: Bus, Catalog and Status: missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Pace == nil {
		cfg.Pace = func(string) Pace { return Pace{} }
	}
	if cfg.Spent == nil {
		cfg.Spent = func(ctx context.Context, tenant string, start, _ time.Time) (int64, error) {
			return spent(ctx, cfg.Bus, tenant, start)
		}
	}
	return &Forecaster{cfg}, nil
}

// spent reads what a tenant has spent since the beginning of a day.
func spent(ctx context.Context, b *bus.Bus, tenant string, start time.Time) (int64, error) {
	rows, err := ledger.Ask(ctx, b, ledger.Query{By: ledger.ByTenant, Since: start, Tenant: tenant})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].CostNanoUSD, nil
}

// Models lists the models that may answer a job that names a model, a task, or
// neither, in the order in which they are asked; nil when there are none.
func (f *Forecaster) Models(model, task string) []string {
	return Models(f.cfg.Catalog(), model, task, f.cfg.Model)
}

// Models is as Forecaster's, by a catalog. usual is the model of jobs that name
// neither.
func Models(c *catalog.Catalog, model, task, usual string) []string {
	if model != "" || task == "" && c.Routing == nil {
		return c.Chain(cmp.Or(model, usual))
	}
	policy, ok := c.Policy(task)
	if !ok {
		if task == "" {
			return c.Chain(c.Routing.Reference)
		}
		return nil
	}
	chain := policy.Chain
	if policy.Accept.Tau.Auto && c.Routing.Learned.Policy(policy.Task) == nil {
		chain = append([]string{c.Chain(c.Routing.Reference)[0]}, chain...) // it answers until something is learned
	}
	return distinct(append(append([]string{}, chain...), policy.Fallback...))
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	out := names[:0]
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

// text is the sentence of a reason.
func (r *Reason) text(now time.Time) string {
	s := r.Detail
	if r.Position > 0 {
		s += fmt.Sprintf("; about number %d of the tenant's jobs", r.Position)
	}
	if wait := r.ExpectedStart.Sub(now); wait > 0 {
		s += fmt.Sprintf("; expected to move in %s", wait.Round(rounding(wait)))
	}
	return s
}

// rounding is what a wait is told to.
func rounding(d time.Duration) time.Duration {
	switch {
	case d > time.Hour:
		return time.Minute
	case d > 10*time.Second:
		return time.Second
	}
	return 100 * time.Millisecond
}
