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
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/vector"
)

// ground finds the sources for the job's question and puts them into the task's
// prompt. enough is false when they do not cover the question.
func (s *Service) ground(ctx context.Context, job *event.GenerateJob, task *event.GenerateTask) (enough bool, err error) {
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
	sources := pack(found.passages, s.room(job, task))
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
func (s *Service) room(job *event.GenerateJob, task *event.GenerateTask) int {
	room := s.cfg.ContextTokens
	chain, err := s.chain(job.Model)
	if err != nil { // plan reports it
		return room
	}
	m, ok := s.ports.Catalog.Current().Model(chain[0])
	if !ok {
		return room
	}
	answer := cmp.Or(job.MaxTokens, m.MaxTokens)
	rest := weight(task) + answer
	for _, name := range chain { // whichever of them answers
		if m, ok := s.ports.Catalog.Current().Model(name); ok && m.Context.Input > 0 {
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
	now := s.p.Now().UTC()
	task.Receipt.TotalMS = event.Milliseconds(now.Sub(task.SubmittedAt))
	result, err := stage.ResultOut(event.Result{
		V: event.Version, ID: task.ID, Tenant: task.Tenant, Kind: event.KindGenerate, Status: event.StatusOK,
		Answer:  &event.Answer{Text: unknown, FinishReason: event.FinishAbstained},
		Receipt: task.Receipt, FinishedAt: now,
	})
	if err != nil {
		return nil, err
	}
	var outs []bus.Out
	if task.Stream {
		for _, token := range []event.Token{{Type: event.TokenDelta, Text: unknown}, {Type: event.TokenDone}} {
			token.V, token.ID, token.Epoch = event.Version, task.ID, in.Epoch()
			out, err := stage.JSONOut(event.TokenSubject(task.Tenant, task.ID), "", token)
			if err != nil {
				return nil, err
			}
			out.View = true
			outs = append(outs, out)
		}
	}
	return append(append(s.queryLines(in, task), outs...), result), nil
}
