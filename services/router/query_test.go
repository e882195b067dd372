package router

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// TestQuery: the passages with their texts and what each step thought of them.
func TestQuery(t *testing.T) {
	t.Parallel()
	a := hit("a", 1, 1, "A weir raises the river.")
	a.Score, a.Chunk.Section, a.Chunk.Prefix = 0.75, []string{"One"}, "Title > One\n\n"
	a.Lists = map[vector.List]vector.Place{vector.Dense: {Rank: 2, Score: 0.5}, vector.Grams: {Rank: 1, Score: 7}}
	r := setup(t, always(a)).embedder(vectors)
	state := row("a", 1, 3)
	state.Meta = vector.Meta{Source: "a.md", Title: "Title", Metadata: map[string]string{"team": "blue"}}
	r.becomes("a", state)
	reply, _ := r.found("Which river does a weir raise?", handbook)
	if len(reply.Hits) != 1 || reply.Tokens != 4 || reply.CostNanoUSD != 80 || reply.Fusion != "dbsf" ||
		!slices.Equal(reply.Lists, []string{"bm25", "dense", "grams"}) || reply.Coverage <= 0 || reply.Coverage > 1 {
		t.Fatalf("reply %+v", reply)
	}
	h := reply.Hits[0]
	if h.Number != 1 || h.Document != "a" || h.Source.Source != "a.md" || h.Title != "Title" || h.Score != 0.75 || h.Version != 1 ||
		h.Chunk != a.ID || h.Start != 200 || h.End != 300 || h.Text != a.Chunk.Text || h.Metadata["team"] != "blue" {
		t.Errorf("hit %+v", h)
	}
	if len(h.Lists) != 2 || h.Lists["dense"] != (event.ListPlace{Rank: 2, Score: 0.5}) || h.Lists["grams"] != (event.ListPlace{Rank: 1, Score: 7}) || h.Fused != 1 || h.Rerank != nil {
		t.Errorf("hit %+v, want its places", h)
	}
	r.noTask()
}

// TestNeighboursAreHitsOfTheirOwn: a query tells what was found, not what a prompt
// makes of it.
func TestNeighboursAreHitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	r := setup(t, always(hit("a", 1, 0, "One."), hit("a", 1, 1, "Two."))).embedder(vectors)
	r.becomes("a", row("a", 1, 2))
	if _, got := r.found("What?", handbook); len(got) != 2 {
		t.Errorf("found %q, want both", got)
	}
	if task := r.asked(question("What?")); len(task.Sources) != 1 || task.Sources[0].Text != "One.\n\nTwo." || task.Sources[0].End != 300 {
		t.Errorf("sources %+v, want one of both", task.Sources)
	}
}

// TestQueryErrors name the field.
func TestQueryErrors(t *testing.T) {
	t.Parallel()
	store := &fakeStore{count: func(vector.Scope) (int, error) { return 0, nil }}
	r := setup(t, store).embedder(vectors)
	for _, tc := range []struct {
		name, tenant, request, field string
		class                        event.Class
	}{
		{"no JSON", "acme", `hello`, "body", event.ClassInvalid},
		{"later version", "acme", `{"v":2,"text":"What?","collection":"handbook"}`, "v", event.ClassUnsupported},
		{"no text", "acme", `{"v":1,"collection":"handbook"}`, "text", event.ClassInvalid},
		{"blank text", "acme", `{"v":1,"text":" \n","collection":"handbook"}`, "text", event.ClassInvalid},
		{"no collection", "acme", `{"v":1,"text":"What?"}`, "rag.collection", event.ClassInvalid},
		{"top_k", "acme", `{"v":1,"text":"What?","collection":"handbook","top_k":101}`, "rag.top_k", event.ClassInvalid},
		{"reader", "acme", `{"v":1,"text":"What?","collection":"handbook","readers":["*"]}`, "rag.readers[0]", event.ClassInvalid},
		{"tenant", "a%b", `{"v":1,"text":"What?","collection":"handbook"}`, "tenant", event.ClassInvalid},
		{"unknown collection", "acme", `{"v":1,"text":"What?","collection":"handbook"}`, "rag.collection", event.ClassInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			msg, err := r.Bus.Conn().Request(event.QueryRPC(tc.tenant), []byte(tc.request), stagetest.Patience)
			if err != nil {
				t.Fatal(err)
			}
			reply, err := event.Decode[event.QueryReply](msg.Data)
			if err != nil || reply.Error == nil || reply.Error.Class != tc.class || reply.Error.Field != tc.field || reply.Error.Hint == "" || len(reply.Hits) != 0 {
				t.Errorf("reply %+v, error %+v (%v); want %s of %s with a hint", reply, reply.Error, err, tc.class, tc.field)
			}
			if tc.name == "unknown collection" && (!strings.Contains(reply.Error.Message, `"handbook"`) || reply.CostNanoUSD != 80) {
				t.Errorf("reply %+v, error %+v; want the collection and what the embedding cost", reply, reply.Error)
			}
		})
	}
	if n := len(store.queries()); n != 1 {
		t.Errorf("%d searches, want one: wrong requests cost nothing", n)
	}
}

