package router

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// way is how a job is answered: by the model it names, or by a policy.
type way struct {
	catalog *catalog.Catalog
	task    string // the policy's name, "" when the job names its model
	named   string // the model then
	policy  catalog.Policy
	tiers   []tier
	skip    *cascade.Skip
	routing *event.Routing
	encoded func(*cascade.Calibration) json.RawMessage
	// compare says which other models are to answer a share of the jobs, too.
	compare *event.Compare
}

// tier is a candidate with the threshold of its answers.
type tier struct {
	model       string
	fallback    bool
	tau         float64
	calibration json.RawMessage
	paid        []event.PaidSignal
}

// way finds how a job is answered that names a model, a task, or neither.
func (s *Service) way(model, task string) (*way, error) {
	c := s.ports.Catalog.Current()
	w := &way{catalog: c, encoded: s.encodings.of}
	if model != "" || task == "" && c.Routing == nil {
		return w, w.byModel(cmp.Or(model, s.cfg.Model))
	}
	policy, ok := c.Policy(task)
	switch {
	case !ok && task == "":
		return w, w.byModel(c.Routing.Reference)
	case !ok && c.Routing == nil:
		return nil, event.Invalid("task", "leave it out, name a model, or set WEIR_POLICIES", "there are no policies, so no task %q", task)
	case !ok:
		return nil, event.Invalid("task", "leave it out or use one of "+strings.Join(c.Tasks(), ", "), "unknown task %q", task)
	}
	w.task, w.policy = policy.Task, policy
	w.byPolicy(s.learned.of(policy.Task))
	return w, nil
}

// permits reports whether the job's tenant may use what it names, or the default
// model when it names none: jobs come from NATS, too, where nobody has looked.
func (w *way) permits(job *event.GenerateJob) error {
	use := catalog.Use{Lane: job.Lane, Model: w.named, Task: w.task}
	if job.RAG != nil {
		use.Collection = job.RAG.Collection
	}
	return w.catalog.Permits(job.Tenant, use)
}

// byModel is the model, with those that stand in for it.
func (w *way) byModel(name string) error {
	if m, ok := w.catalog.Model(name); !ok || m.Mode != catalog.ModeChat {
		var known []string
		for _, m := range w.catalog.ChatModels() {
			known = append(known, m.ID)
		}
		return event.Invalid("model", "leave it out or use one of "+strings.Join(known, ", "), "unknown model %q", name)
	}
	w.named = name
	for i, id := range w.catalog.Chain(name) {
		w.tiers = append(w.tiers, tier{model: id, fallback: i > 0})
	}
	return nil
}

// byPolicy makes the chain of a policy: with thresholds that are learned, the
// table's; without any yet the reference alone, beside which the others are tried.
func (w *way) byPolicy(learned *learned) {
	r, p := w.catalog.Routing, &w.policy
	reference, _ := w.catalog.Model(r.Reference)
	w.routing = &event.Routing{Task: p.Task, Policy: r.Revision, Reference: reference.ID}
	table := r.Learned.Policy(p.Task)
	switch {
	case !p.Accept.Tau.Auto:
		w.fixed(table)
	case table != nil && !learned.failed(r.Learned.Version) && w.fromTable(table, learned):
		w.routing.Table = r.Learned.Version
	case table == nil && w.allows(learned.chain("")) && w.warm(learned.chain("")):
		w.routing.Table = "learned"
	default:
		w.coldStart(reference.ID)
	}
	last := w.tiers[len(w.tiers)-1].model
	for _, id := range append(slices.Clone(p.Fallback), w.catalog.Chain(last)...) {
		if !slices.ContainsFunc(w.tiers, func(t tier) bool { return t.model == id }) {
			stand := tier{model: id, fallback: true}
			if p.Exhausted != catalog.ExhaustedBestEffort {
				stand.tau = p.Accept.Tau.Value // 0 of auto
			}
			w.tiers = append(w.tiers, stand)
		}
	}
	for _, t := range w.tiers {
		w.routing.Chain = append(w.routing.Chain, t.model)
	}
}

