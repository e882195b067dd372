package router

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// plan turns a job into a task for the generator of a model, or ends it with an
// answer that is known.
func (s *Service) plan(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	job, err := event.DecodeGenerateJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	w, err := s.way(job.Model, job.Task)
	if err != nil {
		return nil, err
	}
	if err := w.permits(&job); err != nil {
		return nil, err
	}
	task, err := s.taskOf(w, &job)
	if err != nil {
		return nil, err
	}
	task.ID, task.SubmittedAt = in.JobID(job.ID), in.Stored.UTC()
	task.Receipt.Asked = s.askedFor(w, &job, task)
	outs, err := s.turned(ctx, w, in, &job, task)
	if err != nil {
		return nil, stage.WithReceipt(s.charge(ctx, in, task, err), task.Receipt)
	}
	return append(s.queryLines(in, task), outs...), nil
}

// turned has a job answered when its turn has come; what is known already waits for
// nobody, unless it depends on sources, which are to be fresh.
func (s *Service) turned(ctx context.Context, w *way, in *bus.Message, job *event.GenerateJob, task *event.GenerateTask) ([]bus.Out, error) {
	waited := func() { task.Receipt.WaitingMS = event.Milliseconds(s.p.Now().Sub(in.Stored)) }
	waited()
	if job.RAG == nil {
		if outs, done, err := s.known(ctx, w, in, job, task); err != nil || done {
			return outs, err
		}
	}
	sent, err := s.admission.turn(ctx, s.nextModel(w, task), in, task.Envelope)
	if err != nil {
		s.land(ctx, task)
		return nil, err
	}
	defer sent()
	waited()
	if job.RAG == nil {
		return s.start(ctx, w, in, task)
	}
	return s.grounded(ctx, w, in, job, task)
}

// grounded has a job answered from the sources that are found for it.
func (s *Service) grounded(ctx context.Context, w *way, in *bus.Message, job *event.GenerateJob, task *event.GenerateTask) ([]bus.Out, error) {
	began := s.p.Now()
	enough, err := s.ground(ctx, w, job, task)
	if err != nil {
		return nil, err
	}
	retrieved := s.p.Now().Sub(began)
	task.Receipt.RetrievingMS = event.Milliseconds(retrieved)
	s.metrics.retrieval.Observe(retrieved.Seconds())
	if !enough {
		return s.abstained(in, task)
	}
	if outs, done, err := s.known(ctx, w, in, job, task); err != nil || done {
		return outs, err
	}
	return s.start(ctx, w, in, task)
}

// taskOf is the job as a task, without a model. What the job wants of its answer's
// form is checked here.
func (s *Service) taskOf(w *way, job *event.GenerateJob) (*event.GenerateTask, error) {
	task := &event.GenerateTask{
		Envelope: job.Envelope, Messages: job.Messages, MaxTokens: job.MaxTokens, Temperature: job.Temperature, Stream: job.Stream,
		MaxAttempts: job.MaxAttempts, MaxCostNanoUSD: job.MaxCostNanoUSD,
		Named: w.named, Task: w.task, Question: lastQuestion(job.Messages), Compare: w.compare, Tooling: job.Tooling,
	}
	if err := w.fitTools(task); err != nil {
		return nil, err
	}
	if w.routing != nil {
		routing := *w.routing
		task.Receipt.Routing = &routing
	}
	form := event.Gates{Schema: job.Schema, Checks: job.Checks}
	if string(bytes.TrimSpace(form.Schema)) == "null" {
		form.Schema = nil
	}
	if form.Schema == nil && w.task != "" {
		var err error
		if form.Schema, err = w.policy.Accept.SchemaJSON(); err != nil {
			return nil, err
		}
	}
	if w.task != "" {
		form.Checks = append(form.Checks, w.policy.Accept.Checks...)
	}
	if form.Schema == nil && len(form.Checks) == 0 {
		return task, nil
	}
	task.Gates = &form
	_, err := s.gates.Compile(&form)
	return task, err
}

// lastQuestion is the last thing that the user said.
func lastQuestion(messages []event.Message) string {
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == "user" {
			return messages[i].Content
		}
	}
	return messages[len(messages)-1].Content
}

// nextModel is the model that a task is about to be sent to, as far as can be told
// before its prompt is made.
func (s *Service) nextModel(w *way, task *event.GenerateTask) string {
	for _, t := range w.tiers {
		if reason, _ := s.blocked(w, t.model, task); reason == "" {
			return t.model
		}
	}
	return w.tiers[0].model
}

