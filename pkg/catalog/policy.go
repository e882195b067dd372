package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
)

// Routing is what the policies file says: by which models, and under which
// conditions, the tasks of jobs are answered.
type Routing struct {
	Version int `yaml:"version"`
	// Reference is the chat model that quality is measured against. It answers jobs
	// that name neither a model nor a task when there is no default policy, and all
	// jobs of a task whose thresholds are not known yet.
	Reference string `yaml:"reference"`
	// Table is the file with the policy table that weir calibrate wrote, relative to
	// the policies file; "" has none.
	Table string `yaml:"table,omitempty"`
	// Audit is for all tasks that don't say their own.
	Audit Audit `yaml:"audit,omitempty"`
	// Tasks are the policies; the one named default is for jobs that name no task.
	Tasks []Policy `yaml:"tasks"`

	// Revision names the state of the file, and Learned is the content of Table.
	Revision string         `yaml:"-"`
	Learned  *cascade.Table `yaml:"-"`
}

// DefaultTask is the policy of jobs that name no task.
const DefaultTask = cascade.DefaultTask

// Policy says how the jobs of one task are answered.
type Policy struct {
	Task string `yaml:"task"`
	// Chain are the models to choose from, cheapest first. With thresholds from the
	// table the table says which of them are asked.
	Chain []string `yaml:"chain"`
	// Fallback are models for when all that are left of Chain can't be had.
	Fallback []string `yaml:"fallback,omitempty"`
	// Requires are capabilities that a model must have: tools, json_schema,
	// logprobs, seed.
	Requires []string `yaml:"requires,omitempty"`
	Accept   Accept   `yaml:"accept,omitempty"`
	// Exhausted is what becomes of a job when no answer was accepted: best_effort
	// (the best one that passed all hard gates; the default), fail, or template.
	Exhausted string `yaml:"exhausted,omitempty"`
	// Template is the answer then.
	Template string  `yaml:"template,omitempty"`
	Latency  Latency `yaml:"latency,omitempty"`
	// Stream is final (only an accepted answer is streamed; the default of a
	// cascade) or eager (as it comes, with a restart on escalation).
	Stream string      `yaml:"stream,omitempty"`
	Cache  CachePolicy `yaml:"cache,omitempty"`
	Audit  *Audit      `yaml:"audit,omitempty"`
	// MaxQualityLoss bounds what online learning may move thresholds to, as a part
	// of the answers: 0.01 is one in a hundred. nil is 0.01.
	MaxQualityLoss *float64 `yaml:"max_quality_loss,omitempty"`
}

// Accept is what an answer must pass.
type Accept struct {
	// Schema is a JSON Schema for jobs that bring none.
	Schema map[string]any `yaml:"schema,omitempty"`
	// Checks are CEL expressions, Verify deterministic verifiers (citations,
	// arithmetic, final_answer, json, sql), Pattern a regular expression, Enum the
	// answers there are.
	Checks  []event.Check `yaml:"checks,omitempty"`
	Verify  []string      `yaml:"verify,omitempty"`
	Pattern string        `yaml:"pattern,omitempty"`
	Enum    []string      `yaml:"enum,omitempty"`
	// Tau is the probability from which an answer is accepted: a number, or auto,
	// which takes the table's. nil is auto in a chain of several models.
	Tau *Tau `yaml:"tau,omitempty"`
	// Paid are signals that cost calls: with auto the table says which are used.
	Paid []event.PaidSignal `yaml:"paid,omitempty"`
	// Truncated lets answers pass that the token limit cut off.
	Truncated bool `yaml:"truncated,omitempty"`
}

// Tau is a threshold: a number from 0 to 1, or Auto.
type Tau struct {
	Auto  bool
	Value float64
}

