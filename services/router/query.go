package router

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
)

// queries answers requests on event.QueryRPC: what retrieval finds, and why.
type queries struct {
	s *Service
	// slots bounds the requests in work.
	slots chan struct{}
	ready chan struct{}
}

func newQueries(s *Service, slots int) *queries {
	return &queries{s: s, slots: make(chan struct{}, slots), ready: make(chan struct{})}
}

// Ready is closed when requests are taken.
func (q *queries) Ready() <-chan struct{} { return q.ready }

// queryTimeout bounds one request, the wait for a provider's limits included.
const queryTimeout = time.Minute

// Run answers until ctx ends, and waits for what is in work.
func (q *queries) Run(ctx context.Context) error {
	var working sync.WaitGroup
	requests := make(chan *nats.Msg, cap(q.slots))
	sub, err := q.s.nc.ChanQueueSubscribe(event.QueryRPC("*"), "router", requests)
	if err != nil {
		return fmt.Errorf("serving queries: %w", err)
	}
	close(q.ready)
	defer working.Wait()
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-requests:
			q.slots <- struct{}{}
			working.Go(func() {
				defer func() { <-q.slots }()
				q.reply(context.WithoutCancel(ctx), msg)
			})
		}
	}
}

func (q *queries) reply(ctx context.Context, msg *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	reply := event.QueryReply{V: event.Version}
	if err := q.answer(ctx, msg, &reply); err != nil {
		reply.Error = event.AsError(err)
		reply.RetryAfterMS = reply.Error.RetryAfter.Milliseconds()
	}
	data, err := json.Marshal(reply)
	if err != nil {
		return // cannot happen: plain fields only
	}
	msg.Respond(data) //nolint:errcheck // the asker's timeout tells it
}

func (q *queries) answer(ctx context.Context, msg *nats.Msg, reply *event.QueryReply) error {
	request, err := event.Decode[event.QueryRequest](msg.Data)
	if err != nil {
		return err
	}
	if strings.TrimSpace(request.Text) == "" {
		return event.Invalid("text", "say what to look for", "is empty")
	}
	if err := request.RAG.Validate(); err != nil {
		return err
	}
	tenant := event.TenantOf(msg.Subject)
	if err := event.CheckName("tenant", tenant); err != nil {
		return err
	}
	asked := q.s.lookup(tenant, request.Text, &request.RAG)
	var receipt event.Receipt
	found, err := q.s.retrieve(ctx, &asked, &receipt)
	reply.Tokens, reply.CostNanoUSD = receipt.PromptTokens, receipt.CostNanoUSD
	if err != nil {
		return err
	}
	reply.Fusion, reply.Reranker, reply.Coverage = string(found.fusion), found.reranker, found.coverage
	for _, list := range found.lists {
		reply.Lists = append(reply.Lists, string(list))
	}
	for i := range found.passages {
		reply.Hits = append(reply.Hits, found.passages[i].hit(i+1))
	}
	return nil
}

func (p *passage) hit(number int) event.QueryHit {
	h := event.QueryHit{Source: p.event(number), Metadata: p.Chunk.Metadata, Fused: p.fused, Rerank: p.rerank}
	for list, place := range p.Lists {
		if h.Lists == nil {
			h.Lists = map[string]event.ListPlace{}
		}
		h.Lists[string(list)] = event.ListPlace{Rank: place.Rank, Score: place.Score}
	}
	return h
}
