package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// reader shows what a stream tells, as a user of it would.
type reader struct {
	events chan client.StreamEvent
	ended  chan error
}

func streaming(ctx context.Context, c *client.Client, o client.StreamOptions) reader {
	r := reader{make(chan client.StreamEvent, 10_000), make(chan error, 1)}
	go func() {
		r.ended <- c.Stream(ctx, "acme", "j1", o, func(e client.StreamEvent) error {
			r.events <- e
			return nil
		})
	}()
	return r
}

// delta takes the next event, which is a piece of text, and returns its id.
func (r reader) delta(t *testing.T, text string) string {
	t.Helper()
	e := next(t, r.events)
	if e.Type != client.StreamDelta || e.Text != text || e.ID == "" {
		t.Fatalf("told %+v, want the text %q", e, text)
	}
	return e.ID
}

func (r reader) want(t *testing.T, kind client.StreamType) client.StreamEvent {
	t.Helper()
	e := next(t, r.events)
	if e.Type != kind {
		t.Fatalf("told %+v, want %s", e, kind)
	}
	return e
}

func (r reader) done(t *testing.T) {
	t.Helper()
	if e := r.want(t, client.StreamDone); e.Result == nil {
		t.Error("done without the result")
	}
	if err := next(t, r.ended); err != nil {
		t.Error(err)
	}
}

// piece publishes a piece of an answer with its offset.
func piece(t *testing.T, b *bus.Bus, epoch int64, offset int, text string) {
	t.Helper()
	store(t, b, event.TokenSubject("acme", "j1"), event.Token{V: 1, ID: "j1", Type: event.TokenDelta, Epoch: epoch, Offset: offset, Text: text})
}

// TestStreamGoesOn: behind the event that was seen last, wherever that was.
func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	first := streaming(t.Context(), c, client.StreamOptions{})
	piece(t, b, 1, 0, "so ")
	one := first.delta(t, "so ")
	token(t, b, "other", 1, "not mine")
	piece(t, b, 1, 3, "it ")
	two := first.delta(t, "it ")

	fromOne := streaming(t.Context(), c, client.StreamOptions{After: one})
	fromOne.delta(t, "it ")
	fromTwo := streaming(t.Context(), c, client.StreamOptions{After: two})
	piece(t, b, 1, 6, "is")
	fromTwo.delta(t, "is")
	fromOne.delta(t, "is")
	three := first.delta(t, "is")

	piece(t, b, 2, 0, "no")
	for _, r := range []reader{first, fromOne, fromTwo} {
		r.want(t, client.StreamRestart)
		r.delta(t, "no")
	}
	fromThree := streaming(t.Context(), c, client.StreamOptions{After: three})
	fromThree.want(t, client.StreamRestart)
	fromThree.delta(t, "no")
	answer(t, b, "j1", "nothing")
	var end string
	for _, r := range []reader{first, fromOne, fromTwo, fromThree} {
		end = r.delta(t, "thing")
		r.done(t)
	}
	// The reader that has it all, and those who come late.
	streaming(t.Context(), c, client.StreamOptions{After: end}).done(t)
	late := streaming(t.Context(), c, client.StreamOptions{})
	late.delta(t, "nothing")
	late.done(t)
	resumed := streaming(t.Context(), c, client.StreamOptions{After: three})
	resumed.want(t, client.StreamRestart)
	resumed.delta(t, "no")
	resumed.delta(t, "thing")
	resumed.done(t)
}

// TestStreamPlaceIsGone: the reader starts over with what there is.
func TestStreamPlaceIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after string
		known []event.Token // in the stream
		told  string
	}{
		"nothing is there":           {"7-1", nil, ""},
		"behind the end":             {"7-1", []event.Token{{Epoch: 1, Text: "ri"}}, "ri"},
		"another attempt's":          {"1-7", []event.Token{{Epoch: 1, Text: "ri"}}, "ri"},
		"another life of the stream": {"2-1", []event.Token{{Epoch: 1, Offset: 90, Text: "x"}, {Epoch: 1, Offset: 91, Text: "y"}}, ""},
		"a late piece of before":     {"2-1", []event.Token{{Epoch: 2, Text: "ri"}, {Epoch: 1, Text: "wrong"}}, "ri"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weir, b, _ := setup(t)
			for _, token := range c.known {
				token.V, token.ID, token.Type = 1, "j1", event.TokenDelta
				store(t, b, event.TokenSubject("acme", "j1"), token)
			}
			r := streaming(t.Context(), weir, client.StreamOptions{After: c.after})
			r.want(t, client.StreamRestart)
			if c.told != "" {
				r.delta(t, c.told)
			}
			answer(t, b, "j1", "right")
			r.delta(t, strings.TrimPrefix("right", c.told))
			r.done(t)
		})
	}
}

