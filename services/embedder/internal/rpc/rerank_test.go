package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

const judges = `
version: 1
providers: [{id: local, base_url: "http://127.0.0.1:1/v1", dialect: tei}]
models:
  - {id: embed, provider: local, upstream: e, mode: embedding, dimensions: 4, price: [{input: 20}]}
  - {id: judge, provider: local, upstream: j, mode: rerank, batch: {items: 3}}
`

// reranker scores a passage by the number in it, or fails.
type reranker struct {
	err error

	mu    sync.Mutex
	calls []llm.RerankRequest
	call  guard.Call
}

// Rerank implements Reranker.
func (r *reranker) Rerank(_ context.Context, c guard.Call, req llm.RerankRequest) (llm.RerankResponse, guard.Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.call = append(r.calls, req), c
	if r.err != nil {
		return llm.RerankResponse{}, guard.Report{}, r.err
	}
	resp := llm.RerankResponse{Usage: llm.Usage{PromptTokens: len(req.Documents)}}
	for i, text := range slices.Backward(req.Documents) { // in no useful order
		var score float64
		fmt.Sscan(text, &score)
		resp.Results = append(resp.Results, llm.Ranked{Index: i, Score: score})
	}
	return resp, guard.Report{Attempts: []event.Attempt{{CostNanoUSD: 4}, {CostNanoUSD: 3}}}, nil
}

func watched(t *testing.T, text string) *catalog.Watcher {
	t.Helper()
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return catalog.NewWatcher(catalog.WatcherConfig{}, c)
}

func rerankers(t *testing.T, k *stagetest.Kit, err error) *Rerankers {
	return &Rerankers{NC: k.Bus.Conn(), Catalog: watched(t, judges), Reranker: &reranker{err: err}, Timeout: patience, Calls: 2, Logger: slog.New(slog.DiscardHandler)}
}

func started(t *testing.T, r *Rerankers) (stop func()) {
	t.Helper()
	stop, err := r.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return stop
}

func rerank(k *stagetest.Kit, data string) event.RerankReply {
	return ask(k, event.RerankRPC("judge"), data, event.Decode[event.RerankReply])
}

// TestRerank: a score per passage in their order, in calls of what the model takes.
func TestRerank(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	r := rerankers(t, k, nil)
	started(t, r)
	reply := rerank(k, `{"v":1,"query":"which?","passages":["0.5","-2","7","0","1","3","0.25"]}`)
	if want := []float64{0.5, -2, 7, 0, 1, 3, 0.25}; reply.Error != nil || !slices.Equal(reply.Scores, want) || reply.Tokens != 7 || reply.CostNanoUSD != 21 {
		t.Errorf("reply %+v, want the scores %v, 7 tokens, 21 nano-USD", reply, want)
	}
	judge := r.Reranker.(*reranker)
	if len(judge.calls) != 3 || judge.calls[0].Query != "which?" || judge.call.Model != "judge" || judge.call.Lane != event.LaneInteractive || judge.call.Attempts == 0 {
		t.Errorf("calls %+v as %+v, want three", judge.calls, judge.call)
	}
}

func TestRerankErrors(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	r := rerankers(t, k, &event.Error{Class: event.ClassUnavailable, Message: "down", RetryAfter: time.Second})
	started(t, r)
	many, err := json.Marshal(event.RerankRequest{V: event.Version, Query: "q", Passages: make([]string, maxPassages+1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, request, field string
		class                event.Class
		retryMS              int64
	}{
		{"no JSON", "hello", "body", event.ClassInvalid, 0},
		{"no query", `{"v":1,"passages":["a"]}`, "query", event.ClassInvalid, 0},
		{"no passages", `{"v":1,"query":"q"}`, "passages", event.ClassInvalid, 0},
		{"too many", string(many), "passages", event.ClassInvalid, 0},
		{"later version", `{"v":2,"query":"q","passages":["a"]}`, "v", event.ClassUnsupported, 0},
		{"provider", `{"v":1,"query":"q","passages":["a","b","c","d"]}`, "", event.ClassUnavailable, 1000},
	} {
		reply := rerank(k, tc.request)
		if e := reply.Error; e == nil || e.Class != tc.class || e.Field != tc.field || reply.RetryAfterMS != tc.retryMS || len(reply.Scores) > 0 {
			t.Errorf("%s: reply %+v, error %+v; want %s of field %q", tc.name, reply, e, tc.class, tc.field)
		}
	}
}

// TestRerankersFollowTheCatalog: models come and go while it runs.
func TestRerankersFollowTheCatalog(t *testing.T) {
	t.Parallel()
	k := stagetest.New(t)
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(judges)
	c, err := catalog.Load(file, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w := catalog.NewWatcher(catalog.WatcherConfig{Files: catalog.Files{Catalog: file}, Interval: 5 * time.Millisecond}, c)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go w.Run(ctx)
	r := rerankers(t, k, nil)
	r.Catalog = w
	stop := started(t, r)
	served := func(model string) bool {
		msg, err := k.Bus.Conn().Request(event.RerankRPC(model), []byte(`{"v":1,"query":"q","passages":["1"]}`), time.Second)
		// A request that a stopping server took along is not answered; askers ask again.
		if err != nil && !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, nats.ErrTimeout) {
			t.Fatal(err)
		}
		return err == nil && !strings.Contains(string(msg.Data), "error")
	}
	if !served("judge") || served("second") || served("embed") {
		t.Error("want judge served, and nothing else")
	}
	write(strings.Replace(judges, "{id: judge,", "{id: second,", 1))
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); served("judge") || !served("second"); <-tick.C {
		if time.Since(begin) > patience {
			t.Fatal("the new catalog's model is not served, or the old one still is")
		}
	}
	stop()
	if served("second") {
		t.Error("a stopped server answered")
	}
}

// TestParts: no call is over what the model takes, in passages, bytes or tokens,
// the query read with each passage.
func TestParts(t *testing.T) {
	t.Parallel()
	passages := []string{strings.Repeat("a", 36), strings.Repeat("b", 36), "c", "d"}
	for _, tc := range []struct {
		name  string
		batch catalog.Batch
		want  []part
	}{
		{"no limits", catalog.Batch{}, []part{{0, 4}}},
		{"items", catalog.Batch{Items: 3}, []part{{0, 3}, {3, 4}}},
		{"bytes", catalog.Batch{Bytes: 37}, []part{{0, 1}, {1, 3}, {3, 4}}},
		{"tokens", catalog.Batch{Tokens: 17}, []part{{0, 1}, {1, 2}, {2, 4}}}, // 10, 10, 1, 1 and 6 for the query with each
	} {
		got := parts(catalog.Model{Batch: tc.batch}, &event.RerankRequest{Query: strings.Repeat("q", 20), Passages: passages})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
