// Package online keeps the policy of one task up to date from live traffic:
// labels by agreement with the reference model, thresholds that move in small
// steps and only where held-out labels say so, and alarms that go back to the
// policy table. It is a state machine without clock, randomness or I/O; its state
// is bounded and can be stored as JSON.
package online

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
)

// Config says how a task is kept. The zero value is not usable; see DefaultConfig.
type Config struct {
	// Allowed is the share of all questions whose accepted answer may differ from
	// the reference's. Within a family of models the loss of true quality was 0.1
	// to 0.4 of it.
	Allowed float64 `json:"allowed"`
	// AuditRate is the share of accepted answers that the reference answers too.
	// Without any, thresholds are learned from escalated traffic alone and drift.
	AuditRate float64 `json:"audit_rate"`
	// ColdLabels is how many labels end the cold start.
	ColdLabels int `json:"cold_labels"`
	// RefitEvery is the least time between two refits.
	RefitEvery time.Duration `json:"refit_every"`
	// MaxStep is how far a threshold moves in one refit.
	MaxStep float64 `json:"max_step"`
	// MaxLabels bounds the labels that are kept; the oldest go first.
	MaxLabels int `json:"max_labels"`
	// AlarmAt is where a CUSUM of audited disagreement or of the escalation share
	// raises an alarm: in answers beyond what was expected.
	AlarmAt float64 `json:"alarm_at"`
}

// DefaultConfig is what was measured: 3 % disagreement, 5 % audits, an hour.
func DefaultConfig() Config {
	return Config{Allowed: 0.03, AuditRate: 0.05, ColdLabels: 150, RefitEvery: time.Hour, MaxStep: 0.05, MaxLabels: 2000, AlarmAt: 8}
}

// Validate checks the configuration; its error names the field.
func (c Config) Validate() error {
	for name, share := range map[string]float64{"allowed": c.Allowed, "audit_rate": c.AuditRate, "max_step": c.MaxStep} {
		if !(share >= 0 && share <= 1) {
			return event.Invalid(name, "a share is from 0 to 1", "is %v", share)
		}
	}
	switch {
	case c.ColdLabels < 20 || c.MaxLabels < c.ColdLabels || c.MaxLabels > 100_000:
		return event.Invalid("max_labels", "keep 20 to 100000 labels, and no fewer than end the cold start", "cold_labels is %d, max_labels %d", c.ColdLabels, c.MaxLabels)
	case c.RefitEvery < 0:
		return event.Invalid("refit_every", "use 1h", "is %v", c.RefitEvery)
	case !(c.AlarmAt > 0):
		return event.Invalid("alarm_at", "use 8", "is %v", c.AlarmAt)
	}
	return nil
}

// Task is the state of one task: a chain of models whose thresholds move, and the
// labels that say where to. It is not safe for concurrent use.
type Task struct {
	Name   string `json:"name"`
	Config Config `json:"config"`
	// Table is the version of the policy table that the state began with; another
	// table begins a new state.
	Table string `json:"table,omitempty"`
	// Base is the chain of the table, or, of a task without a policy, the small
	// model and the reference, not calibrated yet.
	Base []cascade.Tier `json:"base"`
	// Escalated is the expected share of questions that the first tier does not
	// answer, Settled how many questions it was counted on; -1 is by the table.
	Escalated float64 `json:"escalated,omitempty"`
	Settled   int     `json:"settled,omitempty"`
	// Chain is Base with what was learned since.
	Chain    []cascade.Tier `json:"chain"`
	Warm     bool           `json:"warm"`
	Pressure float64        `json:"pressure,omitempty"`
	Labels   []Label        `json:"labels,omitempty"`
	RefitAt  time.Time      `json:"refit_at,omitzero"`
	// Moves and Reverts count what became of the thresholds.
	Moves   int `json:"moves,omitempty"`
	Reverts int `json:"reverts,omitempty"`

	Disagreement cusum `json:"disagreement"`
	More         cusum `json:"more"`  // escalations than expected
	Fewer        cusum `json:"fewer"` // the same, downwards
}