// start sends a task to its first model, or first two.
func (s *Service) start(ctx context.Context, w *way, in *bus.Message, task *event.GenerateTask) ([]bus.Out, error) {
	s.skipFirst(w, task)
	d := s.decide(w, task, false)
	if d.Action == cascade.Exhausted {
		s.land(ctx, task)
		err := event.Errorf(event.ClassTooLarge, "no model of the chain can take the job: %s", d.Reason)
		err.Hint = "shorten the input, give it more time, or add a model to the policy's chain"
		return nil, err
	}
	outs, err := s.first(w, task, d)
	if err != nil {
		return nil, err
	}
	planned := event.Life{Type: event.LifePlanned, Stage: "router", Attempt: in.Deliveries,
		Detail: fmt.Sprintf("model %s, %d sources", d.Model, len(task.Sources))}
	return append(outs, stage.LifeOut(task.Tenant, task.ID, s.p.Now(), planned)), nil
}

// first are the tasks that a job begins with.
func (s *Service) first(w *way, task *event.GenerateTask, d cascade.Decision) ([]bus.Out, error) {
	if second, ok := s.beside(w, task, d); ok {
		return s.both(w, task, d, second)
	}
	out, err := s.send(w, task, d)
	return []bus.Out{out}, err
}

// skipFirst passes over the first tier when the question alone says that its answer
// would hardly be accepted.
func (s *Service) skipFirst(w *way, task *event.GenerateTask) {
	if w.skip == nil || len(w.tiers) < 2 || task.HasTools() {
		return
	}
	if w.skip.Calibration.P(cascade.Evidence{Task: w.task, Question: task.Question}) > w.skip.Above {
		w.tiers = w.tiers[1:]
	}
}

// beside is the model that begins at the same time, for a job in a hurry.
func (s *Service) beside(w *way, task *event.GenerateTask, d cascade.Decision) (cascade.Decision, bool) {
	l := w.policy.Latency
	calls := cmp.Or(task.MaxAttempts, guard.DefaultAttempts) - task.Receipt.Calls()
	if w.task == "" || l.Start != catalog.StartParallel || d.Action != cascade.Call || calls < 2 {
		return d, false
	}
	if l.Within > 0 && (task.Deadline.IsZero() || task.Deadline.Sub(s.p.Now()) > l.Within.Std()) {
		return d, false
	}
	tried := *task
	tried.Prior = []event.Judged{{Answer: event.Answer{Model: d.Model}, Hard: true}}
	second := s.decide(w, &tried, false)
	return second, second.Action == cascade.Call && d.Model != second.Model
}

// both are the tasks of two models that begin at once: the first accepted answer
// is the job's. Should the second one fail, the first model is asked once more.
func (s *Service) both(w *way, task *event.GenerateTask, first, second cascade.Decision) ([]bus.Out, error) {
	// The first of them has nobody to hand its answer to.
	task.Alone, task.Receipt.Routing.Start = true, catalog.StartParallel
	if task.MaxCostNanoUSD > 0 { // half for each
		task.MaxCostNanoUSD = max(1, task.Receipt.CostNanoUSD+(task.MaxCostNanoUSD-task.Receipt.CostNanoUSD)/2)
	}
	other, routing := *task, *task.Receipt.Routing
	other.Alone, other.Hop, other.Receipt.Routing = false, task.Hop+1, &routing
	a, err := s.send(w, task, first)
	if err != nil {
		return nil, err
	}
	b, err := s.send(w, &other, second)
	return []bus.Out{a, b}, err
}

// charge stores what a retrieval took that failed with err: the next delivery pays
// again.
func (s *Service) charge(ctx context.Context, in *bus.Message, task *event.GenerateTask, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.RetrieveTimeout)
	defer cancel()
	if failed := s.bus.Publish(ctx, s.queryLines(in, task)...); failed != nil {
		return fmt.Errorf("%w; nor is it in the ledger: %w", err, failed)
	}
	return err
}

// queryLines are the ledger's for the embedding of the question and the reranking.
func (s *Service) queryLines(in *bus.Message, task *event.GenerateTask) []bus.Out {
	return s.lines(ledger.Line{Tenant: task.Tenant, Job: task.ID, Epoch: in.Epoch()}, task.Receipt.Attempts)
}

// lines are a line of the ledger per call of a retrieval.
func (s *Service) lines(of ledger.Line, calls []event.Attempt) []bus.Out {
	var outs []bus.Out
	for i, a := range calls {
		of.V, of.Step, of.Call, of.At = event.Version, "query", i+1, s.p.Now().UTC()
		of.Model, of.Catalog, of.Usage = a.Model, a.Catalog, llm.Usage{PromptTokens: a.PromptTokens}
		of.CostNanoUSD, of.DurationMS = a.CostNanoUSD, a.DurationMS
		if out, err := ledger.LineOut(of); err == nil { // plain fields only
			outs = append(outs, out)
		}
	}
	return outs
}
