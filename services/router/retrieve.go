package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// ground finds the sources for the job's question and puts them into the
// task's prompt.
func (s *Service) ground(ctx context.Context, job *event.GenerateJob, task *event.GenerateTask) error {
	last := job.Messages[len(job.Messages)-1]
	if last.Role != "user" {
		return event.Invalid(fmt.Sprintf("messages[%d].role", len(job.Messages)-1),
			"end with the user's question: it is what is looked up", "got %q", last.Role)
	}
	query, err := s.embed(ctx, last.Content, &task.Receipt)
	if err != nil {
		return err
	}
	hits, err := s.search(ctx, job, query)
	if err != nil {
		return err
	}
	hits = fit(hits, s.cfg.ContextBytes)
	task.Messages = groundedPrompt(job.Messages, hits)
	task.Sources = numbered(hits)
	return nil
}

// embed asks the embedder for the question's vector.
func (s *Service) embed(ctx context.Context, text string, receipt *event.Receipt) ([]float32, error) {
	data, err := json.Marshal(event.EmbedRequest{V: event.Version, Inputs: []string{text}})
	if err != nil {
		return nil, fmt.Errorf("encoding query: %w", err)
	}
	start := s.p.Now()
	reply, err := s.askEmbedder(ctx, data)
	if err != nil {
		return nil, s.embedderDown(ctx, err)
	}
	if reply.Error != nil {
		reply.Error.RetryAfter = time.Duration(reply.RetryAfterMS) * time.Millisecond
		return nil, fmt.Errorf("embedding query: %w", reply.Error)
	}
	if len(reply.Vectors) != 1 {
		return nil, event.Errorf(event.ClassInternal, "embedder gave %d vectors for one query", len(reply.Vectors))
	}
	receipt.Add(event.Attempt{Model: s.cfg.EmbeddingModel, PromptTokens: reply.Tokens, CostNanoUSD: reply.CostNanoUSD,
		DurationMS: event.Milliseconds(s.p.Now().Sub(start)), Catalog: s.ports.Catalog.Current().Revision})
	return reply.Vectors[0], nil
}

// askAgain is how long an embedder may be silent before another one is asked as
// well: a request that a dying embedder took along is never answered.
const askAgain = 3 * time.Second

// askEmbedder sends the request and takes the first answer. An embedder that waits
// for the limits of its provider says so each second; after askAgain of silence
// the question is sent again, after RetrieveTimeout it is given up.
func (s *Service) askEmbedder(ctx context.Context, data []byte) (event.EmbedReply, error) {
	answers, err := s.nc.SubscribeSync(s.nc.NewInbox())
	if err != nil {
		return event.EmbedReply{}, err
	}
	defer answers.Unsubscribe() //nolint:errcheck // the connection may be gone
	heard, asked := s.p.Now(), false
	for {
		if !asked {
			if err := s.nc.PublishRequest(event.EmbedRPC(s.cfg.EmbeddingModel), answers.Subject, data); err != nil {
				return event.EmbedReply{}, err
			}
		}
		once, cancel := context.WithTimeout(ctx, min(askAgain, s.cfg.RetrieveTimeout))
		msg, err := answers.NextMsgWithContext(once)
		cancel()
		switch {
		case err == nil:
			reply, err := event.Decode[event.EmbedReply](msg.Data)
			if err != nil || !reply.Working {
				return reply, err
			}
			heard, asked = s.p.Now(), true
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return event.EmbedReply{}, err
		case s.p.Now().Sub(heard) >= s.cfg.RetrieveTimeout:
			return event.EmbedReply{}, fmt.Errorf("no answer after %s", s.cfg.RetrieveTimeout)
		default:
			asked = false
		}
	}
}

func (s *Service) embedderDown(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("embedding query: %w", context.Cause(ctx))
	}
	e := event.Errorf(event.ClassUnavailable, "embedding query: %w", err)
	if errors.Is(err, nats.ErrNoResponders) {
		e.Hint = fmt.Sprintf("start an embedder for model %q", s.cfg.EmbeddingModel)
	}
	return e
}

// search finds the nearest chunks in the job's collection.
func (s *Service) search(ctx context.Context, job *event.GenerateJob, query []float32) ([]vector.Hit, error) {
	topK := job.RAG.TopK
	if topK == 0 {
		topK = s.cfg.TopK
	}
	scope := vector.Scope{Tenant: job.Tenant, Collection: job.RAG.Collection}
	place, err := s.place()
	if err != nil {
		return nil, err
	}
	searching, cancel := context.WithTimeout(ctx, s.cfg.RetrieveTimeout)
	defer cancel()
	hits, err := s.store.Search(searching, place, vector.Query{Scope: scope, Vector: query, TopK: topK})
	if err != nil {
		return nil, s.storeDown(ctx, err)
	}
	if len(hits) > 0 {
		return hits, nil
	}
	n, err := s.store.Count(searching, place, scope)
	if err != nil {
		return nil, s.storeDown(ctx, err)
	}
	if n == 0 {
		return nil, event.Invalid("rag.collection", "ingest documents into it first, or check the name and the tenant",
			"tenant %q has no collection %q", job.Tenant, job.RAG.Collection)
	}
	return nil, nil
}

// place is where the embedding model's vectors are kept.
func (s *Service) place() (vector.Index, error) {
	m, err := s.ports.Catalog.Current().Embedding("WEIR_ROUTER_EMBEDDING_MODEL", s.cfg.EmbeddingModel)
	return vector.Index{Name: vector.DefaultIndex, Model: m.ID, Dimension: m.Dimensions}, err
}

// storeDown tells the search's own time limit from the job's.
func (s *Service) storeDown(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return event.Errorf(event.ClassUnavailable, "searching %s: no answer after %s: %w", s.cfg.QdrantAddr, s.cfg.RetrieveTimeout, err)
	}
	return fmt.Errorf("searching: %w", err)
}
