package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
)

// askAgain is how long an embedder may be silent before another one is asked as
// well: a request that a dying embedder took along is never answered.
const askAgain = 3 * time.Second

// reply is an answer of the embedder.
type reply interface {
	event.EmbedReply | event.RerankReply
}

// ask sends a request to the embedders and takes the first answer. One that waits
// for the limits of its provider says so each second (working); after askAgain of
// silence the question is sent again, after RetrieveTimeout it is given up.
func ask[R reply](ctx context.Context, s *Service, subject string, request any, decode func([]byte) (r R, working bool, err error)) (R, error) {
	var none R
	data, err := json.Marshal(request)
	if err != nil {
		return none, fmt.Errorf("encoding request: %w", err)
	}
	answers, err := s.nc.SubscribeSync(s.nc.NewInbox())
	if err != nil {
		return none, err
	}
	defer answers.Unsubscribe() //nolint:errcheck // the connection may be gone
	heard, asked := s.p.Now(), false
	for {
		if !asked {
			if err := s.nc.PublishRequest(subject, answers.Subject, data); err != nil {
				return none, err
			}
		}
		once, cancel := context.WithTimeout(ctx, min(askAgain, s.cfg.RetrieveTimeout))
		msg, err := answers.NextMsgWithContext(once)
		cancel()
		switch {
		case err == nil:
			r, working, err := decode(msg.Data)
			if err != nil || !working {
				return r, err
			}
			heard, asked = s.p.Now(), true
		case !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil:
			return none, err
		case s.p.Now().Sub(heard) >= s.cfg.RetrieveTimeout:
			return none, fmt.Errorf("no answer after %s", s.cfg.RetrieveTimeout)
		default:
			asked = false
		}
	}
}

// embed asks for a text's vector. The model that made it is in the reply.
func (s *Service) embed(ctx context.Context, text string, receipt *event.Receipt) (event.EmbedReply, error) {
	start := s.p.Now()
	r, err := ask(ctx, s, event.EmbedRPC(s.cfg.EmbeddingModel), event.EmbedRequest{V: event.Version, Inputs: []string{text}},
		func(data []byte) (event.EmbedReply, bool, error) {
			r, err := event.Decode[event.EmbedReply](data)
			return r, r.Working, err
		})
	if err != nil {
		return r, s.embedderDown(ctx, "embedding query", s.cfg.EmbeddingModel, err)
	}
	if err := r.Err(); err != nil {
		return r, fmt.Errorf("embedding query: %w", err)
	}
	if len(r.Vectors) != 1 {
		return r, event.Errorf(event.ClassInternal, "embedder gave %d vectors for one query", len(r.Vectors))
	}
	if r.Model == "" {
		r.Model = s.cfg.EmbeddingModel
	}
	receipt.Add(event.Attempt{Model: r.Model, For: event.ForEmbed, PromptTokens: r.Tokens, CostNanoUSD: r.CostNanoUSD,
		DurationMS: event.Milliseconds(s.p.Now().Sub(start)), Catalog: s.ports.Catalog.Current().Revision})
	return r, nil
}

// rerank asks a rerank model for a score per passage.
func (s *Service) rerank(ctx context.Context, model, query string, passages []string, receipt *event.Receipt) ([]float64, error) {
	start := s.p.Now()
	r, err := ask(ctx, s, event.RerankRPC(model), event.RerankRequest{V: event.Version, Query: query, Passages: passages},
		func(data []byte) (event.RerankReply, bool, error) {
			r, err := event.Decode[event.RerankReply](data)
			return r, r.Working, err
		})
	if err != nil {
		return nil, s.embedderDown(ctx, "reranking", model, err)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reranking: %w", err)
	}
	if len(r.Scores) != len(passages) {
		return nil, event.Errorf(event.ClassInternal, "reranker gave %d scores for %d passages", len(r.Scores), len(passages))
	}
	receipt.Add(event.Attempt{Model: model, For: event.ForRerank, PromptTokens: r.Tokens, CostNanoUSD: r.CostNanoUSD,
		DurationMS: event.Milliseconds(s.p.Now().Sub(start)), Catalog: s.ports.Catalog.Current().Revision})
	return r.Scores, nil
}

func (s *Service) embedderDown(ctx context.Context, doing, model string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, context.Cause(ctx))
	}
	e := event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
	if errors.Is(err, nats.ErrNoResponders) {
		e.Hint = fmt.Sprintf("start an embedder for model %q", model)
	}
	return e
}
