package rpc

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

// MaxInputs bounds one request for vectors.
const MaxInputs = 64

// Querier makes query vectors.
type Querier interface {
	Query(ctx context.Context, model string, texts []string) (batch.Answer, error)
}

// Queries answers requests for query vectors.
type Queries struct {
	NC *nats.Conn
	// Pool names the embedders that answer, as routers know them.
	Pool string
	// Model is the id of the model whose vectors are searched now.
	Model   func(ctx context.Context) (string, error)
	Querier Querier
	// Timeout bounds the wait for the vectors, that for the limits included.
	Timeout time.Duration
}

// Start serves until the returned function is called, which waits for the requests
// in work.
func (q *Queries) Start() (stop func(), err error) {
	s := &server{nc: q.NC, subject: event.EmbedRPC(q.Pool), timeout: q.Timeout,
		sign: event.EmbedReply{V: event.Version, Working: true}, answer: q.answer}
	return s.start()
}

func (q *Queries) answer(ctx context.Context, data []byte) any {
	reply := event.EmbedReply{V: event.Version}
	if err := q.embed(ctx, data, &reply); err != nil {
		reply.Failure = event.FailureOf(err)
	}
	return reply
}

func (q *Queries) embed(ctx context.Context, data []byte, reply *event.EmbedReply) error {
	request, err := event.Decode[event.EmbedRequest](data)
	if err != nil {
		return err
	}
	if n := len(request.Inputs); n == 0 || n > MaxInputs {
		return event.Invalid("inputs", fmt.Sprintf("send 1 to %d texts", MaxInputs), "got %d", n)
	}
	model, err := q.Model(ctx)
	if err != nil {
		return fmt.Errorf("finding the model to embed with: %w", err)
	}
	got, err := q.Querier.Query(ctx, model, request.Inputs)
	if err != nil {
		return fmt.Errorf("embedding query: %w", err)
	}
	reply.Model, reply.Vectors, reply.Tokens, reply.CostNanoUSD = model, got.Vectors, got.Tokens, got.CostNanoUSD
	return nil
}
