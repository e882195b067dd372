package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
)

// queries answers requests on event.QueryRPC: what retrieval finds, and why.
type queries struct {
	s     *Service
	slots int // requests in work at once
	ready chan struct{}
}

func newQueries(s *Service, slots int) *queries {
	return &queries{s: s, slots: slots, ready: make(chan struct{})}
}

// Ready is closed when requests are taken.
func (q *queries) Ready() <-chan struct{} { return q.ready }

// queryTimeout bounds one request, the wait for a provider's limits included.
const queryTimeout = time.Minute

// Run answers until ctx ends, and then what it has taken until then.
func (q *queries) Run(ctx context.Context) error {
	stop, err := bus.Serve(q.s.nc, event.QueryRPC("*"), "router", q.slots, func(msg *nats.Msg) { q.reply(context.WithoutCancel(ctx), msg) })
	if err != nil {
		return fmt.Errorf("serving queries: %w", err)
	}
	close(q.ready)
	<-ctx.Done()
	stop()
	return nil
}

func (q *queries) reply(ctx context.Context, msg *nats.Msg) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	reply := event.QueryReply{V: event.Version}
	if err := q.answer(ctx, msg, &reply); err != nil {
		reply.Failure = event.FailureOf(err)
	}
	err := respond(msg, &reply)
	if errors.Is(err, nats.ErrMaxPayload) {
		tooLarge := &event.Error{Class: event.ClassTooLarge, Field: "rag.top_k", Message: fmt.Sprintf("%d passages are more than one message holds", len(reply.Hits)),
			Hint: "ask for fewer"}
		reply = event.QueryReply{V: event.Version, Failure: event.FailureOf(tooLarge), Tokens: reply.Tokens, CostNanoUSD: reply.CostNanoUSD}
		respond(msg, &reply) //nolint:errcheck // as below
	} // of other trouble the asker's timeout tells
}

func respond(msg *nats.Msg, reply *event.QueryReply) error {
	data, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	return msg.Respond(data)
}

func (q *queries) answer(ctx context.Context, msg *nats.Msg, reply *event.QueryReply) error {
	request, err := event.Decode[event.QueryRequest](msg.Data)
	if err != nil {
		return err
	}
	if strings.TrimSpace(request.Text) == "" {
		return event.Invalid("text", "say what to look for", "is empty")
	}
	if err := request.Validate(); err != nil {
		return err
	}
	tenant := event.TenantOf(msg.Subject)
	if err := event.CheckName("tenant", tenant); err != nil {
		return err
	}
	if err := q.s.ports.Catalog.Current().Permits(tenant, catalog.Use{Collection: request.Collection}); err != nil {
		return err
	}
	asked := q.s.lookup(tenant, request.Text, &request.RAG)
	var receipt event.Receipt
	found, err := q.s.retrieve(ctx, &asked, &receipt)
	reply.Tokens, reply.CostNanoUSD = receipt.PromptTokens, receipt.CostNanoUSD
	now := q.s.p.Now()
	lines := q.s.lines(ledger.Line{Tenant: tenant, Job: "query-" + event.NewID(now), Epoch: now.UnixMicro()}, receipt.Attempts)
	if bookErr := q.s.bus.Publish(context.WithoutCancel(ctx), lines...); err == nil {
		err = bookErr
	}
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
