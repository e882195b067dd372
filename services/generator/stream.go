package generator

import (
	"context"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// tokenEvery is the least time between two token messages: what arrives faster
// is joined, which a reader does not notice.
const tokenEvery = 30 * time.Millisecond

// tokenStream publishes the pieces of one attempt's answer. A reader of a
// higher epoch drops what an earlier, broken one had sent.
type tokenStream struct {
	bus     *bus.Bus
	now     func() time.Time
	task    *event.GenerateTask
	epoch   int64
	held    bool // what arrives is not shown
	shown   []byte
	pending []byte
	sent    time.Time
}

// restart begins another call's answer: readers drop what came before.
func (t *tokenStream) restart() {
	t.epoch++
	t.pending, t.shown = t.pending[:0], t.shown[:0]
}

// delta takes a piece of text. Pieces are a view of the answer, so trouble in
// publishing them never fails the call.
func (t *tokenStream) delta(text string) error {
	now := t.now()
	if !t.task.Stream || t.held || t.task.Shadow != nil {
		return nil
	}
	t.pending, t.shown = append(t.pending, text...), append(t.shown, text...)
	if now.Sub(t.sent) >= tokenEvery {
		t.flush(now)
	}
	return nil
}

// show makes the accepted answer what readers have, if they don't have it yet.
func (t *tokenStream) show(text string, now time.Time) {
	if t.held || string(t.shown) != text {
		t.held = false
		t.restart()
		t.delta(text) //nolint:errcheck // never fails
	}
	t.flush(now)
}

func (t *tokenStream) flush(now time.Time) {
	if len(t.pending) == 0 {
		return
	}
	out, err := t.out(event.TokenDelta, string(t.pending))
	if err == nil {
		err = t.bus.Publish(context.Background(), out) // a view: does not wait
	}
	if err == nil {
		t.pending = t.pending[:0]
	}
	t.sent = now
}

// done is the end mark, published with the result.
func (t *tokenStream) done() []bus.Out {
	if !t.task.Stream {
		return nil
	}
	out, err := t.out(event.TokenDone, "")
	if err != nil {
		return nil
	}
	return []bus.Out{out}
}

func (t *tokenStream) out(kind, text string) (bus.Out, error) {
	out, err := stage.JSONOut(event.TokenSubject(t.task.Tenant, t.task.ID), "",
		event.Token{V: event.Version, ID: t.task.ID, Type: kind, Epoch: t.epoch, Offset: len(t.shown) - len(t.pending), Text: text})
	out.View = true
	return out, err
}
