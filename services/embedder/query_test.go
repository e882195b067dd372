package embedder

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// ask sends a request for query vectors.
func (r *rig) ask(data string) event.EmbedReply {
	r.T.Helper()
	msg, err := r.Bus.Conn().Request(event.EmbedRPC("embed"), []byte(data), patience)
	if err != nil {
		r.T.Fatal(err)
	}
	reply, err := event.Decode[event.EmbedReply](msg.Data)
	if err != nil {
		r.T.Fatal(err)
	}
	return reply
}

func TestQueryVectors(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{EmbedFunc: counted(5)}
	r.start(fake)
	reply := r.ask(`{"v":1,"inputs":["one","two"]}`)
	if reply.Error != nil || len(reply.Vectors) != 2 || reply.Tokens != 5 || reply.CostNanoUSD != 100 {
		t.Fatalf("reply %+v, want two vectors, 5 tokens, 100 nano-USD", reply)
	}
	for i, text := range []string{"one", "two"} {
		if !slices.Equal(reply.Vectors[i], llmtest.Vector(text, 4)) {
			t.Errorf("vector %d is not that of %q", i, text)
		}
	}
	if calls := fake.Embeds(); len(calls) != 1 || calls[0].Model != "sim-embed" || calls[0].Dimensions != 4 {
		t.Errorf("calls %+v, want one with the provider's model and 4 dimensions", calls)
	}
}

func TestQueryErrors(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{EmbedFunc: poisoned}
	r.start(fake)
	many, err := json.Marshal(event.EmbedRequest{V: event.Version, Inputs: make([]string, maxQueryInputs+1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, request, field string
		class                event.Class
	}{
		{"no JSON", "hello", "body", event.ClassInvalid},
		{"no inputs", `{"v":1}`, "inputs", event.ClassInvalid},
		{"too many", string(many), "inputs", event.ClassInvalid},
		{"wrong type", `{"v":1,"inputs":"one"}`, "inputs", event.ClassInvalid},
		{"later version", `{"v":2,"inputs":["one"]}`, "v", event.ClassUnsupported},
		{"provider", `{"v":1,"inputs":["poison"]}`, "input", event.ClassInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			reply := r.ask(tc.request)
			if reply.Error == nil || reply.Error.Class != tc.class || reply.Error.Field != tc.field || reply.Error.Hint == "" {
				t.Errorf("reply %+v, error %+v; want %s of field %s with a hint", reply, reply.Error, tc.class, tc.field)
			}
			if len(reply.Vectors) > 0 {
				t.Errorf("%d vectors with an error", len(reply.Vectors))
			}
		})
	}
	if n := len(fake.Embeds()); n != 1 {
		t.Errorf("%d calls to the provider, want 1: bad requests cost nothing", n)
	}
}

// TestQueriesAreShared: of two embedders exactly one answers each request.
func TestQueriesAreShared(t *testing.T) {
	t.Parallel()
	r := setup(t)
	first, second := &llmtest.Fake{}, &llmtest.Fake{}
	r.start(first)
	r.start(second)
	const n = 40
	for i := range n {
		if reply := r.ask(fmt.Sprintf(`{"v":1,"inputs":["question %d"]}`, i)); reply.Error != nil {
			t.Fatal(reply.Error)
		}
	}
	a, b := len(first.Embeds()), len(second.Embeds())
	if a+b != n || a == 0 || b == 0 {
		t.Errorf("the embedders answered %d and %d requests, want a share of %d each", a, b, n)
	}
}

// TestSignsOfLife: who asked is told, each second, that the answer is still to come.
func TestSignsOfLife(t *testing.T) {
	t.Parallel()
	r := setup(t)
	release := make(chan struct{})
	answer := sync.OnceFunc(func() { close(release) })
	defer answer() // whatever fails, the embedder must end
	r.start(&llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		<-release
		return counted(1)(ctx, req)
	}})
	inbox := r.Bus.Conn().NewInbox()
	replies := r.Subscribe(inbox)
	sent := time.Now()
	if err := r.Bus.Conn().PublishRequest(event.EmbedRPC("embed"), inbox, []byte(`{"v":1,"inputs":["one"]}`)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if sign, _ := stagetest.Next(r.Kit, replies, event.Decode[event.EmbedReply]); !sign.Working || sign.Error != nil || len(sign.Vectors) != 0 {
			t.Errorf("reply %+v, want a sign of life", sign)
		}
	}
	if d := time.Since(sent); d < 2*signEvery {
		t.Errorf("two signs within %s", d)
	}
	answer()
	reply, _ := stagetest.Next(r.Kit, replies, event.Decode[event.EmbedReply])
	for reply.Working { // one more may have been on its way
		reply, _ = stagetest.Next(r.Kit, replies, event.Decode[event.EmbedReply])
	}
	if len(reply.Vectors) != 1 || reply.Error != nil {
		t.Errorf("reply %+v, want the vector", reply)
	}
}
