package router

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/vector"
)

// ground finds the sources for the job's question and puts them into the task's
// prompt. enough is false when they do not cover the question.
func (s *Service) ground(ctx context.Context, w *way, job *event.GenerateJob, task *event.GenerateTask) (enough bool, err error) {
	last := job.Messages[len(job.Messages)-1]
	if last.Role != "user" {
		return false, event.Invalid(fmt.Sprintf("messages[%d].role", len(job.Messages)-1),
			"end with the user's question: it is what is looked up", "got %q", last.Role)
	}
	q := s.lookup(job.Tenant, last.Content, job.RAG)
	found, err := s.retrieve(ctx, &q, &task.Receipt)
	if err != nil {
		return false, err
	}
	sources := pack(found.passages, s.room(w, job, task))
	task.Messages = groundedPrompt(job.Messages, sources)
	task.Sources = numbered(sources)
	task.Receipt.Retrieval = found.receipt(sources)
	return s.enough(&q, found), nil
}

// receipt is what a receipt says of a retrieval.
func (r *retrieved) receipt(sources []source) *event.Retrieval {
	out := &event.Retrieval{Fusion: string(r.fusion), Reranker: r.reranker, Coverage: r.coverage}
	for _, list := range r.lists {
		out.Lists = append(out.Lists, string(list))
	}
	for _, s := range sources {
		out.Sources = append(out.Sources, event.SourceVersion{Document: s.Chunk.Document, Version: s.Version, Chunks: s.ids})
	}
	return out
}

// enough says whether what was found may hold an answer.
func (s *Service) enough(q *lookup, found *retrieved) bool {
	return len(found.passages) > 0 && found.coverage >= s.abstain(q, found)
}

// abstain is the coverage below which no model is asked. Words can't tell whether
// passages that were found by meaning hold an answer, so with a real embedding
// model the default is not to judge by them.
func (s *Service) abstain(q *lookup, found *retrieved) float64 {
	switch {
	case q.rag.Abstain != nil:
		return *q.rag.Abstain
	case q.col.Abstain != nil:
		return *q.col.Abstain
	}
	if s.cfg.AbstainBelow >= 0 {
		return s.cfg.AbstainBelow
	}
	if found.byWords() {
		return abstainByWords
	}
	return 0
}

// abstainByWords is the default where only words were searched.
const abstainByWords = rerank.Abstain

// byWords says that nothing was found by meaning.
func (r *retrieved) byWords() bool { return !slices.Contains(r.lists, vector.Dense) }

// room is how many tokens of sources fit into the prompt: within the setting, the
// context of the model, and what the job may cost.
func (s *Service) room(w *way, job *event.GenerateJob, task *event.GenerateTask) int {
	room := s.cfg.ContextTokens
	m, _ := w.catalog.Model(w.tiers[0].model)
	answer := cmp.Or(job.MaxTokens, m.MaxTokens)
	rest := weight(task) + answer
	for _, t := range w.tiers { // whichever of them answers
		if m, ok := w.catalog.Model(t.model); ok && m.Context.Input > 0 {
			// A tenth in hand: the model's tokens are not those that chunks are counted in.
			room = min(room, m.Context.Input*9/10-rest)
		}
	}
	if job.MaxCostNanoUSD > 0 {
		if price, ok := m.PriceAt(s.p.Now()); ok && price.Input > 0 {
			left := job.MaxCostNanoUSD - task.Receipt.CostNanoUSD - price.Output*int64(answer)
			room = int(min(int64(room), max(0, min(left/price.Input, math.MaxInt32)-int64(weight(task)))))
		}
	}
	return max(0, room)
}

// unknown is the answer to a question that the sources do not cover.
const unknown = "I don't know."

// abstained ends a job without asking a model.
func (s *Service) abstained(in *bus.Message, task *event.GenerateTask) ([]bus.Out, error) {
	if !s.fits(task, unknown) { // there is no prose where JSON is wanted
		err := event.Errorf(event.ClassRejected, "no model was asked: the passages found cover %.0f %% of the question", 100*task.Receipt.Retrieval.Coverage)
		err.Field, err.Hint = "rag.abstain", "set it to 0 to have a model asked in any case, or ingest documents that answer the question"
		return nil, err
	}
	return s.ended(in, task, event.Answer{Text: unknown, FinishReason: event.FinishAbstained})
}
