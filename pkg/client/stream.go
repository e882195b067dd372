package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// StreamType is what a StreamEvent tells.
type StreamType string

// The types of stream events.
const (
	StreamDelta   StreamType = "delta"   // the next piece of the answer
	StreamRestart StreamType = "restart" // what was shown is void: the answer starts over
	StreamLife    StreamType = "life"    // an event in the life of the job
	StreamDone    StreamType = "done"    // the job ended; what was shown is its answer
	StreamError   StreamType = "error"   // the job failed
	StreamIdle    StreamType = "idle"    // nothing happened for StreamOptions.Idle
)

// StreamEvent is something that a reader of a job's answer is told.
type StreamEvent struct {
	Type StreamType
	// ID is the place behind a delta, <sequence>-<epoch> of the stream of tokens, or
	// PlaceEnd; see StreamOptions.After.
	ID     string
	Text   string        // of a delta
	Life   *event.Life   // of a life event
	Result *event.Result // of done and error
}

// PlaceEnd is the place behind the whole answer of the stored result.
const PlaceEnd = "end"

// StreamOptions say what a reader of a job's answer wants.
type StreamOptions struct {
	// After is the ID of the last event that the reader saw, if it has shown
	// something before. What follows goes on there; when the place is not in the
	// stream any more, the reader is told to restart.
	After string
	// Life asks for the events in the life of the job, from their beginning.
	Life bool
	// Idle asks for an idle event when nothing else was told for so long; 0 for none.
	Idle time.Duration
}

// liveBacklog is how many messages may wait for a slow reader. What is over is
// dropped and read from the store later.
const liveBacklog = 64

// repairEvery is the least time between two looks into the store for pieces that it
// did not have.
const repairEvery = time.Second

// Stream tells a reader the answer of a job as it comes, and its end, from one
// goroutine. At done the text that was told since the last restart is the answer of
// the result. An error of tell ends it. A stream of tokens that is lost, as it is with
// the server's memory, delays what is told up to the result and makes it no other.
func (c *Client) Stream(ctx context.Context, tenant, job string, o StreamOptions, tell func(StreamEvent) error) error {
	if err := checkJob(tenant, job); err != nil {
		return err
	}
	after, err := parsePlace(o.After)
	if err != nil {
		return err
	}
	s := &stream{c: c, tenant: tenant, job: job, o: o, fn: tell, told: c.now(), live: make(chan *nats.Msg, liveBacklog)}
	s.complete = o.After == PlaceEnd
	if s.w, err = c.watch(tenant, job); err != nil {
		return err
	}
	defer s.w.stop()
	s.tokens = tail{stream: bus.StreamTokens, subject: event.TokenSubject(tenant, job), live: event.LiveSubject(tenant, job), take: s.token}
	s.lives = tail{stream: bus.StreamEvents, subject: event.LifeSubject(tenant, job), live: event.LivesSubject(tenant, job), take: s.life}
	for _, t := range s.tails() {
		sub, err := c.bus.Conn().ChanSubscribe(t.live, s.live)
		if err != nil {
			return event.Errorf(event.ClassUnavailable, "subscribing to %s: %w", t.live, err)
		}
		defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	}
	return s.run(ctx, after)
}

// place is one in a stream of tokens; the zero value is its beginning.
type place struct {
	sequence uint64
	epoch    int64
}

// id is the place as readers know it.
func (p place) id() string { return fmt.Sprintf("%d-%d", p.sequence, p.epoch) }

// CheckPlace checks a StreamOptions.After.
func CheckPlace(id string) error {
	_, err := parsePlace(id)
	return err
}

func parsePlace(id string) (p place, err error) {
	if id == "" || id == PlaceEnd {
		return p, nil
	}
	sequence, epoch, _ := strings.Cut(id, "-")
	p.sequence, err = strconv.ParseUint(sequence, 10, 63)
	if err == nil {
		p.epoch, err = strconv.ParseInt(epoch, 10, 64)
	}
	if err != nil || p.sequence == 0 {
		return place{}, event.Invalid("after", "send the id of the last event seen, <sequence>-<epoch>, or nothing", "no place in a stream: %q", id)
	}
	return p, nil
}

// stream is one reader's.
type stream struct {
	c           *Client
	tenant, job string
	o           StreamOptions
	fn          func(StreamEvent) error
	w           *watcher
	live        chan *nats.Msg
	told        time.Time // when something was told last
	err         error     // of fn, which ends the stream

	tokens, lives tail
	epoch         int64
	shown         []byte // told since the last restart
	last          place  // of the last piece shown
	muted         bool   // pieces are those that the reader has
	complete      bool   // the reader has the result's whole text
}

