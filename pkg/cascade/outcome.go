package cascade

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/weir-dev/weir/pkg/event"
)

// Outcome is what models did with one question: a line of OUTCOMES.jsonl, and
// what is recorded of live traffic.
type Outcome struct {
	ID       string    `json:"id"`
	Task     string    `json:"task,omitempty"`     // "" is DefaultTask
	Question string    `json:"question,omitempty"` // as the user asked it
	At       time.Time `json:"at,omitzero"`
	// Reference is the model whose answer counts as right where nothing better
	// is known; "" leaves the choice to whoever reads the outcomes.
	Reference string                  `json:"reference,omitempty"`
	Models    map[string]ModelOutcome `json:"models"` // by the catalog's names
}

// ModelOutcome is the answer of one model to an Outcome's question.
type ModelOutcome struct {
	// OK says whether the answer was acceptable, from 0 to 1; nil if unknown.
	OK *float64 `json:"ok,omitempty"`
	// Source is where OK comes from; "" is LabelGold.
	Source Label `json:"source,omitempty"`
	// Weight is how many outcomes this one stands for, such as 1/rate of those
	// that were audited; 0 is 1.
	Weight   float64  `json:"weight,omitempty"`
	Features Features `json:"features,omitempty"` // what came free with the answer
	// CostNanoUSD is the price of the answer alone.
	CostNanoUSD int64   `json:"cost_nano_usd"`
	LatencyMS   float64 `json:"latency_ms,omitempty"`
	// Answer is the normalised answer or its hash: answers are the same where
	// these texts are the same. "" is unknown.
	Answer string `json:"answer,omitempty"`
	// Paid are the signals that cost a call of their own, by the names of
	// Features.
	Paid map[string]PaidSignal `json:"paid,omitempty"`
}

// PaidSignal is the value of a signal and the price of the calls it took.
type PaidSignal struct {
	Value       float64 `json:"value"`
	CostNanoUSD int64   `json:"cost_nano_usd"`
}

// Label is where the knowledge whether an answer was acceptable comes from.
type Label string

// The sources of labels, and the two ways to label outcomes.
const (
	LabelGold      Label = "gold"      // a known right answer, or a check of the result
	LabelFeedback  Label = "feedback"  // somebody said so
	LabelAgreement Label = "agreement" // same answer as the reference model's, after escalation
	LabelAudit     Label = "audit"     // the same, of an accepted answer that was sampled
)

// DefaultTask is the task of jobs that name none, and the policy of tasks that
// have none of their own.
const DefaultTask = "default"

// Limits of outcomes.
const (
	MaxOutcomeBytes = 1 << 20 // of a line
	maxModels       = 64
	maxFeatures     = 256
	maxName         = 200
	maxNanoUSD      = 1e15 // a million dollars for an answer is a mistake
)

// TaskName returns the outcome's task, DefaultTask if it names none.
func (o *Outcome) TaskName() string {
	if o.Task == "" {
		return DefaultTask
	}
	return o.Task
}

// Label says whether the answer of a model was acceptable, and whether that is
// known. By LabelGold it is what gold labels and feedback say. By LabelAgreement
// it is whether the answer is the same as the reference's, which itself counts as
// right; feedback overrides that.
func (o *Outcome) Label(model, reference string, by Label) (ok float64, known bool) {
	m, there := o.Models[model]
	if !there {
		return 0, false
	}
	source := m.Source
	if source == "" {
		source = LabelGold
	}
	labelled := m.OK != nil
	if by != LabelAgreement {
		if labelled && (source == LabelGold || source == LabelFeedback) {
			return *m.OK, true
		}
		return 0, false
	}
	switch {
	case labelled && source != LabelGold:
		return *m.OK, true
	case model == reference:
		return 1, true
	}
	ref := o.Models[reference].Answer
	if m.Answer == "" || ref == "" {
		return 0, false
	}
	if m.Answer == ref {
		return 1, true
	}
	return 0, true
}

// Evidence is what is known of a model's answer when the named paid signals have
// been bought, and what those cost in nano-USD. A signal that was not recorded
// is missing, at no cost.
func (o *Outcome) Evidence(model string, paid []string) (Evidence, int64) {
	m := o.Models[model]
	e := Evidence{Task: o.TaskName(), Question: o.Question, Features: m.Features}
	if len(paid) == 0 {
		return e, 0
	}
	all := make(Features, len(m.Features)+len(paid))
	for name, value := range m.Features {
		all[name] = value
	}
	var cost int64
	for _, name := range paid {
		value, price, ok := o.paid(model, name)
		if ok {
			all[FeatureOf(name)] = value
			cost += price
		}
	}
	e.Features = all
	return e, cost
}

// paid looks a signal up. Agreement with a second model follows from the two
// recorded answers and costs the second one's.
func (o *Outcome) paid(model, signal string) (value float64, cost int64, ok bool) {
	m := o.Models[model]
	if p, there := m.Paid[signal]; there {
		return p.Value, p.CostNanoUSD, true
	}
	second, is := AgreeModel(signal)
	other, there := o.Models[second]
	if !is || !there || m.Answer == "" || other.Answer == "" {
		return 0, 0, false
	}
	if m.Answer == other.Answer {
		value = 1
	}
	return value, other.CostNanoUSD, true
}

