// Package quote says what a job would take before it is submitted: what it costs,
// when it starts and ends, and what holds it. What jobs take is learned from the
// results of jobs like it; how things stand from what pkg/why knows.
package quote

import (
	"context"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/pkg/why"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
)

// Quote says what a job would take.
type Quote struct {
	Kind   event.Kind `json:"kind"`
	Cost   Range      `json:"cost_nano_usd"`
	Tokens Tokens     `json:"tokens"`
	// Models are those that may be asked, the first one first; Task is the policy by
	// which one is chosen.
	Models []string `json:"models,omitempty"`
	Task   string   `json:"task,omitempty"`
	Start  Start    `json:"start"`
	End    End      `json:"end"`
	// Binding is what holds the job at present; null when nothing does.
	Binding *why.Reason `json:"binding"`
	// DeadlineHolds is true, false or unknown; "" without a deadline.
	DeadlineHolds Holds `json:"deadline_holds,omitempty"`
	// DeadlineProbability is that of the end before the deadline.
	DeadlineProbability *float64 `json:"deadline_probability,omitempty"`
	// LearnedFrom is how many jobs the cost is learned from; with 0 it is made of
	// bounds. Basis says whose: tenant, pooled, or bounds.
	LearnedFrom int   `json:"learned_from"`
	Basis       Basis `json:"basis"`

	call int64 // what the tenant's budget must have room for
}

// Tokens are those of all calls; Own is the job's own prompt, counted.
type Tokens struct {
	Own        int   `json:"own"`
	Prompt     Range `json:"prompt"`
	Completion Range `json:"completion"`
}

// Start is when a job would start. Expected is missing when nothing tells.
type Start struct {
	Earliest time.Time `json:"earliest"`
	Expected time.Time `json:"expected,omitzero"`
}

// End is when a job would end. What is missing can't be told.
type End struct {
	Low      time.Time `json:"low,omitzero"`
	Expected time.Time `json:"expected,omitzero"`
	High     time.Time `json:"high,omitzero"`
}

// Holds says whether a deadline is met.
type Holds string

// The values.
const (
	HoldsTrue    Holds = "true"
	HoldsFalse   Holds = "false"
	HoldsUnknown Holds = "unknown"
)

// Basis is what a quote is made of.
type Basis string

// The values.
const (
	BasisTenant Basis = "tenant" // the tenant's own jobs
	BasisPooled Basis = "pooled" // jobs of all tenants
	BasisBounds Basis = "bounds" // what can't be less or more
)

// Counter counts tokens as the pipeline does; see guard.Guard.
type Counter interface {
	Count(model string, req llm.ChatRequest) int
	CountText(model, text string) int
}

// Config is what a Quoter works with.
type Config struct {
	Catalog  func() *catalog.Catalog
	Counter  Counter
	Learner  *Learner
	Forecast *why.Forecaster
	// EmbeddingModel is that of documents and questions, TopK how many chunks a job is
	// shown that does not say; as the router's.
	EmbeddingModel string
	TopK           int
	// ContextTokens bounds the sources of a prompt; as the router's.
	ContextTokens int
	Now           func() time.Time
}

// Quoter makes quotes. It is safe for concurrent use.
type Quoter struct{ cfg Config }

// New returns a Quoter. It does no I/O.
func New(cfg Config) *Quoter { return &Quoter{cfg} }

// Quote says what a job would take that was checked.
func (q *Quoter) Quote(ctx context.Context, p tenant.Principal, job intake.Checked) (any, error) {
	out := Quote{Kind: job.Address.Kind, Basis: BasisBounds}
	w := why.Work{Tenant: p.Tenant, Kind: out.Kind, Lane: job.Address.Lane, NotBefore: job.Record.NotBefore, Deadline: job.Record.Deadline}
	var work []float64
	var err error
	switch out.Kind {
	case event.KindGenerate:
		work, err = q.generate(&job, &out)
		w.Models = out.Models
	case event.KindIngest:
		err = q.ingest(&job, &out)
	case event.KindEmbed:
		err = q.embed(&job, &out)
		w.Models = out.Models
	case event.KindBatch:
		err = event.Invalid("dry_run", "ask for a quote of one of its lines", "a batch's cost is not known before its file is read")
	}
	if err != nil {
		return nil, err
	}
	w.CostNanoUSD = out.call
	outlook, err := q.cfg.Forecast.Outlook(ctx, w)
	if err != nil {
		return nil, err
	}
	out.Binding, out.Start = outlook.Reason, Start{outlook.Earliest.UTC(), outlook.Expected.UTC()}
	if outlook.Expected.IsZero() {
		out.Start.Expected = time.Time{}
	}
	out.times(work, w.Deadline)
	return out, nil
}

// times fills in the end by what the work of jobs like this one took, in milliseconds.
func (out *Quote) times(work []float64, deadline time.Time) {
	if !deadline.IsZero() {
		out.DeadlineHolds = HoldsUnknown
	}
	if len(work) == 0 || out.Start.Expected.IsZero() {
		return
	}
	slices.Sort(work)
	low, likely, high := interval(work)
	after := func(t time.Time, ms float64) time.Time {
		return t.Add(time.Duration(max(ms, 0) * float64(time.Millisecond)))
	}
	out.End = End{Low: after(out.Start.Earliest, low), Expected: after(out.Start.Expected, likely), High: after(out.Start.Expected, high)}
	if deadline.IsZero() {
		return
	}
	in := 0
	for _, ms := range work {
		if !after(out.Start.Expected, ms).After(deadline) {
			in++
		}
	}
	probability := float64(in) / float64(len(work))
	out.DeadlineProbability = &probability
	switch {
	case probability >= sure:
		out.DeadlineHolds = HoldsTrue
	case probability <= 1-sure:
		out.DeadlineHolds = HoldsFalse
	}
}

// sure is the probability from which on a deadline is said to hold, or, of the
// contrary, not to.
const sure = 0.9