// TestQueryTellsWhenToRetry: the embedder's word.
func TestQueryTellsWhenToRetry(t *testing.T) {
	t.Parallel()
	r := setup(t, &fakeStore{}).embedder(event.EmbedReply{Failure: event.Failure{Error: event.Errorf(event.ClassThrottled, "slow down"), RetryAfterMS: 1500}})
	_, err := r.look("What?", handbook)
	if got := event.AsError(err); got == nil || got.Class != event.ClassThrottled || got.RetryAfter.Milliseconds() != 1500 {
		t.Errorf("error %+v, want throttled for 1.5 s", got)
	}
}

// TestQueryTooLargeForAMessage is told, not left to the asker's timeout.
func TestQueryTooLargeForAMessage(t *testing.T) {
	t.Parallel()
	chunks := ranked(5)
	for i := range chunks {
		chunks[i].Text = strings.Repeat("x", 2<<20)
	}
	r := setup(t, finds(chunks...)).embedder(vectors)
	_, err := r.look("What?", handbook)
	if got := event.AsError(err); got == nil || got.Class != event.ClassTooLarge || got.Field != "rag.top_k" || got.Hint == "" {
		t.Errorf("error %v, want too large with a hint", err)
	}
	if _, got := r.found("What?", event.RAG{Collection: "handbook", TopK: 1}); len(got) != 1 {
		t.Errorf("found %q, want one", got)
	}
}

// TestManyQueries: all are answered, no more at once than there are slots; and the
// end of the service waits for them.
func TestManyQueries(t *testing.T) {
	t.Parallel()
	const slots, requests = 3, 200
	store := finds(vector.Chunk{Document: "d", Text: "x"})
	find := store.search
	var working, most atomic.Int32
	var nc *nats.Conn
	store.search = func(ctx context.Context, q vector.Query) ([]vector.Hit, error) {
		n := working.Add(1)
		defer working.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if err := nc.Flush(); err != nil { // takes a while
			t.Error(err)
		}
		return find(ctx, q)
	}
	r := setupWith(t, standIn, store, func(c *Config) { c.InteractiveSlots = slots })
	nc = r.Bus.Conn()
	var asking sync.WaitGroup
	for range requests {
		asking.Go(func() {
			if reply, err := r.look("Which x?", handbook); err != nil || len(reply.Hits) != 1 {
				t.Errorf("found %d (%v), want one", len(reply.Hits), err)
			}
		})
	}
	asking.Wait()
	if n := most.Load(); n < 1 || n > slots {
		t.Errorf("%d at once, want at most %d", n, slots)
	}
}

// someoneListens reports whether a router takes queries. It asks in vain: the
// version is none.
func (r *rig) someoneListens() bool {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.T.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Bus.Conn().RequestWithContext(ctx, event.QueryRPC("acme"), []byte(`{"v":0}`))
	return !errors.Is(err, nats.ErrNoResponders)
}

// TestQueriesEndWithTheService: what was taken is answered, later ones find nobody.
func TestQueriesEndWithTheService(t *testing.T) {
	t.Parallel()
	store := finds(vector.Chunk{Document: "d", Text: "x"})
	find, searching, goOn := store.search, make(chan struct{}, 10), make(chan struct{})
	store.search = func(ctx context.Context, q vector.Query) ([]vector.Hit, error) {
		searching <- struct{}{}
		<-goOn
		return find(ctx, q)
	}
	r := setupWith(t, standIn, store, func(c *Config) { c.InteractiveSlots = 1 })
	inbox := nats.NewInbox()
	replies := r.Subscribe(inbox)
	request, err := json.Marshal(event.QueryRequest{V: event.Version, Text: "Which x?", RAG: handbook})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // one in work, two wait
		if err := r.Bus.Conn().PublishRequest(event.QueryRPC("acme"), inbox, request); err != nil {
			t.Fatal(err)
		}
	}
	stagetest.Wait(t, searching, "a search")
	if err := r.Bus.Conn().Flush(); err != nil { // the others have come too
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.stop() }()
	for r.someoneListens() {
		if _, err := r.rows.Get(t.Context(), vector.Document{Scope: scope, ID: "d"}); err != nil { // takes a while
			t.Fatal(err)
		}
	}
	select {
	case <-stopped:
		t.Error("ended with a request in work")
	default:
	}
	close(goOn)
	stagetest.Wait(t, stopped, "the end of the service")
	for range 3 {
		if reply, _ := stagetest.Next(r.Kit, replies, event.Decode[event.QueryReply]); len(reply.Hits) != 1 {
			t.Errorf("reply %+v, error %+v", reply, reply.Error)
		}
	}
	if _, err := r.look("Which x?", handbook); !errors.Is(err, nats.ErrNoResponders) || event.AsError(err).Hint != "start a router" {
		t.Errorf("error %v, want nobody there", err)
	}
}
