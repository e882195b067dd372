package cascade

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// TableVersion is the version of the policy table's format.
const TableVersion = 1

// MaxTableBytes bounds a policy table's JSON.
const MaxTableBytes = 64 << 20

// Table says for each task which models to try and when to accept an answer. It
// is what `weir calibrate` writes and the router loads.
type Table struct {
	V int `json:"v"`
	// Version names the table in receipts: by default a hash of its content.
	Version string `json:"version"`
	// CreatedAt is the time of the newest outcome that it was made from.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Reference is the model that quality and cost are compared with, and that
	// answers what has no policy.
	Reference string    `json:"reference"`
	Objective Objective `json:"objective"`
	// Tasks are the policies; DefaultTask is that of all other tasks.
	Tasks map[string]*TaskPolicy `json:"tasks"`
}

// Objective is what a table was made for.
type Objective struct {
	// MaxQualityLoss is the allowed loss of mean quality against the reference
	// over all tasks: 0.01 is one point in a hundred.
	MaxQualityLoss float64 `json:"max_quality_loss"`
	// MarginSE is how many standard errors the estimate must keep from it.
	MarginSE float64 `json:"margin_se"`
	// Labels is LabelGold or LabelAgreement.
	Labels Label `json:"labels"`
}

// TaskPolicy is the chain of models of one task and what was measured of it on
// outcomes that it was not made from.
type TaskPolicy struct {
	Chain []Tier `json:"chain"`
	// Skip, if there is one, lets questions begin with the second tier.
	Skip *Skip `json:"skip,omitempty"`
	// Declined: one model is as good as any cascade here; Reason says why.
	Declined bool   `json:"declined,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Labels   int    `json:"labels"` // outcomes that it was made from
	// ECE is the expected calibration error of the first tier, in 10 bins.
	ECE float64 `json:"ece,omitempty"`
	// QualityChange is the mean quality less the reference's, Saving the share of
	// the reference's cost that is saved, Escalated the share of questions that
	// more than one model answered.
	QualityChange Estimate `json:"quality_change"`
	Saving        Estimate `json:"saving"`
	Escalated     float64  `json:"escalated"`
	// CostPer1K is what a thousand questions cost, ReferencePer1K what the
	// reference takes for them, in nano-USD.
	CostPer1K      int64 `json:"cost_per_1k_nano_usd"`
	ReferencePer1K int64 `json:"reference_per_1k_nano_usd"`
}

// String is the chain in one line: models with their thresholds and paid signals.
func (p *TaskPolicy) String() string {
	var tiers []string
	for _, tier := range p.Chain {
		text := tier.Model
		if tier.Tau > 0 {
			text += fmt.Sprintf(" (%s)", strings.Join(append([]string{fmt.Sprintf("%.2f", tier.Tau)}, tier.Paid...), ", "))
		}
		tiers = append(tiers, text)
	}
	text := strings.Join(tiers, " > ")
	if p.Skip != nil && len(p.Chain) > 1 {
		text += fmt.Sprintf(", begins with %s where p > %.2f", p.Chain[1].Model, p.Skip.Above)
	}
	return text
}

// Estimate is a mean with its 95 % interval.
type Estimate struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Tier is one model of a chain.
type Tier struct {
	Model string `json:"model"`
	// Tau is the least probability at which the answer is accepted. The last
	// tier has 0: it accepts what passes the hard gates.
	Tau float64 `json:"tau"`
	// Calibration turns the answer's evidence into that probability; needed
	// where Tau is above 0.
	Calibration *Calibration `json:"calibration,omitempty"`
	// Paid are the signals to buy: Judge, or AgreeWith a second model.
	Paid []string `json:"paid,omitempty"`
}

// Skip begins with the second tier where the first one's answer would hardly be
// accepted, so that its price is not wasted.
type Skip struct {
	// Calibration gives the probability, from the question alone, that the first
	// tier's answer is not accepted. Above it the first tier is left out.
	Calibration *Calibration `json:"calibration"`
	Above       float64      `json:"above"`
}

// Begins reports whether a question begins with the second tier.
func (s *Skip) Begins(task, question string) bool {
	return question != "" && s.Calibration.P(Evidence{Task: task, Question: question}) > s.Above
}

// AgreeWith names the paid signal that a second model gives the same answer.
func AgreeWith(model string) string { return Agree + ":" + model }

// AgreeModel returns the second model of a signal that AgreeWith named.
func AgreeModel(signal string) (string, bool) {
	return strings.CutPrefix(signal, Agree+":")
}

// FeatureOf names the feature that a paid signal sets: Agree for all AgreeWith.
func FeatureOf(signal string) string {
	if _, ok := AgreeModel(signal); ok {
		return Agree
	}
	return signal
}

// Policy returns the policy of a task, else that of DefaultTask, else nil.
func (t *Table) Policy(task string) *TaskPolicy {
	if t == nil {
		return nil
	}
	if p, ok := t.Tasks[task]; ok {
		return p
	}
	return t.Tasks[DefaultTask]
}

// Hash is the version of a table by its content: equal tables have equal hashes.
func (t *Table) Hash() (string, error) {
	plain := *t
	plain.Version = ""
	data, err := json.Marshal(plain)
	if err != nil {
		return "", fmt.Errorf("encoding table: %w", err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8]), nil
}

// Write writes the table as indented JSON: the same bytes for equal tables.
func (t *Table) Write(w io.Writer) error {
	if err := t.Validate(); err != nil {
		return err
	}
	data, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return fmt.Errorf("encoding table: %w", err)
	}
	if _, err := w.Write(append(data, '\n')); err != nil {
		return fmt.Errorf("writing table: %w", err)
	}
	return nil
}

// ReadTable reads and checks a table. Its errors name the field.
func ReadTable(r io.Reader) (*Table, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxTableBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading table: %w", err)
	}
	if len(data) > MaxTableBytes {
		return nil, event.Invalid("table", "calibrate without text features", "has more than %d bytes", MaxTableBytes)
	}
	var head struct {
		V int `json:"v"`
	}
	if json.Unmarshal(data, &head) == nil && head.V != TableVersion {
		return nil, event.Invalid("v", "write the table anew with `weir calibrate`", "unknown version %d of the policy table, this Weir reads %d", head.V, TableVersion)
	}
	var t Table
	if err := strictJSON("table", data, &t); err != nil {
		return nil, fmt.Errorf("decoding table: %w", err)
	}
	return &t, t.Validate()
}

// Validate checks the table; its error names the field.
func (t *Table) Validate() error {
	switch {
	case t.V != TableVersion:
		return event.Invalid("v", "use 1", "is %d", t.V)
	case t.Version == "" || len(t.Version) > maxName:
		return event.Invalid("version", "name the table", "has %d bytes, want 1 to %d", len(t.Version), maxName)
	case t.Reference == "":
		return event.Invalid("reference", "name the model to compare with", "is empty")
	case !between(t.Objective.MaxQualityLoss, 0, 1):
		return event.Invalid("objective.max_quality_loss", "0.01 is one point in a hundred", "is %v, want 0 to 1", t.Objective.MaxQualityLoss)
	case !between(t.Objective.MarginSE, 0, 10):
		return event.Invalid("objective.margin_se", "1 is usual", "is %v, want 0 to 10", t.Objective.MarginSE)
	case t.Objective.Labels != LabelGold && t.Objective.Labels != LabelAgreement:
		return event.Invalid("objective.labels", "write gold or agreement", "is %q", cut(string(t.Objective.Labels)))
	}
	for _, task := range sortedKeys(t.Tasks) {
		p := t.Tasks[task]
		if task == "" || len(task) > maxName || p == nil {
			return event.Invalid("tasks", "give each task a name and a policy", "task %q has none", cut(task))
		}
		if err := p.Validate("tasks." + task); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks a policy; field is where it stands.
func (p *TaskPolicy) Validate(field string) error {
	if len(p.Chain) == 0 || len(p.Chain) > maxModels {
		return event.Invalid(field+".chain", "name at least one model", "has %d models, want 1 to %d", len(p.Chain), maxModels)
	}
	for i, tier := range p.Chain {
		at := fmt.Sprintf("%s.chain[%d]", field, i)
		if err := tier.validate(at, i == len(p.Chain)-1); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Chain[:i], func(other Tier) bool { return other.Model == tier.Model }) {
			return event.Invalid(at+".model", "name each model once", "%q is in the chain twice", tier.Model)
		}
	}
	if p.Skip != nil {
		if err := p.Skip.validate(field+".skip", len(p.Chain)); err != nil {
			return err
		}
	}
	for name, e := range map[string]Estimate{"quality_change": p.QualityChange, "saving": p.Saving} {
		if !between(e.Mean, -1e9, 1e9) || !between(e.Low, -1e9, 1e9) || !between(e.High, -1e9, 1e9) {
			return event.Invalid(field+"."+name, "use finite numbers", "is %v", e)
		}
	}
	if !between(p.Escalated, 0, 1) || !between(p.ECE, 0, 1) {
		return event.Invalid(field+".escalated", "shares are from 0 to 1", "escalated is %v, ece %v", p.Escalated, p.ECE)
	}
	return nil
}

func (t *Tier) validate(field string, last bool) error {
	switch {
	case t.Model == "" || len(t.Model) > maxName:
		return event.Invalid(field+".model", "name a model of the catalog", "has %d bytes, want 1 to %d", len(t.Model), maxName)
	case !between(t.Tau, 0, 1):
		return event.Invalid(field+".tau", "a threshold is a probability", "is %v, want 0 to 1", t.Tau)
	case last && t.Tau > 0:
		return event.Invalid(field+".tau", "leave it out: nothing follows the last model", "is %v in the last tier", t.Tau)
	case !last && t.Tau == 0:
		return event.Invalid(field+".tau", "set a threshold above 0, or end the chain here", "is 0, so the models after it are never asked")
	case t.Tau > 0 && t.Calibration == nil:
		return event.Invalid(field+".calibration", "make the table with `weir calibrate`", "is missing, and tau %v needs one", t.Tau)
	}
	for i, signal := range t.Paid {
		model, agree := AgreeModel(signal)
		if signal == "" || len(signal) > maxName || agree && (model == "" || model == t.Model) {
			return event.Invalid(field+".paid", "name judge, or agree:MODEL with another model", "signal %q", cut(signal))
		}
		if slices.ContainsFunc(t.Paid[:i], func(other string) bool { return FeatureOf(other) == FeatureOf(signal) }) {
			return event.Invalid(field+".paid", "buy each signal once", "%q is there twice", signal)
		}
	}
	return validCalibration(field+".calibration", t.Calibration)
}

func (s *Skip) validate(field string, tiers int) error {
	switch {
	case tiers < 2:
		return event.Invalid(field, "leave it out", "there is no second tier to begin with")
	case s.Calibration == nil:
		return event.Invalid(field+".calibration", "make the table with `weir calibrate`", "is missing")
	case !between(s.Above, 0, 1):
		return event.Invalid(field+".above", "a threshold is a probability", "is %v, want 0 to 1", s.Above)
	}
	return validCalibration(field+".calibration", s.Calibration)
}

func validCalibration(field string, c *Calibration) error {
	if c == nil {
		return nil
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// between reports low <= x <= high; NaN is nowhere.
func between(x, low, high float64) bool { return x >= low && x <= high }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// cut shortens what a message quotes.
func cut(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}