// UnmarshalText reads "auto" or a number.
func (t *Tau) UnmarshalText(text []byte) error {
	if t.Auto = string(text) == "auto"; t.Auto {
		return nil
	}
	var err error
	t.Value, err = strconv.ParseFloat(string(text), 64)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (t Tau) MarshalText() ([]byte, error) {
	if t.Auto {
		return []byte("auto"), nil
	}
	return strconv.AppendFloat(nil, t.Value, 'g', -1, 64), nil
}

// Latency says what a policy does for jobs in a hurry.
type Latency struct {
	// Start is sequential (the default) or parallel: the first two candidates begin
	// at once and the first accepted answer counts.
	Start string `yaml:"start,omitempty"`
	// Within limits parallel to jobs whose deadline is no further away; 0 is all.
	Within Duration `yaml:"within,omitempty"`
}

// CachePolicy says which answers are given again.
type CachePolicy struct {
	// Exact is how long an answer is given to the same request; 0 does not keep it.
	// Identical jobs in flight then share one call.
	Exact Duration `yaml:"exact,omitempty"`
	// Semantic also gives it to questions that mean the same, within Exact.
	Semantic bool `yaml:"semantic,omitempty"`
	// Similarity is the least cosine of such questions; 0 is the default.
	Similarity float64 `yaml:"similarity,omitempty"`
	// Audit is the share of semantic hits for which a model is asked all the same;
	// 0 is 0.05.
	Audit float64 `yaml:"audit,omitempty"`
}

// Audit says how accepted answers are compared with the reference's.
type Audit struct {
	// Rate is the share of accepted answers that the reference gives, too, in the
	// batch lane; nil is 0.05. Before there is a table it is the share of the
	// reference's answers that the smaller models give, too; then 0.1 at least.
	Rate *float64 `yaml:"rate,omitempty"`
	// MaxUSDPerDay bounds what that costs the fleet: "20" is the default.
	MaxUSDPerDay string `yaml:"max_usd_per_day,omitempty"`
}

// Values of Policy.Exhausted, Policy.Stream and Latency.Start.
const (
	ExhaustedBestEffort = "best_effort"
	ExhaustedFail       = "fail"
	ExhaustedTemplate   = "template"
	StreamFinal         = "final"
	StreamEager         = "eager"
	StartSequential     = "sequential"
	StartParallel       = "parallel"
)

// Defaults of policies.
const (
	defaultAudit      = 0.05
	defaultAuditUSD   = "20"
	defaultCacheAudit = 0.05
	defaultLoss       = 0.01
)

// revision is that of the policies, "" without any.
func (r *Routing) revision() string {
	if r == nil {
		return ""
	}
	return r.Revision
}

// Policy is that of a task ("" is DefaultTask), with its defaults filled in; false
// when there is none.
func (c *Catalog) Policy(task string) (Policy, bool) {
	if c.Routing == nil {
		return Policy{}, false
	}
	i := slices.IndexFunc(c.Routing.Tasks, func(p Policy) bool { return p.Task == cmp.Or(task, DefaultTask) })
	if i < 0 {
		return Policy{}, false
	}
	p := c.Routing.Tasks[i].withDefaults(c.Routing)
	p.Chain, p.Fallback = c.ids(p.Chain), c.ids(p.Fallback)
	return p, true
}

// ids are the ids of models that are named by id or alias.
func (c *Catalog) ids(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, name := range names {
		m, _ := c.Model(name)
		out[i] = m.ID
	}
	return out
}

// Tasks lists the names of the policies.
func (c *Catalog) Tasks() []string {
	if c.Routing == nil {
		return nil
	}
	out := make([]string, len(c.Routing.Tasks))
	for i, p := range c.Routing.Tasks {
		out[i] = p.Task
	}
	return out
}

func (p Policy) withDefaults(r *Routing) Policy {
	if p.Exhausted == "" {
		p.Exhausted = ExhaustedBestEffort
	}
	if p.Accept.Tau == nil {
		p.Accept.Tau = &Tau{Auto: len(p.Chain) > 1}
	}
	if p.Stream == "" {
		p.Stream = StreamEager
		if len(p.Chain) > 1 {
			p.Stream = StreamFinal
		}
	}
	if p.Latency.Start == "" {
		p.Latency.Start = StartSequential
	}
	if p.Cache.Audit == 0 {
		p.Cache.Audit = defaultCacheAudit
	}
	if p.MaxQualityLoss == nil {
		loss := defaultLoss
		p.MaxQualityLoss = &loss
	}
	audit := r.Audit
	if p.Audit != nil {
		audit = *p.Audit
	}
	if audit.Rate == nil {
		rate := defaultAudit
		audit.Rate = &rate
	}
	if audit.MaxUSDPerDay == "" {
		audit.MaxUSDPerDay = defaultAuditUSD
	}
	p.Audit = &audit
	return p
}

// SchemaJSON is the schema as a job would bring it, nil without one.
func (a Accept) SchemaJSON() (json.RawMessage, error) {
	if a.Schema == nil {
		return nil, nil
	}
	data, err := json.Marshal(a.Schema)
	if err != nil {
		return nil, fmt.Errorf("encoding the schema: %w", err)
	}
	return data, nil
}

// NanoUSDPerDay is the bound of an audit's cost in nano-USD.
func (a Audit) NanoUSDPerDay() int64 {
	n, err := parseUSD(a.MaxUSDPerDay)
	if err != nil {
		return 0
	}
	return n
}

// withPolicies is c with the policies of a file and its table. The errors are as
// Parse's, of the policies file.
func (c *Catalog) withPolicies(data, table []byte) (*Catalog, error) {
	d := newDecoder()
	r := &Routing{}
	root, ok := d.parseYAML(data)
	if !ok {
		return nil, d.err()
	}
	d.routing(root, r)
	out := *c
	out.Routing = r
	(&checker{decoder: d, c: &out}).routing(table)
	if err := d.err(); err != nil {
		return nil, err
	}
	r.Revision = contentHash(append(append([]byte{}, data...), table...))
	return &out, nil
}