// Label is what became known of an answer of a tier.
type Label struct {
	ID       string           `json:"id"`
	At       time.Time        `json:"at"`
	Tier     int              `json:"tier"`
	P        float64          `json:"p"`
	Features cascade.Features `json:"features,omitempty"` // while cold
	OK       float64          `json:"ok"`
	Source   cascade.Label    `json:"source"`
	Weight   float64          `json:"weight"`
}

// maxLabelFeatures bounds what is kept of an answer.
const maxLabelFeatures = 32

// New makes the state of a task with a policy.
func New(name, table string, p *cascade.TaskPolicy, c Config) (*Task, error) {
	if err := p.Validate("policy"); err != nil {
		return nil, fmt.Errorf("task %s: %w", name, err)
	}
	t := &Task{Name: name, Config: c, Table: table, Base: p.Chain, Escalated: p.Escalated, Chain: slices.Clone(p.Chain), Warm: true}
	if p.Escalated > 0 {
		t.Settled = -1
	}
	return t, c.Validate()
}

// NewCold makes the state of a task without a policy: the reference answers
// everything, and the small model some of it beside, until there are enough labels
// to calibrate it.
func NewCold(name, small, reference string, c Config) (*Task, error) {
	if small == "" || reference == "" || small == reference {
		return nil, event.Invalid("reference", "name two models", "small is %q, reference %q", small, reference)
	}
	t := &Task{Name: name, Config: c, Base: []cascade.Tier{{Model: small}, {Model: reference}}}
	t.Chain = slices.Clone(t.Base)
	return t, c.Validate()
}

// Validate checks a state that was stored; its error names the field.
func (t *Task) Validate() error {
	tiers := len(t.Base)
	switch {
	case tiers < 2 || tiers > maxTiers || len(t.Chain) != tiers:
		return event.Invalid("chain", "begin the task anew", "has %d tiers, base %d; want the same, from 2 to %d", len(t.Chain), tiers, maxTiers)
	case len(t.Labels) > maxStored:
		return event.Invalid("labels", "begin the task anew", "has %d, want up to %d", len(t.Labels), maxStored)
	case !(t.Escalated >= 0 && t.Escalated <= 1) || t.Settled < -1 || !(t.Pressure >= 0 && t.Pressure <= 1):
		return event.Invalid("escalated", "shares are from 0 to 1", "is %v, settled %d, pressure %v", t.Escalated, t.Settled, t.Pressure)
	}
	for i := range t.Base {
		if t.Base[i].Model != t.Chain[i].Model {
			return event.Invalid("chain", "begin the task anew", "has model %q in tier %d, base has %q", t.Chain[i].Model, i, t.Base[i].Model)
		}
		for _, tier := range []cascade.Tier{t.Base[i], t.Chain[i]} {
			if err := validTier(i, tier); err != nil {
				return err
			}
		}
	}
	for _, l := range t.Labels {
		if l.Tier < 0 || l.Tier >= tiers-1 || !(l.P >= 0 && l.P <= 1) || !(l.OK >= 0 && l.OK <= 1) || !(l.Weight > 0 && l.Weight <= maxWeight) {
			return event.Invalid("labels", "begin the task anew", "label %q is of tier %d of %d, p %v, ok %v, weight %v", l.ID, l.Tier, tiers, l.P, l.OK, l.Weight)
		}
	}
	for name, sum := range map[string]float64{"disagreement": t.Disagreement.Sum, "more": t.More.Sum, "fewer": t.Fewer.Sum} {
		if !(sum >= 0) || math.IsInf(sum, 0) {
			return event.Invalid(name, "a sum is finite and at least 0", "is %v", sum)
		}
	}
	return t.Config.Validate()
}

// Bounds of a stored state. An audit rate below 1/maxWeight teaches nothing.
const (
	maxTiers  = 64
	maxStored = 100_000
	maxWeight = 1e6
)

