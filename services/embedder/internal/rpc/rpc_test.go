package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/services/embedder/internal/batch"
)

// patience bounds every wait.
const patience = stagetest.Patience

// querier answers with what its function says.
type querier func(ctx context.Context, model string, texts []string) (batch.Answer, error)

// Query implements Querier.
func (q querier) Query(ctx context.Context, model string, texts []string) (batch.Answer, error) {
	return q(ctx, model, texts)
}

// lengths answers with a vector of each text's length.
func lengths(_ context.Context, _ string, texts []string) (batch.Answer, error) {
	out := batch.Answer{Tokens: 5, CostNanoUSD: 100}
	for _, text := range texts {
		out.Vectors = append(out.Vectors, []float32{float32(len(text))})
	}
	return out, nil
}

// serve answers query requests until the test ends or stop is called.
func serve(t *testing.T, k *stagetest.Kit, q querier, change func(*Queries)) (stop func()) {
	t.Helper()
	s := &Queries{NC: k.Bus.Conn(), Pool: "embed", Timeout: patience, Querier: q,
		Model: func(context.Context) (string, error) { return "embed-2", nil }}
	if change != nil {
		change(s)
	}
	stop, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return stop
}

// ask sends a request and takes the first reply.
func ask[T any](k *stagetest.Kit, subject, data string, decode func([]byte) (T, error)) T {
	k.T.Helper()
	msg, err := k.Bus.Conn().Request(subject, []byte(data), patience)
	if err != nil {
		k.T.Fatal(err)
	}
	reply, err := decode(msg.Data)
	if err != nil {
		k.T.Fatal(err)
	}
	return reply
}

func embed(k *stagetest.Kit, data string) event.EmbedReply {
	return ask(k, event.EmbedRPC("embed"), data, event.Decode[event.EmbedReply])
}

func TestQueryVectors(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	var asked string
	serve(t, k, func(ctx context.Context, model string, texts []string) (batch.Answer, error) {
		asked = model
		return lengths(ctx, model, texts)
	}, nil)
	reply := embed(k, `{"v":1,"inputs":["one","three"]}`)
	if reply.Error != nil || reply.Model != "embed-2" || asked != "embed-2" || reply.Tokens != 5 || reply.CostNanoUSD != 100 ||
		len(reply.Vectors) != 2 || reply.Vectors[0][0] != 3 || reply.Vectors[1][0] != 5 {
		t.Errorf("reply %+v of model %q", reply, asked)
	}
}