// TestStreamSlowReader: what does not wait for it in memory is read from the store,
// whole and in order.
func TestStreamSlowReader(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	var shown strings.Builder
	reached, resume := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		first := true
		ended <- c.Stream(t.Context(), "acme", "j1", client.StreamOptions{}, func(e client.StreamEvent) error {
			if e.Type == client.StreamRestart {
				return errors.New("told to restart")
			}
			if first {
				first = false
				close(reached)
				<-resume
			}
			shown.WriteString(e.Text)
			return nil
		})
	}()
	var text string
	for i := range 1000 {
		piece := fmt.Sprint(i, " ")
		store(t, b, event.TokenSubject("acme", "j1"), event.Token{V: 1, ID: "j1", Type: event.TokenDelta, Epoch: 1, Offset: len(text), Text: piece})
		text += piece
		if i == 0 {
			next(t, reached)
		}
	}
	answer(t, b, "j1", text+"end")
	close(resume)
	if err := next(t, ended); err != nil || shown.String() != text+"end" {
		t.Errorf("shown %d bytes of %d, %v", shown.Len(), len(text), err)
	}
}

// TestStreamLosesPieces: with the server's memory go the pieces in it. Those that
// come later don't fit on what was shown, so they wait for the result.
func TestStreamLosesPieces(t *testing.T) {
	t.Parallel()
	c, b, server := setup(t)
	r := streaming(t.Context(), c, client.StreamOptions{})
	piece(t, b, 1, 0, "a")
	r.delta(t, "a")
	server.Restart()
	up(t, b)
	if err := b.Ensure(t.Context(), bus.DefaultLimits()); err != nil {
		t.Fatal(err)
	}
	piece(t, b, 1, 1, "b") // the next one, though at the same place as the first
	r.delta(t, "b")
	piece(t, b, 1, 7, "h") // those between are lost
	piece(t, b, 1, 8, "i")
	answer(t, b, "j1", "abcdefghi")
	r.delta(t, "cdefghi")
	r.done(t)
}

// TestStreamLateInANewLife: a reader that begins when the first pieces are lost shows
// nothing that is not the answer.
func TestStreamLateInANewLife(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	piece(t, b, 1, 7, "h")
	r := streaming(t.Context(), c, client.StreamOptions{})
	piece(t, b, 1, 8, "i")
	piece(t, b, 2, 0, "j")
	r.delta(t, "j")
	answer(t, b, "j1", "jk")
	r.delta(t, "k")
	r.done(t)
}

func TestStreamFailedJob(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	r := streaming(t.Context(), c, client.StreamOptions{Life: true})
	store(t, b, event.LifeSubject("acme", "j1"), event.Life{V: 1, ID: "j1", Type: event.LifePlanned})
	if e := r.want(t, client.StreamLife); e.Life.Type != event.LifePlanned {
		t.Errorf("got %+v", e.Life)
	}
	store(t, b, event.StoreSubject("acme", "j1"), event.Result{V: 1, ID: "j1", Status: event.StatusFailed, Error: &event.Error{Class: event.ClassInvalid}})
	if e := r.want(t, client.StreamError); e.Result.Error.Class != event.ClassInvalid {
		t.Errorf("got %+v", e.Result)
	}
	if err := next(t, r.ended); err != nil {
		t.Error(err)
	}
}

// TestStreamIdle: a reader can show that it is still there.
func TestStreamIdle(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	r := streaming(t.Context(), c, client.StreamOptions{Idle: time.Millisecond})
	r.want(t, client.StreamIdle)
	answer(t, b, "j1", "so")
	for {
		if e := next(t, r.events); e.Type == client.StreamDone {
			break
		}
	}
}

func TestStreamEndsWithItsReader(t *testing.T) {
	t.Parallel()
	c, b, _ := setup(t)
	answer(t, b, "j1", "so")
	gone := errors.New("gone")
	if err := c.Stream(t.Context(), "acme", "j1", client.StreamOptions{}, func(client.StreamEvent) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	for _, after := range []string{"x", "1", "-1", "1-", "0-1", "1-x", "1-1-1", "99999999999999999999-1", "1 -1"} {
		err := c.Stream(t.Context(), "acme", "j1", client.StreamOptions{After: after}, nil)
		if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field != "after" {
			t.Errorf("after %q: got %v", after, err)
		}
	}
	if err := c.Stream(t.Context(), "*", "j1", client.StreamOptions{}, nil); event.AsError(err) == nil {
		t.Error("a wildcard was taken for a tenant")
	}
}

func FuzzCheckPlace(f *testing.F) {
	for _, id := range []string{"", client.PlaceEnd, "1-1", "4711-65601", "1--1", "x"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if err := client.CheckPlace(id); err != nil && event.AsError(err).Class != event.ClassInvalid {
			t.Errorf("%q: got %v", id, err)
		}
	})
}
