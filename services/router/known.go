package router

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/cache"
	"github.com/weir-dev/weir/pkg/cascade"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// The kinds of hits.
const (
	hitExact    = "exact"
	hitSemantic = "semantic"
	hitFlight   = "flight"
)

// flightFor is how long a job leads identical ones before somebody looks whether
// it is still at work.
const flightFor = 10 * time.Minute

// known ends a job with an answer given before, or has it wait for that of an
// identical one in flight. Else the task says where its answer is to be kept. A
// cache that is out of order is passed over.
func (s *Service) known(ctx context.Context, w *way, in *bus.Message, job *event.GenerateJob, task *event.GenerateTask) (outs []bus.Out, done bool, err error) {
	p := &w.policy.Cache
	if w.task == "" || p.Exact == 0 || job.NoCache {
		return nil, false, nil
	}
	req := w.request(job, task)
	key := cache.RequestKey(req)
	task.Cache = &event.CachePlan{Key: key, Flight: flightKey(key, task.Lane), TTLMS: p.Exact.Std().Milliseconds()}
	entry, err := s.cache.Get(ctx, task.Tenant, key)
	s.cacheTrouble(ctx, task, err)
	if entry != nil {
		outs, err := s.hit(in, task, entry, event.CacheHit{Kind: hitExact})
		return outs, true, err
	}
	var q *cache.Question
	if p.Semantic && s.similar != nil && onlyAsks(job) {
		q = s.asked(ctx, w, job, task, req)
		if entry, similarity := s.semanticHit(ctx, w, task, q); entry != nil {
			outs, err := s.hit(in, task, entry, event.CacheHit{Kind: hitSemantic, Similarity: similarity})
			return outs, true, err
		}
	}
	_, lead, err := s.cache.Lead(ctx, task.Tenant, task.Cache.Flight, task.ID, flightFor)
	s.cacheTrouble(ctx, task, err)
	if err == nil && !lead {
		out, err := stage.StepOut(event.FlightSubject(task.Lane, task.Tenant), "flight", task.Envelope, task)
		return []bus.Out{out}, true, err
	}
	if q != nil {
		s.cacheTrouble(ctx, task, s.similar.Add(ctx, *q, key))
	}
	return nil, false, nil
}

// onlyAsks says that a job is a question and no step of a longer work: what it ends
// with is what the user said, and it may be put in other words.
func onlyAsks(job *event.GenerateJob) bool {
	return !job.HasTools() && job.Messages[len(job.Messages)-1].Role == "user"
}

func (s *Service) cacheTrouble(ctx context.Context, task *event.GenerateTask, err error) {
	if err != nil {
		s.p.Logger.WarnContext(ctx, "the cache is passed over", "job", task.ID, "error", err)
	}
}

// request is all that decides the answer.
func (w *way) request(job *event.GenerateJob, task *event.GenerateTask) cache.Request {
	r := cache.Request{
		Tenant: task.Tenant, Task: w.task, Policy: w.routing.Policy + "/" + w.routing.Table, Catalog: w.catalog.Revision,
		Messages: task.Messages, MaxTokens: task.MaxTokens, Temperature: task.Temperature, RAG: job.RAG,
		Tooling: task.Tooling,
	}
	if g := task.Gates; g != nil {
		r.Schema = g.Schema
		r.Checks, _ = json.Marshal(g.Checks) // plain fields only
	}
	if ret := task.Receipt.Retrieval; ret != nil {
		r.Sources = ret.Sources
	}
	return r
}

// asked is the question as the semantic cache knows it; nil when it can't be
// embedded.
func (s *Service) asked(ctx context.Context, w *way, job *event.GenerateJob, task *event.GenerateTask, req cache.Request) *cache.Question {
	reply, err := s.embed(ctx, task.Question, &task.Receipt)
	if err != nil {
		s.cacheTrouble(ctx, task, err)
		return nil
	}
	context := req
	context.Messages = job.Messages // without sources
	q := &cache.Question{Tenant: task.Tenant, Task: w.task, Text: task.Question, Model: reply.Model, Vector: reply.Vectors[0],
		RAG: job.RAG, Context: cache.ContextKey(context), Sources: req.Sources}
	task.Cache.Scope = q.Scope()
	return q
}

