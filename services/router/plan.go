package router

import (
	"context"
	"fmt"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/stage"
)

// plan turns a job into a task for the generator of a model.
func (s *Service) plan(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	received := s.p.Now()
	job, err := event.DecodeGenerateJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	chain, err := s.chain(job.Model)
	if err != nil {
		return nil, err
	}
	task := event.GenerateTask{
		Envelope: job.Envelope, Messages: job.Messages,
		MaxTokens: job.MaxTokens, Temperature: job.Temperature, Stream: job.Stream,
		MaxAttempts: job.MaxAttempts, MaxCostNanoUSD: job.MaxCostNanoUSD,
	}
	task.ID, task.SubmittedAt = in.JobID(job.ID), in.Stored.UTC()
	task.Receipt.WaitingMS = event.Milliseconds(received.Sub(in.Stored))
	if job.RAG != nil {
		enough, err := s.ground(ctx, &job, &task)
		if err != nil {
			return nil, stage.WithReceipt(s.charge(ctx, in, &task, err), task.Receipt)
		}
		retrieved := s.p.Now().Sub(received)
		task.Receipt.RetrievingMS = event.Milliseconds(retrieved)
		s.metrics.retrieval.Observe(retrieved.Seconds())
		if !enough {
			return s.abstained(in, &task)
		}
	}
	task.Model, task.Fallback = s.choose(chain)
	out, err := taskOut(&task)
	if err != nil {
		return nil, err
	}
	planned := event.Life{Type: event.LifePlanned, Stage: "router", Attempt: in.Deliveries,
		Detail: fmt.Sprintf("model %s, %d sources", task.Model, len(task.Sources))}
	return append(s.queryLines(in, &task), out, stage.LifeOut(task.Tenant, task.ID, s.p.Now(), planned)), nil
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