// fixed takes the chain as it is written, with one threshold for all but the last.
func (w *way) fixed(table *cascade.TaskPolicy) {
	p := &w.policy
	for i, model := range p.Chain {
		t := tier{model: model, tau: p.Accept.Tau.Value, paid: p.Accept.Paid}
		if i == len(p.Chain)-1 && p.Exhausted == catalog.ExhaustedBestEffort {
			t.tau, t.paid = 0, nil // it is given in any case
		}
		if i := tierOf(table, model); i >= 0 && t.tau > 0 {
			t.calibration = w.encoded(table.Chain[i].Calibration)
		}
		w.tiers = append(w.tiers, t)
	}
}

// fromTable takes the tiers of the table, with what was learned since; false if
// there are none that the policy allows.
func (w *way) fromTable(table *cascade.TaskPolicy, learned *learned) bool {
	chain := slices.Clone(table.Chain)
	for i := range chain {
		chain[i].Tau = learned.tau(w.catalog.Routing.Learned.Version, chain[i].Model, chain[i].Tau)
	}
	w.skip = table.Skip
	return w.warm(chain)
}

// allows reports whether all models of a chain are the policy's.
func (w *way) allows(chain []cascade.Tier) bool {
	return !slices.ContainsFunc(chain, func(t cascade.Tier) bool { return !w.may(t.Model) })
}

// may says that the policy allows a model.
func (w *way) may(model string) bool {
	return slices.Contains(w.policy.Chain, model) || model == w.routing.Reference
}

// warm takes those tiers of a chain with thresholds that the policy allows; false if
// there are none.
func (w *way) warm(chain []cascade.Tier) bool {
	for _, from := range chain {
		if !w.may(from.Model) {
			continue
		}
		t := tier{model: from.Model, tau: from.Tau, calibration: w.encoded(from.Calibration)}
		for _, signal := range from.Paid {
			t.paid = append(t.paid, w.paid(signal))
		}
		w.tiers = append(w.tiers, t)
	}
	if len(w.tiers) == 0 {
		return false
	}
	last := &w.tiers[len(w.tiers)-1]
	last.tau, last.paid, last.calibration = 0, nil, nil
	if w.tiers[0].model != chain[0].Model {
		w.skip = nil // it is about a model that is not asked
	}
	if len(w.tiers) > 1 {
		if rate := *w.policy.Audit.Rate; rate > 0 {
			w.compare = &event.Compare{Models: []string{w.routing.Reference}, Rate: rate, Audit: true}
		}
	}
	return true
}

// shadowRate is the least share of the reference's answers that the others give,
// too, before there is a table: it has to learn.
const shadowRate = 0.1

// coldStart has the reference answer, and the others beside it.
func (w *way) coldStart(reference string) {
	w.tiers = []tier{{model: reference}}
	others := slices.DeleteFunc(slices.Clone(w.policy.Chain), func(m string) bool { return m == reference })
	if rate := *w.policy.Audit.Rate; rate > 0 && len(others) > 0 {
		w.compare = &event.Compare{Models: others, Rate: max(rate, shadowRate)}
	}
}

// paid is the signal that a table names, as the policy says to buy it.
func (w *way) paid(name string) event.PaidSignal {
	model, agree := cascade.AgreeModel(name)
	out := event.PaidSignal{Signal: cascade.FeatureOf(name), Model: model, K: 1}
	if !agree {
		out.Model = w.routing.Reference
	}
	for _, s := range w.policy.Accept.Paid {
		if s.Signal == out.Signal && (!agree || s.Model == model) {
			return s
		}
	}
	return out
}

// tierOf is the index of a model's tier in a table, -1 if there is none.
func tierOf(table *cascade.TaskPolicy, model string) int {
	if table == nil {
		return -1
	}
	return slices.IndexFunc(table.Chain, func(t cascade.Tier) bool { return t.Model == model })
}

// encodings are calibrations as they go into messages, those in use made once.
type encodings struct {
	mu   sync.Mutex
	made map[*cascade.Calibration]json.RawMessage
}

