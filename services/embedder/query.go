package embedder

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// queries answers requests for query vectors (event.EmbedRPC). A query is
// embedded at once: somebody waits for it.
type queries struct {
	nc       *nats.Conn
	cfg      Config
	embedder caller
	metrics  *metrics
}

// maxQueryInputs bounds one request.
const maxQueryInputs = 64

// queryBacklog is how many requests may wait for a free call in this process.
const queryBacklog = 1024

// start serves until the returned function is called, which waits for the
// requests in work.
func (q *queries) start() (stop func(), err error) {
	requests := make(chan *nats.Msg, queryBacklog)
	sub, err := q.nc.ChanQueueSubscribe(event.EmbedRPC(q.cfg.Model), "embedder", requests)
	if err != nil {
		return nil, fmt.Errorf("serving query vectors: %w", err)
	}
	var workers sync.WaitGroup
	for range max(q.cfg.InteractiveSlots, q.cfg.Calls) {
		workers.Go(func() {
			for msg := range requests {
				q.reply(msg)
			}
		})
	}
	return sync.OnceFunc(func() {
		sub.Unsubscribe() //nolint:errcheck // the connection may be gone
		close(requests)
		workers.Wait()
	}), nil
}

// signEvery is how often somebody who waits gets a sign of life.
const signEvery = time.Second

// signs says that the answer to msg is still to come, until the returned function
// is called.
func (q *queries) signs(msg *nats.Msg) (stop func()) {
	sign, err := json.Marshal(event.EmbedReply{V: event.Version, Working: true})
	if err != nil {
		return func() {} // cannot happen: plain fields only
	}
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(signEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				msg.Respond(sign) //nolint:errcheck // the asker asks again
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

func (q *queries) reply(msg *nats.Msg) {
	defer q.signs(msg)()
	reply := event.EmbedReply{V: event.Version}
	if err := q.embed(msg.Data, &reply); err != nil {
		reply.Error = event.AsError(err)
		reply.RetryAfterMS = reply.Error.RetryAfter.Milliseconds()
	}
	data, err := json.Marshal(reply)
	if err != nil {
		return // cannot happen: plain fields only
	}
	msg.Respond(data) //nolint:errcheck // the asker's timeout tells it
}

func (q *queries) embed(data []byte, reply *event.EmbedReply) error {
	request, err := event.Decode[event.EmbedRequest](data)
	if err != nil {
		return err
	}
	if n := len(request.Inputs); n == 0 || n > maxQueryInputs {
		return event.Invalid("inputs", fmt.Sprintf("send 1 to %d texts", maxQueryInputs), "got %d", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), q.cfg.QueryTimeout)
	defer cancel()
	response, report, err := q.embedder.Embed(ctx, guard.Call{
		Lane: event.LaneInteractive, Model: q.cfg.Model, Attempts: guard.DefaultAttempts,
	}, llm.EmbedRequest{Inputs: request.Inputs})
	if err != nil {
		return fmt.Errorf("embedding query: %w", err)
	}
	q.metrics.observe(len(request.Inputs), response.Usage.PromptTokens)
	reply.Vectors, reply.Tokens = response.Vectors, response.Usage.PromptTokens
	for _, a := range report.Attempts {
		reply.CostNanoUSD += a.CostNanoUSD
	}
	return nil
}
