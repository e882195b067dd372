package quote

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
)

// instructions are about the tokens of what the router writes around sources.
const instructions = 400

// generate quotes a generate job, and returns how long the work of jobs like it took.
func (q *Quoter) generate(in *intake.Checked, out *Quote) ([]float64, error) {
	job, err := event.DecodeGenerateJob(in.Address.Subject(), in.Body)
	if err != nil {
		return nil, err
	}
	c := q.cfg.Catalog()
	out.Models = q.cfg.Forecast.Models(job.Model, job.Task)
	if len(out.Models) == 0 {
		return nil, unknown(c, &job)
	}
	asked := q.asked(c, &job, out.Models[0])
	out.Task = asked.Task
	out.Tokens.Own = asked.PromptTokens
	bounds := q.bounds(c, &job, out.Models, asked)
	out.call = bounds.call
	samples, class := q.cfg.Learner.like(in.Address.Tenant, asked)
	if len(samples) == 0 {
		out.guess(q.cfg.Learner.anything(), bounds, asked)
		return nil, nil
	}
	out.LearnedFrom, out.Basis = len(samples), BasisPooled
	if strings.HasPrefix(class, "tenant|") {
		out.Basis = BasisTenant
	}
	out.learned(samples, bounds, asked)
	work := make([]float64, len(samples))
	for i, s := range samples {
		work[i] = s.workMS
	}
	return work, nil
}

// unknown says which model or task there is not.
func unknown(c *catalog.Catalog, job *event.GenerateJob) error {
	if job.Task != "" {
		return event.Invalid("task", "leave it out or use one of "+strings.Join(c.Tasks(), ", "), "unknown task %q", job.Task)
	}
	var known []string
	for _, m := range c.ChatModels() {
		known = append(known, m.ID)
	}
	return event.Invalid("model", "leave it out or use one of "+strings.Join(known, ", "), "unknown model %q", job.Model)
}

// asked is what the job asks for, as receipts will say it.
func (q *Quoter) asked(c *catalog.Catalog, job *event.GenerateJob, first string) event.Asked {
	a := event.Asked{MaxTokens: job.MaxTokens, Tools: len(job.Tools) > 0,
		PromptTokens: q.cfg.Counter.Count(first, llm.ChatRequest{Messages: job.Messages, Tooling: job.Tooling})}
	schema := bytes.TrimSpace(job.Schema)
	a.Schema = len(schema) > 0 && string(schema) != "null"
	if policy, ok := c.Policy(job.Task); ok && job.Model == "" {
		a.Task = policy.Task
		a.Schema = a.Schema || policy.Accept.Schema != nil
	} else {
		a.Model = first
	}
	if job.RAG != nil {
		a.Collection, a.TopK = job.RAG.Collection, cmp.Or(job.RAG.TopK, q.cfg.TopK)
	}
	return a
}

// bounds are what a job can't take less, and not more, than.
type bounds struct {
	price          catalog.Price // of the first model
	cost           Range
	call           int64 // the most that one call costs
	most           int   // tokens of an answer
	calls          int
	promptHigh     int
	completionHigh int
}

// bounds are those of a job whose answer may be given by any of its models.
func (q *Quoter) bounds(c *catalog.Catalog, job *event.GenerateJob, models []string, a event.Asked) bounds {
	b := bounds{calls: cmp.Or(job.MaxAttempts, guard.DefaultAttempts), promptHigh: a.PromptTokens}
	if job.RAG != nil {
		b.promptHigh += q.cfg.ContextTokens + instructions
	}
	worst := int64(0)
	for i, name := range models {
		m, _ := c.Model(name)
		price, _ := m.PriceAt(q.cfg.Now())
		most := cmp.Or(job.MaxTokens, m.MaxTokens)
		if i == 0 {
			b.price, b.most = price, most
			b.cost.Low = price.Cost(catalog.Usage{Input: a.PromptTokens, Output: 1}, "")
			b.cost.Likely = price.Cost(catalog.Usage{Input: (a.PromptTokens + b.promptHigh) / 2, Output: min(most, usualAnswer)}, "")
		}
		b.completionHigh = max(b.completionHigh, most)
		worst = max(worst, price.Cost(catalog.Usage{Input: b.promptHigh + repair(&a, most), Output: most}, ""))
	}
	b.call = worst
	b.cost.High = worst*int64(b.calls) + q.embedding(c, job)
	if job.MaxCostNanoUSD > 0 {
		b.cost.High = min(b.cost.High, job.MaxCostNanoUSD)
	}
	return b
}

// usualAnswer is the length of one of which nothing is known.
const usualAnswer = 256

// repair is what the prompt of a repair has besides: the answer that was wrong.
func repair(a *event.Asked, most int) int {
	if !a.Schema {
		return 0
	}
	return most + instructions
}

// embedding is what the vector of a job's question costs at most.
func (q *Quoter) embedding(c *catalog.Catalog, job *event.GenerateJob) int64 {
	m, ok := c.Model(q.cfg.EmbeddingModel)
	if job.RAG == nil || !ok {
		return 0
	}
	price, _ := m.PriceAt(q.cfg.Now())
	n := q.cfg.Counter.CountText(m.ID, job.Messages[len(job.Messages)-1].Content)
	return 2 * price.Cost(catalog.Usage{Input: n}, "")
}

// guess quotes a job of which none like it are known: by the bounds, and the usual
// length of answers.
func (out *Quote) guess(others []*sample, b bounds, a event.Asked) {
	out.Cost = b.cost.within(0, b.cost.High)
	answer := min(b.most, usualAnswer)
	if len(others) > 0 {
		lengths := make([]int, len(others))
		for i, s := range others {
			lengths[i] = s.completion
		}
		slices.Sort(lengths)
		answer = min(quantile(lengths, 0.5), b.most)
		out.Cost.Likely = b.price.Cost(catalog.Usage{Input: (a.PromptTokens + b.promptHigh) / 2, Output: answer}, "")
	}
	out.Tokens.Prompt = Range{int64(a.PromptTokens), int64(a.PromptTokens+b.promptHigh) / 2, int64(b.promptHigh * b.calls)}
	out.Tokens.Completion = Range{1, int64(answer), int64(b.completionHigh * b.calls)}
	out.Cost = out.Cost.within(b.cost.Low, max(b.cost.High, b.cost.Low))
}

// learned quotes a job by those like it.
func (out *Quote) learned(samples []*sample, b bounds, a event.Asked) {
	by := func(value func(*sample) float64, rate float64, part bool) Range {
		pairs := make([]pair, len(samples))
		for i, s := range samples {
			pairs[i] = pair{value(s), float64(s.own) * rate}
		}
		return predict(pairs, float64(a.PromptTokens)*rate, part)
	}
	out.Cost = by(func(s *sample) float64 { return float64(s.cost) }, float64(b.price.Input), true).within(0, b.cost.High)
	out.Tokens.Prompt = by(func(s *sample) float64 { return float64(s.prompt) }, 1, true).within(0, int64(b.promptHigh*b.calls*2))
	out.Tokens.Completion = by(func(s *sample) float64 { return float64(s.completion) }, 1, false).within(0, int64(b.completionHigh*b.calls))
}