func TestQueryErrors(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	calls := 0
	model := func(context.Context) (string, error) { return "embed", nil }
	serve(t, k, func(context.Context, string, []string) (batch.Answer, error) {
		calls++
		return batch.Answer{}, &event.Error{Class: event.ClassThrottled, Message: "later", RetryAfter: 1500 * time.Millisecond}
	}, func(q *Queries) { q.Model = func(ctx context.Context) (string, error) { return model(ctx) } })
	many, err := json.Marshal(event.EmbedRequest{V: event.Version, Inputs: make([]string, MaxInputs+1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, request, field string
		class                event.Class
		retryMS              int64
	}{
		{"no JSON", "hello", "body", event.ClassInvalid, 0},
		{"no inputs", `{"v":1}`, "inputs", event.ClassInvalid, 0},
		{"too many", string(many), "inputs", event.ClassInvalid, 0},
		{"wrong type", `{"v":1,"inputs":"one"}`, "inputs", event.ClassInvalid, 0},
		{"later version", `{"v":2,"inputs":["one"]}`, "v", event.ClassUnsupported, 0},
		{"provider", `{"v":1,"inputs":["one"]}`, "", event.ClassThrottled, 1500},
	} {
		reply := embed(k, tc.request)
		if e := reply.Error; e == nil || e.Class != tc.class || e.Field != tc.field || reply.RetryAfterMS != tc.retryMS || len(reply.Vectors) > 0 || reply.Model != "" {
			t.Errorf("%s: reply %+v, error %+v; want %s of field %q", tc.name, reply, e, tc.class, tc.field)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls, want 1: bad requests cost nothing", calls)
	}
	model = func(context.Context) (string, error) { return "", event.Errorf(event.ClassUnavailable, "no state") }
	if reply := embed(k, `{"v":1,"inputs":["one"]}`); reply.Error == nil || reply.Error.Class != event.ClassUnavailable {
		t.Errorf("without a model: %+v", reply)
	}
}

// TestQueriesAreShared: of two processes exactly one answers each request.
func TestQueriesAreShared(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	var mu sync.Mutex
	calls := [2]int{}
	for i := range calls {
		serve(t, k, func(ctx context.Context, model string, texts []string) (batch.Answer, error) {
			mu.Lock()
			calls[i]++
			mu.Unlock()
			return lengths(ctx, model, texts)
		}, nil)
	}
	const n = 40
	for i := range n {
		if reply := embed(k, fmt.Sprintf(`{"v":1,"inputs":["question %d"]}`, i)); reply.Error != nil {
			t.Fatal(reply.Error)
		}
	}
	if calls[0]+calls[1] != n || calls[0] == 0 || calls[1] == 0 {
		t.Errorf("%v requests answered, want a share of %d each", calls, n)
	}
}

// TestSignsOfLife: who asked is told, each second, that the answer is still to
// come, and nothing after it; a stop waits for the answer.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	release := make(chan struct{})
	answer := sync.OnceFunc(func() { close(release) })
	defer answer() // whatever fails, the server must end
	stop := serve(t, k, func(ctx context.Context, model string, texts []string) (batch.Answer, error) {
		<-release
		return lengths(ctx, model, texts)
	}, nil)
	inbox := k.Bus.Conn().NewInbox()
	replies := k.Subscribe(inbox)
	sent := time.Now()
	if err := k.Bus.Conn().PublishRequest(event.EmbedRPC("embed"), inbox, []byte(`{"v":1,"inputs":["one"]}`)); err != nil {
		t.Fatal(err)
	}
	next := func() event.EmbedReply {
		reply, _ := stagetest.Next(k, replies, event.Decode[event.EmbedReply])
		return reply
	}
	for range 2 {
		if sign := next(); !sign.Working || sign.Error != nil || len(sign.Vectors) != 0 {
			t.Errorf("reply %+v, want a sign of life", sign)
		}
	}
	if d := time.Since(sent); d < 2*signEvery {
		t.Errorf("two signs within %s", d)
	}
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	answer()
	reply := next()
	for reply.Working { // one more may have been on its way
		reply = next()
	}
	if len(reply.Vectors) != 1 || reply.Error != nil {
		t.Errorf("reply %+v, want the vector", reply)
	}
	stagetest.Wait(t, stopped, "the end")
	if _, err := k.Bus.Conn().Request(event.EmbedRPC("embed"), []byte(`{"v":1}`), patience); err == nil {
		t.Error("a stopped server answered")
	}
}

// TestQueryTimeout.
func TestQueryTimeout(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	serve(t, k, func(ctx context.Context, _ string, _ []string) (batch.Answer, error) {
		<-ctx.Done()
		return batch.Answer{}, fmt.Errorf("waiting: %w", context.Cause(ctx))
	}, func(q *Queries) { q.Timeout = 20 * time.Millisecond })
	if reply := embed(k, `{"v":1,"inputs":["one"]}`); reply.Error == nil || reply.Error.Class != event.ClassDeadline {
		t.Errorf("reply %+v, want the deadline", reply)
	}
}

// TestStartFails on a connection that is closed.
func TestStartFails(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	nc := k.Bus.Conn()
	nc.Close()
	if _, err := (&Queries{NC: nc, Pool: "embed"}).Start(); err == nil {
		t.Error("no error")
	}
	if _, err := rerankers(t, k, errNothing).Start(); err == nil {
		t.Error("no error of the rerankers")
	}
}

var errNothing = errors.New("nothing to rerank")