// maxEncodings bounds those kept: a new table makes all anew.
const maxEncodings = 512

func (e *encodings) of(c *cascade.Calibration) json.RawMessage {
	if c == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if data, ok := e.made[c]; ok {
		return data
	}
	data, err := json.Marshal(c)
	if err != nil { // it was read from JSON
		return nil
	}
	if e.made == nil || len(e.made) >= maxEncodings {
		e.made = map[*cascade.Calibration]json.RawMessage{}
	}
	e.made[c] = data
	return data
}

// gates are what an answer of the model must pass, nil accepts any: what the job
// itself wants (form), and what the policy does.
func (w *way) gates(model string, form *event.Gates) *event.Gates {
	var g event.Gates
	if form != nil {
		g.Schema, g.Checks = form.Schema, form.Checks
	}
	if w.task == "" {
		if g.Schema == nil && len(g.Checks) == 0 {
			return nil
		}
		return &g
	}
	a := &w.policy.Accept
	m, _ := w.catalog.Model(model)
	g.Complete, g.Verify, g.Pattern, g.Enum = !a.Truncated, a.Verify, a.Pattern, a.Enum
	g.Logprobs = m.Supports.Logprobs
	if t := w.tier(model); t != nil {
		g.Tau, g.Calibration, g.Paid = t.tau, t.calibration, t.paid
	}
	return &g
}

func (w *way) tier(model string) *tier {
	i := slices.IndexFunc(w.tiers, func(t tier) bool { return t.model == model })
	if i < 0 {
		return nil
	}
	return &w.tiers[i]
}

// candidates are the models of the way, with what keeps each from the task.
func (s *Service) candidates(w *way, task *event.GenerateTask) []cascade.Candidate {
	out := make([]cascade.Candidate, len(w.tiers))
	for i, t := range w.tiers {
		out[i] = cascade.Candidate{Model: t.model, Fallback: t.fallback}
		out[i].Blocked, out[i].Until = s.blocked(w, t.model, task)
	}
	return out
}

// blocked says why a model can't take a task now, "" if it can, and until when.
func (s *Service) blocked(w *way, model string, task *event.GenerateTask) (reason string, until time.Time) {
	m, ok := w.catalog.Model(model)
	if !ok {
		return "not in the catalog", until
	}
	if lacks := m.Lacks(w.requires(task)); len(lacks) > 0 {
		return "lacks " + strings.Join(lacks, ", "), until
	}
	// The guard counts exactly; this passes over what is far too small.
	if n := promptTokens(task); m.Context.Input > 0 && n*3/4 > m.Context.Input {
		return fmt.Sprintf("the prompt has about %d tokens, it takes %d", n, m.Context.Input), until
	}
	now := s.p.Now()
	status := s.guard.Status(model)
	callable := status.Callable(now)
	if status.State == guard.Probing { // for the router always callable: it is to send some
		callable = s.probes.due(model, now)
	}
	if !callable {
		return fmt.Sprintf("%s: %s", status.State, status.Reason), later(status.Until, now)
	}
	if w.task != "" && !task.Deadline.IsZero() && len(w.tiers) > 1 {
		// It may do better than it looks: without another one it is asked all the same.
		if wait := s.expect.wait(model, task.Lane, task.Tenant); now.Add(wait).After(task.Deadline) {
			return fmt.Sprintf("can't begin before the deadline: %s of work are before it", wait.Round(time.Second)), now.Add(wait)
		}
	}
	return "", until
}

// later is until, or soon when that is over or not known: never zero.
func later(until, now time.Time) time.Time {
	if until.After(now) {
		return until
	}
	return now.Add(probeEvery)
}

// promptTokens is about how many tokens the prompt has.
func promptTokens(task *event.GenerateTask) int {
	n := 0
	for _, m := range task.Messages {
		n += len(m.Content) / 4
		for _, c := range m.ToolCalls {
			n += (len(c.Function.Name) + len(c.Function.Arguments)) / 4
		}
	}
	return n + len(task.Tools)/4
}
