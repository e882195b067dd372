package generator

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// down is a provider that is never to be had.
func down(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
	return llm.ChatResponse{}, event.Errorf(event.ClassUnavailable, "down")
}

// TestFallbackGoesBackToTheRouter: with the attempts made, and no result.
func TestFallbackGoesBackToTheRouter(t *testing.T) {
	t.Parallel()
	r := setup(t)
	routes := r.Subscribe("weir.steps.route.>")
	r.start(&llmtest.Fake{ChatFunc: down})
	task := ask("q1")
	task.Fallback, task.Hop = true, 3
	r.publish(task)
	got, msg := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask])
	if msg.Subject != event.RouteSubject(event.LaneInteractive, "acme") || got.Error.Class != event.ClassUnavailable || got.Task.Hop != 3 {
		t.Errorf("%s: %+v", msg.Subject, got)
	}
	if n := len(got.Task.Receipt.Attempts); n != 2 {
		t.Errorf("%d attempts in the receipt, want 2: %+v", n, got.Task.Receipt)
	}
}

// TestAttemptsAreBounded: by the job's number, over what was tried before; the
// failed result says what was tried, the dead letter keeps the task.
func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	r := setup(t)
	dead := r.Subscribe("weir.dead.>")
	fake := &llmtest.Fake{ChatFunc: down}
	r.start(fake)
	task := ask("q1")
	task.MaxAttempts = 3
	task.Receipt.Add(event.Attempt{Model: "small", Error: event.ClassUnavailable})
	task.Receipt.Add(event.Attempt{Model: "embed", For: event.ForEmbed}) // is no attempt to answer
	r.publish(task)
	result := r.result("q1")
	if result.Status != event.StatusFailed || len(result.Receipt.Attempts) != 4 || len(fake.Chats()) != 2 {
		t.Errorf("%d calls, result %+v; want 2 calls and 4 attempts", len(fake.Chats()), result)
	}
	msg, err := dead.NextMsg(patience)
	if err != nil || msg.Header.Get(stage.HeaderErrorClass) != string(event.ClassUnavailable) {
		t.Errorf("dead letter %+v (%v)", msg, err)
	}
}

// TestMoneyIsBounded: a call that may cost more than is left is not made.
func TestMoneyIsBounded(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(priced)
	fake := &llmtest.Fake{ChatFunc: says("Hello.")}
	r.start(fake)
	task := ask("q1")
	task.MaxTokens, task.MaxCostNanoUSD = 100, 70_000 // 60,000 for the answer, and the prompt
	task.Receipt.Add(event.Attempt{Model: "embed", CostNanoUSD: 20_000})
	r.publish(task)
	result := r.result("q1")
	if result.Status != event.StatusFailed || result.Error.Field != "max_cost_nano_usd" || len(fake.Chats()) != 0 {
		t.Errorf("%d calls, result %+v", len(fake.Chats()), result.Error)
	}
	task.ID, task.MaxCostNanoUSD = "q2", 100_000
	r.publish(task)
	r.ok("q2")
}

// TestLineIsStoredWithTheResult, and a later delivery takes the answer from it
// instead of calling again.
func TestLineIsStoredWithTheResult(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.models.set(priced)
	fake := &llmtest.Fake{ChatFunc: says("Hello.")}
	r.start(fake)
	r.publish(ask("q1"))
	if got := r.ok("q1").Receipt; got.CostNanoUSD != 10*150+3*600 {
		t.Errorf("receipt %+v", got)
	}
	rows, err := ledger.Ask(t.Context(), r.bus, ledger.Query{By: ledger.ByJob, Since: time.Now().Add(-time.Hour)})
	if err != nil || len(rows) != 1 || rows[0].CostNanoUSD != 10*150+3*600 || !strings.Contains(rows[0].Key, "q1") {
		t.Errorf("ledger %+v (%v), want the call", rows, err)
	}
}

// TestPaidAnswerIsReused: its worker died between the call and the result.
func TestPaidAnswerIsReused(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.publish(ask("q1"))
	r.deliverOnce()
	book := ledger.New(r.bus, nil)
	entry, err := book.Begin(t.Context(), ledger.Intent{Tenant: "acme", Job: "q1", Step: "generate-0", Epoch: 257, Worker: "dead", Model: "small", Estimate: 5})
	if err != nil {
		t.Fatal(err)
	}
	line := entry.Line()
	line.Usage, line.CostNanoUSD = llm.Usage{PromptTokens: 7, CompletionTokens: 2}, 5
	line.Answer = &ledger.Answer{Text: "Paid for already.", FinishReason: "stop"}
	if err := book.Record(t.Context(), line); err != nil {
		t.Fatal(err)
	}
	fake := &llmtest.Fake{ChatFunc: says("Paid twice.")}
	r.start(fake)
	got := r.ok("q1")
	if got.Answer.Text != "Paid for already." || len(fake.Chats()) != 0 {
		t.Errorf("%d calls, answer %q", len(fake.Chats()), got.Answer.Text)
	}
	if a := got.Receipt.Attempts; len(a) != 1 || !a[0].Reused || a[0].CostNanoUSD != 5 {
		t.Errorf("attempts %+v, want the reused one", a)
	}
}

