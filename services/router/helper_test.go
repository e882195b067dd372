package router

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/vector"
)

// patience bounds every wait; a passing test needs a fraction of it.
const patience = 30 * time.Second

// fakeStore finds what its functions say; without them, nothing in a collection
// that exists. The writes of the port are not there: the router never writes.
type fakeStore struct {
	vector.Store
	search func(ctx context.Context, q vector.Query) ([]vector.Hit, error)
	count  func(scope vector.Scope) (int, error)

	mu       sync.Mutex
	searched []vector.Query
	indexes  []vector.Index
}

func (s *fakeStore) Search(ctx context.Context, idx vector.Index, q vector.Query) ([]vector.Hit, error) {
	s.mu.Lock()
	s.searched, s.indexes = append(s.searched, q), append(s.indexes, idx)
	s.mu.Unlock()
	if s.search != nil {
		return s.search(ctx, q)
	}
	return nil, nil
}

func (s *fakeStore) Count(_ context.Context, _ vector.Index, scope vector.Scope) (int, error) {
	if s.count != nil {
		return s.count(scope)
	}
	return 1, nil
}

func (s *fakeStore) queries() []vector.Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.searched)
}

// finds makes a store that always finds these chunks.
func finds(chunks ...vector.Chunk) *fakeStore {
	hits := make([]vector.Hit, len(chunks))
	for i, c := range chunks {
		hits[i] = vector.Hit{ID: fmt.Sprint(i), Score: 1 - float32(i)/10, Chunk: c}
	}
	return &fakeStore{search: func(context.Context, vector.Query) ([]vector.Hit, error) { return hits, nil }}
}

// rig is a running router on a NATS server of its own.
type rig struct {
	t      *testing.T
	bus    *bus.Bus
	client *client.Client
	store  *fakeStore
	tasks  *nats.Subscription
	lives  *nats.Subscription
}

// setup runs a router over store. It has no embedder: see rig.embedder.
func setup(t *testing.T, store *fakeStore, change ...func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Dimensions = 2
	for _, f := range change {
		f(&cfg)
	}
	b, _ := bustest.New(t)
	c, err := client.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, bus: b, client: c, store: store, tasks: subscribe(t, b, "weir.steps.generate.>"), lives: subscribe(t, b, "weir.events.>")}
	s, err := New(platform.Platform{NATS: b.Conn()}, cfg, store)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	return r
}

// run runs the service until the test ends and waits until it is ready.
func run(t *testing.T, s *Service) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("router ended with: %v", err)
		}
	})
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatal("the router is not ready")
	}
}

func subscribe(t *testing.T, b *bus.Bus, subject string) *nats.Subscription {
	t.Helper()
	sub, err := b.Conn().SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// embedder answers requests for query vectors with reply until the test ends.
func (r *rig) embedder(reply event.EmbedReply) *rig {
	r.t.Helper()
	reply.V = event.Version
	data, err := json.Marshal(reply)
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = r.bus.Conn().Subscribe(event.EmbedRPC("embed"), func(m *nats.Msg) {
		m.Respond(data) //nolint:errcheck // the test's wait tells it
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return r
}

// vectors is an embedder's usual answer.
var vectors = event.EmbedReply{Vectors: [][]float32{{0.6, 0.8}}, Tokens: 4, CostNanoUSD: 80}

// question is a grounded job about the collection handbook.
func question(text string) event.GenerateJob {
	return event.GenerateJob{Messages: []event.Message{{Role: "user", Content: text}}, RAG: &event.RAG{Collection: "handbook"}}
}

// submit sends a job of tenant acme and returns its id.
func (r *rig) submit(job event.GenerateJob) string {
	r.t.Helper()
	id, err := r.client.Generate(r.t.Context(), "acme", job)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// task is the next message to a generator.
func (r *rig) task() (event.GenerateTask, string) {
	r.t.Helper()
	msg, err := r.tasks.NextMsg(patience)
	if err != nil {
		r.t.Fatalf("waiting for a task: %v", err)
	}
	task, err := event.Decode[event.GenerateTask](msg.Data)
	if err != nil {
		r.t.Fatal(err)
	}
	return task, msg.Subject
}

// life is the next event of a type.
func (r *rig) life(kind string) event.Life {
	r.t.Helper()
	for {
		msg, err := r.lives.NextMsg(patience)
		if err != nil {
			r.t.Fatalf("waiting for a life event %q: %v", kind, err)
		}
		if life, err := event.Decode[event.Life](msg.Data); err == nil && life.Type == kind {
			return life
		}
	}
}

// failure is the error of a job that must fail.
func (r *rig) failure(id string) *event.Error {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	result, err := r.client.Await(ctx, "acme", id)
	if err != nil {
		r.t.Fatal(err)
	}
	if result.Status != event.StatusFailed || result.Error == nil {
		r.t.Fatalf("result %+v, want a failed one", result)
	}
	return result.Error
}