func validTier(i int, tier cascade.Tier) error {
	if tier.Model == "" || !(tier.Tau >= 0 && tier.Tau <= 1) {
		return event.Invalid("chain", "name the model, with a threshold from 0 to 1", "tier %d is model %q at %v", i, tier.Model, tier.Tau)
	}
	if tier.Calibration == nil {
		return nil // the table has it
	}
	if err := tier.Calibration.Validate(); err != nil {
		return fmt.Errorf("tier %d: %w", i, err)
	}
	return nil
}

// Policy is the chain to use now: while cold, the reference alone.
func (t *Task) Policy() []cascade.Tier {
	if !t.Warm {
		return t.Chain[len(t.Chain)-1:]
	}
	return t.Chain
}

// Audit says whether the reference should answer an accepted question too.
func (t *Task) Audit(u float64) bool { return t.Warm && u < t.Config.AuditRate }

// SetPressure says how scarce money is, from 0 to 1: thresholds then use up more of
// the margin within the allowed disagreement, never more than is allowed.
func (t *Task) SetPressure(p float64) { t.Pressure = min(max(p, 0), 1) }

// Answer is an answer of a tier whose label became known: by escalation, by an
// audit, or because somebody said so.
type Answer struct {
	ID       string
	At       time.Time
	Tier     int // index in the chain
	P        float64
	Features cascade.Features
	// Accepted answers were given to the user; the others were escalated.
	Accepted bool
	OK       float64 // 1 if it was right, or the same as the reference's
	Source   cascade.Label
}

// Learn takes a label. It returns an alarm if too many audited answers differ from
// the reference's; the thresholds are then those of the table again. Labels of the
// last tier, which has no threshold, are of no use here.
func (t *Task) Learn(a Answer) *Alarm {
	if a.Tier < 0 || a.Tier >= len(t.Base)-1 || !(a.OK >= 0 && a.OK <= 1) || !(a.P >= 0 && a.P <= 1) {
		return nil
	}
	before := t.put(t.label(a))
	if a.Accepted && t.Warm && !before {
		return t.watchDisagreement(a)
	}
	return nil
}

func (t *Task) label(a Answer) Label {
	l := Label{ID: a.ID, At: a.At, Tier: a.Tier, P: a.P, OK: a.OK, Source: a.Source, Weight: 1}
	if a.Source == cascade.LabelAudit && t.Config.AuditRate > 0 {
		l.Weight = 1 / t.Config.AuditRate
	}
	if t.learnsCalibration() {
		l.Features = bounded(a.Features)
	}
	return l
}

// put adds a label, and reports whether the answer had one before. What people or
// checks say overrides agreement with a model, never the other way round.
func (t *Task) put(l Label) bool {
	i := slices.IndexFunc(t.Labels, func(old Label) bool { return old.ID == l.ID && old.Tier == l.Tier })
	if i >= 0 {
		old := &t.Labels[i]
		if rank(l.Source) >= rank(old.Source) {
			old.OK, old.Source = l.OK, l.Source // the weight is that of how it was sampled
		}
		return true
	}
	if len(t.Labels) >= t.Config.MaxLabels {
		t.Labels = slices.Delete(t.Labels, 0, len(t.Labels)-t.Config.MaxLabels+1)
	}
	t.Labels = append(t.Labels, l)
	return false
}

func rank(l cascade.Label) int {
	if l == cascade.LabelGold || l == cascade.LabelFeedback {
		return 1
	}
	return 0
}

// learnsCalibration: without a table the first tier is calibrated here.
func (t *Task) learnsCalibration() bool { return t.Table == "" && t.Base[0].Tau == 0 }

// bounded keeps the first features by name.
func bounded(f cascade.Features) cascade.Features {
	if len(f) <= maxLabelFeatures {
		return maps.Clone(f)
	}
	kept := make(cascade.Features, maxLabelFeatures)
	for _, name := range slices.Sorted(maps.Keys(f))[:maxLabelFeatures] {
		kept[name] = f[name]
	}
	return kept
}
