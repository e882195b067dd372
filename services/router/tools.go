package router

import (
	"slices"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// needsTools is what a policy calls the capability.
const needsTools = "tools"

// requires are the capabilities that a model must have for a task.
func (w *way) requires(task *event.GenerateTask) []string {
	if !task.HasTools() || slices.Contains(w.policy.Requires, needsTools) {
		return w.policy.Requires
	}
	return append(slices.Clone(w.policy.Requires), needsTools)
}

// fitTools refuses a task with tools when there is no model for it. Calls of tools
// are not compared with another model's: they are steps, of which many are right.
func (w *way) fitTools(task *event.GenerateTask) error {
	if !task.HasTools() {
		return nil
	}
	task.Compare = nil
	candidates := w.tiers
	if w.task == "" {
		candidates = candidates[:1] // the others only stand in for it
	}
	for _, t := range candidates {
		if m, ok := w.catalog.Model(t.model); ok && len(m.Lacks([]string{needsTools})) == 0 {
			return nil
		}
	}
	if w.task == "" {
		return guard.NoTools(candidates[0].model)
	}
	return event.Invalid("tools", "leave them out, or add a model that takes them to the policy's chain", "no model of task %s takes tools", w.task)
}

// askedFor is what a job asks for, before anything is added to it.
func (s *Service) askedFor(w *way, job *event.GenerateJob, task *event.GenerateTask) *event.Asked {
	first := w.tiers[0].model
	asked := &event.Asked{Task: w.task, MaxTokens: job.MaxTokens, Tools: job.HasTools(),
		PromptTokens: s.guard.Count(first, llm.ChatRequest{Messages: job.Messages, Tooling: job.Tooling})}
	if w.task == "" {
		asked.Model = first
	}
	if g := task.Gates; g != nil {
		asked.Schema = g.Schema != nil
	}
	if job.RAG != nil {
		asked.Collection, asked.TopK = job.RAG.Collection, s.lookup(job.Tenant, "", job.RAG).topK
	}
	return asked
}
