package router

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// plan turns a job into a task for the generator of a model.
func (s *Service) plan(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	job, err := event.DecodeGenerateJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	if job.Model != "" && job.Model != s.cfg.Model {
		return nil, event.Invalid("model", fmt.Sprintf("leave it out or use %q", s.cfg.Model), "unknown model %q", job.Model)
	}
	task := event.GenerateTask{
		Envelope: job.Envelope, Model: s.cfg.Model, Messages: job.Messages,
		MaxTokens: job.MaxTokens, Temperature: job.Temperature, Stream: job.Stream,
	}
	task.ID, task.SubmittedAt = in.JobID(job.ID), in.Stored.UTC()
	task.Receipt.WaitingMS = event.Milliseconds(received.Sub(in.Stored))
	if job.RAG != nil {
		if err := s.ground(ctx, &job, &task); err != nil {
			return nil, err
		}
		retrieved := s.p.Now().Sub(received)
		task.Receipt.RetrievingMS = event.Milliseconds(retrieved)
		s.metrics.retrieval.Observe(retrieved.Seconds())
	}
	out, err := stage.StepOut(event.GenerateSubject(task.Model, task.Lane, task.Tenant), "generate", task.Envelope, task)
	if err != nil {
		return nil, err
	}
	planned := event.Life{Type: event.LifePlanned, Stage: "router", Attempt: in.Deliveries,
		Detail: fmt.Sprintf("model %s, %d sources", task.Model, len(task.Sources))}
	return []bus.Out{out, stage.LifeOut(task.Tenant, task.ID, s.p.Now(), planned)}, nil
}