// semanticHit looks for a question that means the same. A share of the hits is
// not used: a model answers all the same, to see whether they are right. When too
// many were not, none is used until they are again.
func (s *Service) semanticHit(ctx context.Context, w *way, task *event.GenerateTask, q *cache.Question) (*cache.Entry, float64) {
	if q == nil {
		return nil, 0
	}
	entry, verdict, err := s.similar.Find(ctx, *q)
	s.cacheTrouble(ctx, task, err)
	if err != nil || entry == nil || float64(verdict.Score) < w.policy.Cache.Similarity {
		return nil, 0
	}
	if cascade.Sampled("semantic "+task.Tenant+"."+task.ID, w.policy.Cache.Audit) {
		task.Cache.Audit = &event.Judged{Answer: entry.Answer}
		return nil, 0
	}
	if !s.learned.of(w.task).semantic() {
		return nil, 0
	}
	return entry, float64(verdict.Score)
}

// hit ends a job with a known answer.
func (s *Service) hit(in *bus.Message, task *event.GenerateTask, entry *cache.Entry, hit event.CacheHit) ([]bus.Out, error) {
	hit.Job, hit.SavedNanoUSD = entry.Job, entry.CostNanoUSD
	task.Receipt.Cache = &hit
	s.metrics.hits.WithLabelValues(hit.Kind, task.Task).Inc()
	return s.ended(in, task, entry.Answer)
}

// land lets identical jobs go: this one has no answer for them.
func (s *Service) land(ctx context.Context, task *event.GenerateTask) {
	if task.Cache != nil {
		s.cacheTrouble(ctx, task, s.cache.Release(context.WithoutCancel(ctx), task.Tenant, task.Cache.Flight, task.ID))
	}
}

// flightKey is that of identical jobs in a lane: nobody waits for a lane that is
// less urgent.
func flightKey(key string, lane event.Lane) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(key+" "+string(lane))))
}

// flightLook is how often a job that waits for another one looks whether that is
// still at work.
const flightLook = 30 * time.Second

// fly waits for the answer of an identical job. When that ends without one, this
// job, or another one that waits, goes to a model itself.
func (s *Service) fly(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	task, err := event.Decode[event.GenerateTask](in.Data)
	if err != nil {
		return nil, err
	}
	if task.Cache == nil {
		return nil, event.Invalid("cache", "send what identical jobs share", "missing")
	}
	w, err := s.wayOf(&task)
	if err != nil {
		return nil, stage.WithReceipt(err, task.Receipt)
	}
	tell := stage.TellWaiting(s.bus, task.Envelope, "router", s.p.Now)
	for {
		entry, err := s.cache.Get(ctx, task.Tenant, task.Cache.Key)
		s.cacheTrouble(ctx, &task, err)
		if entry != nil {
			s.land(ctx, &task) // should it lead by now
			return s.hit(in, &task, entry, event.CacheHit{Kind: hitFlight})
		}
		leader, lead, err := s.cache.Lead(ctx, task.Tenant, task.Cache.Flight, task.ID, flightFor)
		s.cacheTrouble(ctx, &task, err)
		if lead || err != nil {
			s.dropCache(ctx, w, &task)
			return s.start(ctx, w, in, &task)
		}
		tell("job "+leader+" asks the same and is being answered", event.Wait{Cause: event.WaitFlight, Name: leader})
		looking, cancel := context.WithTimeout(ctx, flightLook)
		_, _, err = s.cache.Await(looking, task.Tenant, task.Cache.Flight)
		over := looking.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && !over:
			return nil, err
		case over:
			if err := s.look(ctx, &task, leader); err != nil {
				return nil, err
			}
		}
	}
}

// look lets the job that leads go on if it has no result yet.
func (s *Service) look(ctx context.Context, task *event.GenerateTask, leader string) error {
	result, err := s.bus.Last(ctx, bus.StreamResults, event.ResultSubject(task.Tenant, leader))
	if err != nil {
		return err
	}
	if result != nil {
		return s.cache.Release(ctx, task.Tenant, task.Cache.Flight, leader)
	}
	_, _, err = s.cache.Lead(ctx, task.Tenant, task.Cache.Flight, leader, flightFor)
	return err
}
