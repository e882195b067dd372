package generator

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
)

// pieces is a provider that streams texts, each after its delay.
func pieces(c *clock, delays []time.Duration, texts ...string) func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
	return func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		whole := ""
		for i, text := range texts {
			c.advance(delays[i])
			if err := req.OnDelta(text); err != nil {
				return llm.ChatResponse{}, err
			}
			whole += text
		}
		return llm.ChatResponse{Text: whole, FinishReason: "stop"}, nil
	}
}

// TestDeltasAreJoined: the first goes out at once, the others at most every
// tokenEvery, and the rest at the end.
func TestDeltasAreJoined(t *testing.T) {
	t.Parallel()
	r := setup(t)
	delays := []time.Duration{400 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond, 29 * time.Millisecond, 0}
	r.start(&llmtest.Fake{ChatFunc: pieces(r.clock, delays, "a", "b", "c", "d", "e", "f")})
	task := ask("q1")
	task.Stream = true
	r.publish(task)
	token := func(offset int, text string) event.Token {
		return event.Token{V: 1, ID: "q1", Type: event.TokenDelta, Epoch: 257<<event.EpochBits + 1, Offset: offset, Text: text}
	}
	want := []event.Token{token(0, "a"), token(1, "bcd"), token(4, "ef"), {V: 1, ID: "q1", Type: event.TokenDone, Epoch: 257<<event.EpochBits + 1, Offset: 6}}
	if got := r.stream(); !reflect.DeepEqual(got, want) {
		t.Errorf("tokens\n got %+v\nwant %+v", got, want)
	}
	attempt := r.ok("q1").Receipt.Attempts[0]
	if attempt.TTFTMS != 400 || attempt.DurationMS != 459 {
		t.Errorf("first token after %.0f ms of %.0f, want 400 of 459", attempt.TTFTMS, attempt.DurationMS)
	}
}

// TestNoStream: nobody asked for the pieces.
func TestNoStream(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{ChatFunc: says("Hello.")})
	r.publish(ask("q1"))
	if got := r.ok("q1"); got.Answer.Text != "Hello." {
		t.Errorf("answer %q", got.Answer.Text)
	}
	if err := r.bus.Conn().Flush(); err != nil { // what was sent before has arrived
		t.Fatal(err)
	}
	if n, _, err := r.tokens.Pending(); n != 0 || err != nil {
		t.Errorf("%d token messages (%v), want none", n, err)
	}
}

// TestRetriedAttemptHasItsOwnEpoch: a reader drops what the broken one sent.
func TestRetriedAttemptHasItsOwnEpoch(t *testing.T) {
	t.Parallel()
	for _, class := range []event.Class{event.ClassTruncated, event.ClassUnavailable, event.ClassThrottled, event.ClassInternal} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			fake := &llmtest.Fake{}
			fake.ChatFunc = func(ctx context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
				if len(fake.Chats()) == 1 {
					_ = req.OnDelta("Half an ans")
					return llm.ChatResponse{}, event.Errorf(class, "broke off")
				}
				return says("A whole answer.")(ctx, req)
			}
			r.start(fake)
			task := ask("q1")
			task.Stream = true
			r.publish(task)
			if got := r.ok("q1").Answer.Text; got != "A whole answer." {
				t.Errorf("answer %q, want that of the second attempt", got)
			}
			var epochs []int64
			for _, token := range r.stream() {
				epochs = append(epochs, token.Epoch)
			}
			if want := []int64{257<<event.EpochBits + 1, 257<<event.EpochBits + 2, 257<<event.EpochBits + 2}; !reflect.DeepEqual(epochs, want) {
				t.Errorf("epochs %v, want %v", epochs, want)
			}
			if calls := fake.Chats(); len(calls) != 2 || calls[0].IdempotencyKey == "" || calls[0].IdempotencyKey != calls[1].IdempotencyKey {
				t.Errorf("idempotency keys of %+v, want one key twice", calls)
			}
		})
	}
}

// TestTruncatedIsNeverStored: not even when no attempt is left.
func TestTruncatedIsNeverStored(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake := &llmtest.Fake{ChatFunc: func(_ context.Context, req llm.ChatRequest) (llm.ChatResponse, error) {
		_ = req.OnDelta("Half an ans")
		return llm.ChatResponse{Text: "Half an ans"}, event.Errorf(event.ClassTruncated, "broke off")
	}}
	r.start(fake)
	task := ask("q1")
	task.MaxAttempts = 2
	r.publish(task)
	result := r.result("q1")
	if result.Status != event.StatusFailed || result.Answer != nil || result.Error.Class != event.ClassTruncated {
		t.Errorf("result %+v, want failed as truncated, without an answer", result)
	}
	if n := len(fake.Chats()); n != 2 {
		t.Errorf("%d calls, want 2", n)
	}
}

// TestHopelessErrorsFailAtOnce: one call, and a result that says why.
func TestHopelessErrorsFailAtOnce(t *testing.T) {
	t.Parallel()
	for _, class := range []event.Class{event.ClassInvalid, event.ClassTooLarge, event.ClassAuth, event.ClassQuota, event.ClassContent} {
		t.Run(string(class), func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			fake := &llmtest.Fake{ChatFunc: func(context.Context, llm.ChatRequest) (llm.ChatResponse, error) {
				return llm.ChatResponse{}, &event.Error{Class: class, Field: "messages", Message: "no", Hint: "do that"}
			}}
			r.start(fake)
			task := ask("q1")
			task.Receipt.Add(event.Attempt{Model: "embed", PromptTokens: 4, CostNanoUSD: 80})
			r.publish(task)
			result := r.result("q1")
			if result.Status != event.StatusFailed || result.Kind != event.KindGenerate || result.Answer != nil ||
				!reflect.DeepEqual(result.Error, &event.Error{Class: class, Field: "messages", Message: "no", Hint: "do that"}) {
				t.Errorf("result %+v, error %+v; want the provider's error", result, result.Error)
			}
			if result.Receipt.CostNanoUSD != 80 {
				t.Errorf("receipt %+v, want what was paid before", result.Receipt)
			}
			if n := len(fake.Chats()); n != 1 {
				t.Errorf("%d calls, want 1", n)
			}
		})
	}
}

// TestFinishedTaskCallsNobody: its worker died between the result and the ack.
func TestFinishedTaskCallsNobody(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.publish(ask("q1"))
	r.deliverOnce()
	r.storeResult("q1", "The first answer.")
	fake := &llmtest.Fake{ChatFunc: says("Paid twice.")}
	r.start(fake)
	r.publish(ask("q2")) // behind q1: when it is done, q1 was taken
	r.ok("q2")
	r.drained()
	for _, call := range fake.Chats() {
		if call.IdempotencyKey[:len("acme.q1")] == "acme.q1" {
			t.Error("the finished task was sent to the provider again")
		}
	}
	if got := r.ok("q1").Answer.Text; got != "The first answer." {
		t.Errorf("answer %q, want the first one", got)
	}
}

// TestRedeliveredTaskIsAnswered: the same, but without a result: the epoch and
// the key tell that it is the second delivery of the same task.
func TestRedeliveredTaskIsAnswered(t *testing.T) {
	t.Parallel()
	r := setup(t)
	task := ask("q1")
	task.Stream = true
	r.publish(task)
	r.deliverOnce()
	fake := &llmtest.Fake{ChatFunc: says("Hello.")}
	r.start(fake)
	r.ok("q1")
	for _, token := range r.stream() {
		if token.Epoch != 258<<event.EpochBits+1 {
			t.Errorf("token %+v, want the epoch of the second delivery", token)
		}
	}
}