func (s *stream) tails() []*tail {
	var tails []*tail
	if s.o.Life {
		tails = append(tails, &s.lives)
	}
	if !s.complete {
		tails = append(tails, &s.tokens)
	}
	return tails
}

func (s *stream) run(ctx context.Context, after place) error {
	// Whatever led to it, a result that is there is all there is to tell to a reader
	// that has shown nothing. One that is stored from now on is told of.
	ended := s.o.After == "" && s.look(ctx, false)
	if !ended && after != (place{}) {
		if err := s.resume(ctx, after); err != nil {
			return err
		}
	}
	if !ended {
		s.catchUp(ctx)
		ended = s.o.After != "" && s.look(ctx, true)
	}
	for !ended && s.err == nil {
		select {
		case raw := <-s.live:
			s.arrived(ctx, raw)
		case <-s.w.notices:
			ended = s.look(ctx, true)
		case <-s.w.tick.C:
			ended = s.ticked(ctx)
		case <-ctx.Done():
			return fmt.Errorf("following job %s: %w", s.job, context.Cause(ctx))
		}
	}
	return s.err
}

// ticked looks, if it is time, for what was not told, and tells of having nothing to
// tell.
func (s *stream) ticked(ctx context.Context) (ended bool) {
	if s.w.due() {
		s.catchUp(ctx)
		if ended := s.look(ctx, true); ended {
			return true
		}
	}
	if s.o.Idle > 0 && s.c.now().Sub(s.told) >= s.o.Idle {
		s.tell(StreamEvent{Type: StreamIdle})
	}
	return false
}

// look tells the end if there is a result: what is stored of tokens comes first when
// the reader saw some.
func (s *stream) look(ctx context.Context, tokens bool) (ended bool) {
	result, err := s.c.Result(ctx, s.tenant, s.job)
	s.w.failed = err != nil && !errors.Is(err, ErrNoResult)
	switch {
	case err == nil:
	case errors.Is(err, ErrNoResult) || event.AsError(err).Class.Retryable() || ctx.Err() != nil:
		return false
	default:
		s.err = err
		return true
	}
	if s.o.Life {
		s.read(ctx, &s.lives) //nolint:errcheck // a view of what led to the result
	}
	if tokens && !s.complete {
		s.read(ctx, &s.tokens) //nolint:errcheck // the result has it all
	}
	s.end(&result)
	return true
}

// end completes what was shown from the result.
func (s *stream) end(r *event.Result) {
	if r.Answer != nil && !s.complete {
		rest, ok := strings.CutPrefix(r.Answer.Text, string(s.shown))
		if !ok {
			s.restart()
			rest = r.Answer.Text
		}
		if rest != "" {
			s.tell(StreamEvent{Type: StreamDelta, ID: PlaceEnd, Text: rest})
		}
	}
	end := StreamEvent{Type: StreamDone, Result: r}
	if r.Status == event.StatusFailed {
		end.Type = StreamError
	}
	s.tell(end)
}

// tell calls the reader, unless it failed before.
func (s *stream) tell(e StreamEvent) {
	if s.err != nil {
		return
	}
	s.told = s.c.now()
	s.err = s.fn(e)
}

// token shows a piece of the newest attempt. It reports false when pieces before it
// are missing.
func (s *stream) token(m *bus.Message) bool {
	t, err := event.Decode[event.Token](m.Data)
	if err != nil || t.Epoch < s.epoch {
		return true // of a later version, or an attempt that broke off
	}
	if t.Epoch > s.epoch {
		s.restart()
		s.epoch = t.Epoch
	}
	switch {
	case t.Offset > len(s.shown):
		return false
	case t.Text == "" || t.Offset > 0 && t.Offset < len(s.shown):
		return true
	}
	s.shown, s.last = append(s.shown, t.Text...), place{m.Sequence, t.Epoch}
	if !s.muted {
		s.tell(StreamEvent{Type: StreamDelta, ID: s.last.id(), Text: t.Text})
	}
	return true
}

// restart voids what was shown.
func (s *stream) restart() {
	if len(s.shown) > 0 && !s.muted {
		s.tell(StreamEvent{Type: StreamRestart})
	}
	s.shown = s.shown[:0]
}

func (s *stream) life(m *bus.Message) bool {
	if life, err := event.Decode[event.Life](m.Data); err == nil {
		s.tell(StreamEvent{Type: StreamLife, Life: &life})
	}
	return true
}