// TestFollowsTheCatalog: a model that is added is served, one that is removed no
// longer, and again when it is back.
func TestFollowsTheCatalog(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{ChatFunc: says("Hello.")})
	r.publish(ask("q0"))
	r.ok("q0")
	other := strings.Replace(free, "id: small", "id: other", 1)
	task := ask("q1")
	task.Model = "other"
	r.publish(task) // waits for a catalog that knows it
	r.models.set(other)
	r.ok("q1")
	r.notPulled()
	r.publish(ask("q2"))
	task.ID = "q3"
	r.publish(task)
	r.ok("q3")
	if info := r.info(t.Context()); info.NumPending != 1 || info.NumAckPending != 0 {
		t.Errorf("%d tasks wait and %d are in work, want q2 to wait", info.NumPending, info.NumAckPending)
	}
	r.models.set(free)
	r.ok("q2")
	r.models.set(strings.Replace(free, "output: 0}]", "output: 0}], limits: {rpm: 600}", 1))
	r.publish(ask("q4"))
	r.ok("q4")
}

// TestNamedModelsAreServed: and no others; an alias names its model.
func TestNamedModelsAreServed(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.Models = []string{"tiny", "later"}
	r.models.set(strings.Replace(free, "models:", `models:
  - {id: other, aliases: [tiny], provider: sim, upstream: sim-other, mode: chat, price: [{input: 0, output: 0}]}`, 1))
	fake := &llmtest.Fake{ChatFunc: says("Hello.")}
	r.start(fake)
	r.publish(ask("q1"))
	task := ask("q2")
	task.Model = "other"
	r.publish(task)
	r.ok("q2")
	for _, call := range fake.Chats() {
		if call.Model != "sim-other" {
			t.Errorf("a call of %s", call.Model)
		}
	}
	if info, err := r.bus.ConsumerInfo(t.Context(), r.consumer()); err == nil {
		t.Errorf("small is served: %+v", info)
	}
}

// TestAnotherModelMay do what this one can't, but not what no model can.
func TestAnotherModelMay(t *testing.T) {
	t.Parallel()
	for class, may := range map[event.Class]bool{
		event.ClassTruncated: true, event.ClassInternal: true, event.ClassQuota: true, event.ClassAuth: true, event.ClassTooLarge: true,
		event.ClassInvalid: false, event.ClassContent: false,
	} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			routes := r.Subscribe("weir.steps.route.>")
			r.start(&llmtest.Fake{ChatFunc: func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
				return llm.ChatResponse{}, &event.Error{Class: class, Message: "no"}
			}})
			task := ask("q1")
			task.Fallback = true
			r.publish(task)
			if !may {
				if result := r.result("q1"); result.Error == nil || result.Error.Class != class {
					t.Errorf("result %+v, want failed as %s", result, class)
				}
				return
			}
			if got, _ := stagetest.Next(r.Kit, routes, event.Decode[event.RouteTask]); got.Error.Class != class || len(got.Task.Receipt.Attempts) == 0 {
				t.Errorf("%+v, want %s and the attempts", got, class)
			}
		})
	}
}

// lines sends what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// takeOver is a later delivery of a job's task at another worker.
func (r *rig) takeOver(job string) {
	r.t.Helper()
	_, err := ledger.New(r.bus, nil).Begin(r.t.Context(),
		ledger.Intent{Tenant: "acme", Job: job, Step: "generate-0", Epoch: 258, Worker: "later", Model: "small", Estimate: 5})
	if err != nil {
		r.t.Fatal(err)
	}
}

// leftAlone waits until the task was left to its later delivery, and checks that
// nothing else was done.
func (r *rig) leftAlone(logged lines) {
	r.t.Helper()
	for line := stagetest.Wait(r.t, logged, "word of the task"); !strings.Contains(line, "leaving message to a later delivery"); {
		line = stagetest.Wait(r.t, logged, "word of the task")
	}
	if info := r.info(r.t.Context()); info.NumAckPending != 1 || info.NumRedelivered != 0 {
		r.t.Errorf("%d tasks in work, %d of them again, want the one", info.NumAckPending, info.NumRedelivered)
	}
	for _, stream := range []string{bus.StreamResults, bus.StreamDead} {
		if n := r.stored(stream); n != 0 {
			r.t.Errorf("%s holds %d messages, want none", stream, n)
		}
	}
}

// TestFencedTaskIsLeftAlone: a worker that was frozen between the delivery and the
// call makes none.
func TestFencedTaskIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.takeOver("q1")
	fake, logged := &llmtest.Fake{ChatFunc: says("Hello.")}, make(lines, 100)
	r.log = slog.New(slog.NewTextHandler(logged, nil))
	r.start(fake)
	r.publish(ask("q1"))
	r.leftAlone(logged)
	if n := len(fake.Chats()); n != 0 {
		t.Errorf("%d calls, want none", n)
	}
}

// TestFencedBetweenCalls: the call that failed meanwhile is not made again.
func TestFencedBetweenCalls(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake, logged := &llmtest.Fake{}, make(lines, 100)
	fake.ChatFunc = func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		r.takeOver("q1")
		return down(ctx, req)
	}
	r.log = slog.New(slog.NewTextHandler(logged, nil))
	r.start(fake)
	r.publish(ask("q1"))
	r.leftAlone(logged)
	if n := len(fake.Chats()); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}
