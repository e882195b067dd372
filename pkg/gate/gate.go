// Package gate applies the gates of a task to an answer, in the order of their
// price: the call, the form, deterministic verifiers, and one calibrated
// probability of all that was measured. It is pure; the calls of paid signals are
// made by whoever has a model at hand. See docs/cascade.md.
package gate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ground"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/schema"
)

// Names of gates, as receipts show them. Those of verifiers are their own.
const (
	Complete    = "complete"
	Schema      = "schema"
	Checks      = "checks"
	Pattern     = "pattern"
	Enum        = "enum"
	Probability = "probability"
)

// The features of log probabilities.
const (
	LogprobMean   = "logprob_mean"
	LogprobMin    = "logprob_min"
	LogprobQ10    = "logprob_q10"
	LogprobMargin = "logprob_margin" // of the first token over the second likeliest
)

// Gate is the compiled form of a task's gates. It is safe for concurrent use.
type Gate struct {
	gates       event.Gates
	schema      *schema.Schema
	checks      *schema.Checks
	pattern     *regexp.Regexp
	calibration *cascade.Calibration
	checker     *ground.Checker
}

// New compiles gates. Its errors are *event.Error of ClassInvalid that name the
// field of the job.
func New(g *event.Gates, checker *ground.Checker) (*Gate, error) {
	out := &Gate{gates: *g, checker: checker}
	var err error
	if g.Schema != nil {
		if out.schema, err = schema.Compile(g.Schema); err != nil {
			return nil, err
		}
	}
	if out.checks, err = schema.CompileChecks(g.Checks); err != nil {
		return nil, err
	}
	if g.Pattern != "" {
		if out.pattern, err = regexp.Compile(g.Pattern); err != nil {
			return nil, event.Invalid("pattern", "write a regular expression as RE2 has them", "%v", err)
		}
	}
	if g.Calibration != nil {
		out.calibration = &cascade.Calibration{}
		if err := json.Unmarshal(g.Calibration, out.calibration); err != nil {
			return nil, event.Invalid("gates.calibration", "write the table anew with weir calibrate", "%v", err)
		}
	}
	return out, nil
}

// Schema is what the answer must be valid by, nil if it is free text.
func (g *Gate) Schema() *schema.Schema { return g.schema }

// Answer is what a model gave.
type Answer struct {
	Task, Question string
	Response       *llm.ChatResponse
	Sources        []event.Source
}

// judging is an answer on its way through the gates.
type judging struct {
	*Gate
	ctx   context.Context //nolint:containedctx // of the one judging
	in    *Answer
	out   event.Judged
	value json.RawMessage // by the schema
}

// Judge applies the gates that cost nothing. An answer that calls tools is one step
// to the answer and no more, so it only has to be complete. An answer that is not Hard is accepted
// if Accepts says so, which needs the paid signals, if there are any, to be added
// with [Gate.Weigh] first.
func (g *Gate) Judge(ctx context.Context, in Answer) event.Judged {
	j := &judging{Gate: g, ctx: ctx, in: &in, out: event.Judged{Answer: event.Answer{
		Text: in.Response.Text, ToolCalls: in.Response.ToolCalls, FinishReason: in.Response.FinishReason}}}
	j.out.Features = cascade.Features{}
	if in.Task != "" || g.gates.Tau > 0 || len(g.gates.Verify) > 0 { // else nobody asks for them
		j.features()
	}
	j.cite()
	if callsTools(&j.out) {
		if j.complete(); !j.out.Hard {
			j.out.P = 1
		}
		return j.out
	}
	for _, gate := range []func(){j.complete, j.form, j.check, j.match, j.verify} {
		if gate(); j.out.Hard {
			return j.out
		}
	}
	g.Weigh(&j.out, in.Task, in.Question, nil)
	return j.out
}

// callsTools says that an answer is calls of tools, with or without a text.
func callsTools(j *event.Judged) bool { return len(j.Answer.ToolCalls) > 0 }

// features are what is known of the answer for free.
func (j *judging) features() {
	f := cascade.AnswerFeatures(j.out.Answer.Text)
	maps.Copy(f, cascade.NumberFeatures(j.in.Question, j.out.Answer.Text))
	if l := j.in.Response.Logprobs; l != nil && l.N > 0 {
		f[LogprobMean], f[LogprobMin], f[LogprobQ10] = l.Mean, l.Min, l.Q10
		if l.Margin != nil {
			f[LogprobMargin] = *l.Margin
		}
	}
	j.out.Features = f
}

// cite compares what the answer cites with its sources.
func (j *judging) cite() {
	if len(j.in.Sources) == 0 {
		return
	}
	a := &j.out.Answer
	a.Citations, a.Unsupported = j.checker.Check(a.Text, j.in.Sources)
	j.out.Features["citations"], j.out.Features["unsupported"] = float64(len(a.Citations)), float64(len(a.Unsupported))
}

// pass notes a gate; a failure is hard.
func (j *judging) pass(name string, violations []event.Violation) {
	r := event.GateResult{Name: name, Passed: len(violations) == 0}
	if !r.Passed {
		r.Detail = violations[0].Message
		j.out.Hard, j.out.Reason, j.out.Violations, j.out.P = true, name, violations, 0
	}
	j.out.Gates = append(j.out.Gates, r)
}

