package event

import (
	"encoding/json"
	"fmt"
)

// Check is an expression that an answer must make true.
type Check struct {
	// Name says which one failed; [A-Za-z0-9_-]{1,64}.
	Name string `json:"name" yaml:"name"`
	// Expr is in CEL (Common Expression Language) and gives a boolean. It sees answer
	// (the JSON value; the text if there is no schema), text (the answer as it came)
	// and question. All numbers of answer are doubles, so arithmetic with them is
	// written with a point: answer.total * 2.0.
	Expr string `json:"expr" yaml:"expr"`
	// Message says what is wrong when it is false; "" shows Expr.
	Message string `json:"message,omitempty" yaml:"message,omitempty"`
}

// Violation is one thing that is wrong with an answer.
type Violation struct {
	Path    string `json:"path,omitempty"`    // JSON pointer into the answer, "" is all of it
	Keyword string `json:"keyword,omitempty"` // of the schema, or the name of the check
	Message string `json:"message"`           // for a model as well as for a person
}

// String is the violation in one line.
func (v Violation) String() string {
	if v.Path == "" {
		return fmt.Sprintf("%s (%s)", v.Message, v.Keyword)
	}
	return fmt.Sprintf("%s: %s (%s)", v.Path, v.Message, v.Keyword)
}

// Gates is what an answer must pass to be accepted. A generator applies them in the
// order of their price and stops at the first that fails.
type Gates struct {
	// Complete fails answers that the token limit cut off.
	Complete bool `json:"complete,omitempty"`
	// Schema makes the answer one JSON value that is valid by this JSON Schema. Once
	// per model the violations are sent back for a repair.
	Schema json.RawMessage `json:"schema,omitempty"`
	Checks []Check         `json:"checks,omitempty"`
	// Verify names deterministic verifiers, see the Verify constants.
	Verify []string `json:"verify,omitempty"`
	// Pattern is a regular expression (RE2) that the answer matches, Enum the
	// answers there are.
	Pattern string   `json:"pattern,omitempty"`
	Enum    []string `json:"enum,omitempty"`
	// Logprobs asks for log probabilities where the model has them.
	Logprobs bool `json:"logprobs,omitempty"`
	// Calibration (a cascade.Calibration) makes a probability of the signals; the
	// answer is accepted if that is at least Tau. Without one the probability is
	// that of a token, or of agreement; a Tau of 0 accepts what passes all else.
	Calibration json.RawMessage `json:"calibration,omitempty"`
	Tau         float64         `json:"tau,omitempty"`
	// Paid are signals that cost calls of their own.
	Paid []PaidSignal `json:"paid,omitempty"`
}

// The deterministic verifiers.
const (
	VerifyCitations   = "citations"    // cites a source, and each citation is found in it
	VerifyArithmetic  = "arithmetic"   // every equation in the text holds
	VerifyFinalAnswer = "final_answer" // states a final answer
	VerifyJSON        = "json"         // is one JSON value
	VerifySQL         = "sql"          // is SQL that parses
)

// Verifiers lists them.
func Verifiers() []string {
	return []string{VerifyCitations, VerifyArithmetic, VerifyFinalAnswer, VerifyJSON, VerifySQL}
}

// PaidSignal is a signal that costs calls of its own.
type PaidSignal struct {
	Signal string `json:"signal" yaml:"signal"` // agree or judge
	Model  string `json:"model" yaml:"model"`   // that is asked
	K      int    `json:"k,omitempty" yaml:"k"` // samples of agree
}

// GateResult is what one gate found.
type GateResult struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	// Value and Threshold are those of a gate that measures.
	Value     *float64 `json:"value,omitempty"`
	Threshold *float64 `json:"threshold,omitempty"`
	Detail    string   `json:"detail,omitempty"`
}

// Judged is an answer with what its gates found.
type Judged struct {
	Answer Answer       `json:"answer"`
	Gates  []GateResult `json:"gates,omitempty"`
	// P is the probability that the answer is acceptable; Hard says that a gate
	// failed which no probability makes up for.
	P    float64 `json:"p"`
	Hard bool    `json:"hard,omitempty"`
	// Reason is the gate that failed, "" of an accepted answer.
	Reason     string             `json:"reason,omitempty"`
	Violations []Violation        `json:"violations,omitempty"`
	Features   map[string]float64 `json:"features,omitempty"`
	// CostNanoUSD and LatencyMS are of the model's call, Paid those of the paid
	// signals' calls.
	CostNanoUSD int64            `json:"cost_nano_usd"`
	LatencyMS   float64          `json:"latency_ms"`
	Paid        map[string]int64 `json:"paid,omitempty"`
}