// Validate checks an outcome; its error names the field.
func (o *Outcome) Validate() error {
	if o.ID == "" || len(o.ID) > maxName {
		return event.Invalid("id", "name the question", "has %d bytes, want 1 to %d", len(o.ID), maxName)
	}
	if len(o.Task) > maxName {
		return event.Invalid("task", "shorten the name", "has %d bytes, at most %d are allowed", len(o.Task), maxName)
	}
	if len(o.Models) == 0 || len(o.Models) > maxModels {
		return event.Invalid("models", `add {"models":{"NAME":{"ok":1,"cost_nano_usd":1000}}}`, "has %d models, want 1 to %d", len(o.Models), maxModels)
	}
	for _, name := range sortedKeys(o.Models) {
		m := o.Models[name]
		if name == "" || len(name) > maxName {
			return event.Invalid("models", "name the models as in the catalog", "name %q has %d bytes, want 1 to %d", cut(name), len(name), maxName)
		}
		if err := m.validate("models." + name); err != nil {
			return err
		}
	}
	return nil
}

func (m *ModelOutcome) validate(field string) error {
	switch {
	case m.OK != nil && !between(*m.OK, 0, 1):
		return event.Invalid(field+".ok", "0 is wrong, 1 is right; leave it out if unknown", "is %v, want 0 to 1", *m.OK)
	case !slices.Contains([]Label{"", LabelGold, LabelFeedback, LabelAgreement, LabelAudit}, m.Source):
		return event.Invalid(field+".source", "write gold, feedback, agreement or audit", "is %q", cut(string(m.Source)))
	case !between(m.Weight, 0, 1e6):
		return event.Invalid(field+".weight", "use 1/rate of sampled outcomes", "is %v, want 0 to 1e6", m.Weight)
	case !between(m.LatencyMS, 0, 1e9):
		return event.Invalid(field+".latency_ms", "use milliseconds", "is %v, want 0 to 1e9", m.LatencyMS)
	case !between(float64(m.CostNanoUSD), 0, maxNanoUSD):
		return event.Invalid(field+".cost_nano_usd", "use billionths of a dollar", "is %d, want 0 to 1e15", m.CostNanoUSD)
	case len(m.Features)+len(m.Paid) > maxFeatures:
		return event.Invalid(field+".features", "leave the less useful ones out", "has %d features, at most %d are allowed", len(m.Features)+len(m.Paid), maxFeatures)
	}
	for _, name := range sortedKeys(m.Features) {
		if value := m.Features[name]; name == "" || len(name) > maxName || math.IsNaN(value) || math.IsInf(value, 0) {
			return event.Invalid(field+".features", "features are finite numbers with a name", "%q is %v", cut(name), value)
		}
	}
	for _, name := range sortedKeys(m.Paid) {
		p := m.Paid[name]
		if name == "" || len(name) > maxName || math.IsNaN(p.Value) || math.IsInf(p.Value, 0) || !between(float64(p.CostNanoUSD), 0, maxNanoUSD) {
			return event.Invalid(field+".paid", "give a finite value and a cost of 0 to 1e15 nano-USD", "%q has value %v, cost %d", cut(name), p.Value, p.CostNanoUSD)
		}
	}
	return nil
}

// ReadOutcomes reads one JSON object a line; empty lines are skipped. An error
// names the line and the field.
func ReadOutcomes(r io.Reader) ([]Outcome, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), MaxOutcomeBytes)
	var all []Outcome
	seen := map[string]int{}
	number := 0
	for lines.Scan() {
		number++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		o, err := parseOutcome(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if first, twice := seen[o.ID]; twice {
			return nil, fmt.Errorf("line %d: %w", number, event.Invalid("id", "give each question an id of its own", "%q is on line %d already", cut(o.ID), first))
		}
		seen[o.ID] = number
		all = append(all, o)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: %w", number+1, event.Invalid("line", "cut the question short", "has more than %d bytes", MaxOutcomeBytes))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading outcomes: %w", err)
	}
	return all, nil
}

func parseOutcome(line []byte) (Outcome, error) {
	var o Outcome
	if !utf8.Valid(line) {
		return o, event.Invalid("line", "write UTF-8", "is no valid UTF-8")
	}
	if err := strictJSON("line", line, &o); err != nil {
		return o, err
	}
	return o, o.Validate()
}

// strictJSON reads exactly one JSON object with known fields; what names it in
// errors.
func strictJSON(what string, data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return event.Invalid(wrong.Field, "see docs/cascade.md for the fields", "is a JSON %s, want %s", wrong.Value, wrong.Type)
		}
		return event.Invalid(what, "write one JSON object with the fields of docs/cascade.md", "%v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return event.Invalid(what, "write one JSON object", "has more after the object's end")
	}
	return nil
}