func violation(keyword, format string, args ...any) []event.Violation {
	return []event.Violation{{Keyword: keyword, Message: fmt.Sprintf(format, args...)}}
}

// complete: there is an answer, and the token limit did not cut it off.
func (j *judging) complete() {
	if strings.TrimSpace(j.out.Answer.Text) == "" && !callsTools(&j.out) {
		j.pass(Complete, violation(Complete, "the answer is empty"))
		return
	}
	if !j.gates.Complete && j.schema == nil {
		return
	}
	if j.out.Answer.FinishReason == "length" {
		j.pass(Complete, violation(Complete, "the answer was cut off after max_tokens"))
		return
	}
	j.pass(Complete, nil)
}

// form: the answer is what the schema wants, and nothing else.
func (j *judging) form() {
	if j.schema == nil {
		return
	}
	value, violations := j.schema.Check(j.out.Answer.Text)
	if len(violations) == 0 {
		j.value, j.out.Answer.Text = value, string(value)
	}
	j.pass(Schema, violations)
}

func (j *judging) check() {
	if len(j.gates.Checks) > 0 {
		j.pass(Checks, j.checks.Eval(j.ctx, schema.Values{Answer: j.value, Text: j.out.Answer.Text, Question: j.in.Question}))
	}
}

func (j *judging) match() {
	text := strings.TrimSpace(j.out.Answer.Text)
	if j.pattern != nil {
		var wrong []event.Violation
		if !j.pattern.MatchString(text) {
			wrong = violation(Pattern, "the answer does not match %s", j.gates.Pattern)
		}
		j.pass(Pattern, wrong)
	}
	if len(j.gates.Enum) > 0 && !j.out.Hard {
		var wrong []event.Violation
		if !slices.Contains(j.gates.Enum, text) {
			wrong = violation(Enum, "the answer is none of %s", strings.Join(j.gates.Enum, ", "))
		}
		j.pass(Enum, wrong)
	}
}

// verify runs the deterministic verifiers.
func (j *judging) verify() {
	for _, name := range j.gates.Verify {
		if j.pass(name, j.verifier(name)); j.out.Hard {
			return
		}
	}
}

func (j *judging) verifier(name string) []event.Violation {
	a := &j.out.Answer
	switch name {
	case event.VerifyCitations:
		switch {
		case len(a.Citations) == 0:
			return violation(name, "the answer cites no source")
		case len(a.Unsupported) > 0:
			return violation(name, "no cited source holds: %s", a.Unsupported[0])
		}
	case event.VerifyArithmetic:
		if j.out.Features["arith_wrong"] == 0 { // it was looked at already
			return nil
		}
		if wrong := cascade.ArithmeticErrors(a.Text); len(wrong) > 0 {
			return violation(name, "does not hold: %s", wrong[0])
		}
	case event.VerifyFinalAnswer:
		if _, ok := cascade.FinalAnswer(a.Text); !ok {
			return violation(name, "the answer states no final answer")
		}
	case event.VerifyJSON:
		return schema.JSON(a.Text)
	case event.VerifySQL:
		return schema.SQL(a.Text)
	}
	return nil
}

// Paid says which of the paid signals are worth their price for the answer: none
// when a hard gate failed, or when it calls tools.
func (g *Gate) Paid(j *event.Judged) []event.PaidSignal {
	if j.Hard || callsTools(j) {
		return nil
	}
	return g.gates.Paid
}

// Weigh makes one probability of the answer's features and the paid signals, by
// name, and compares it with the threshold.
func (g *Gate) Weigh(j *event.Judged, task, question string, paid map[string]float64) {
	if j.Hard {
		return
	}
	maps.Copy(j.Features, paid)
	j.P = g.probability(cascade.Evidence{Task: task, Question: question, Features: j.Features})
	j.Gates = slices.DeleteFunc(j.Gates, func(r event.GateResult) bool { return r.Name == Probability })
	j.Reason = ""
	if g.gates.Tau == 0 {
		return
	}
	p, tau := j.P, g.gates.Tau
	r := event.GateResult{Name: Probability, Passed: p >= tau, Value: &p, Threshold: &tau}
	if !r.Passed {
		j.Reason = Probability
	}
	j.Gates = append(j.Gates, r)
}

// probability is the calibrated one; without a calibration it is that of a token
// (the geometric mean, which does not depend on the length) or of agreement.
func (g *Gate) probability(e cascade.Evidence) float64 {
	if g.calibration != nil {
		return g.calibration.P(e)
	}
	p, known := 1.0, false
	for _, name := range []string{cascade.Agree, cascade.Judge} {
		if v, ok := e.Features[name]; ok {
			p, known = min(p, v), true
		}
	}
	if mean, ok := e.Features[LogprobMean]; ok && !known {
		p = math.Exp(mean)
	}
	return min(max(p, 0), 1)
}

// Accepts reports whether the answer passed all gates.
func Accepts(j *event.Judged) bool { return !j.Hard && j.Reason == "" }