// Shadow makes a task a comparison: its answer is no result, but is compared with
// the one that the job had. Labels of the comparison teach the policy table.
type Shadow struct {
	// Of is the answer that the job had.
	Of Judged `json:"of"`
	// Audit says that the shadow is the reference's, of an answer that a smaller
	// model was trusted with; else it is a candidate's beside the reference's.
	Audit bool `json:"audit,omitempty"`
	// Rate is the share of answers that are compared, above 0.
	Rate float64 `json:"rate"`
}

// Routing says how a job's model was chosen.
type Routing struct {
	Task string `json:"task"`
	// Policy is the catalog's revision, Table the policy table's version; "" when
	// no table had a say.
	Policy string `json:"policy"`
	Table  string `json:"table,omitempty"`
	// Chain lists the candidates; Skipped those that could not be asked, and why.
	Chain   []string  `json:"chain"`
	Skipped []Skipped `json:"skipped,omitempty"`
	// Escalated says why each answer that was not accepted was not, in order.
	Escalated []Escalation `json:"escalated,omitempty"`
	// Exhausted says that no answer was accepted: this one is the best there was,
	// or the policy's template.
	Exhausted bool `json:"exhausted,omitempty"`
	// Reference is the model that quality is measured against, and what it would
	// have cost by the tokens of this answer.
	Reference            string `json:"reference,omitempty"`
	ReferenceCostNanoUSD int64  `json:"reference_cost_nano_usd,omitempty"`
	// Start is parallel when two candidates began at once: what the other took is
	// in the ledger, not in this receipt.
	Start string `json:"start,omitempty"`
}

// Skipped is a candidate that could not be asked.
type Skipped struct {
	Model  string `json:"model"`
	Reason string `json:"reason"`
}

// Escalation is an answer that was not accepted.
type Escalation struct {
	Model string  `json:"model"`
	Gate  string  `json:"gate"`
	P     float64 `json:"p"`
}

// CacheHit says that an answer was given before.
type CacheHit struct {
	Kind string `json:"kind"` // exact, semantic, or flight: that of an identical job
	Job  string `json:"job"`  // that was answered first
	// Similarity of the questions, of a semantic hit.
	Similarity float64 `json:"similarity,omitempty"`
	// SavedNanoUSD is what the first answer cost.
	SavedNanoUSD int64 `json:"saved_nano_usd"`
}

// CachePlan says where an accepted answer is kept.
type CachePlan struct {
	Key   string `json:"key"`
	TTLMS int64  `json:"ttl_ms"`
	// Flight names those that wait for the answer: identical jobs of a lane.
	Flight string `json:"flight"`
	// Scope is set when questions that mean the same may have it, too.
	Scope string `json:"scope,omitempty"`
	// Audit is the answer that a semantic hit would have given: the job was sent to
	// a model all the same, to see whether that had been right.
	Audit *Judged `json:"audit,omitempty"`
}

// Compare says that a share of the accepted answers is given by other models, too.
type Compare struct {
	// Models are asked besides; Rate is the share, above 0.
	Models []string `json:"models"`
	Rate   float64  `json:"rate"`
	// Audit as in Shadow.
	Audit bool `json:"audit,omitempty"`
}

// Observation is what a job teaches the policy table: one message on its outcome
// subject.
type Observation struct {
	Envelope
	Task string `json:"task"`
	// Outcome (a cascade.Outcome) is what models did with the question.
	Outcome json.RawMessage `json:"outcome,omitempty"`
	// Accepted and Escalated count the answers of the job that were, and were not,
	// given by the first model asked.
	Accepted  bool `json:"accepted,omitempty"`
	Escalated bool `json:"escalated,omitempty"`
	// SemanticHit says whether the answer that a semantic hit would have given was
	// the same as the model's; nil when that was not looked at.
	SemanticHit *bool `json:"semantic_hit,omitempty"`
	// AuditNanoUSD is what the comparison cost.
	AuditNanoUSD int64 `json:"audit_nano_usd,omitempty"`
}
