package client

import (
	"context"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

// tail is a subject of a stream: what is stored of it, and then what is republished.
// Each message says which one was before it, so one that was lost or dropped is
// noticed and read from the store.
type tail struct {
	stream, subject, live string
	// take uses a message. It reports false when others before it are missing.
	take func(*bus.Message) bool

	// sequence and at are those of the last message taken. The time tells when the
	// stream has begun anew, with its sequence, as one in memory does.
	sequence uint64
	at       time.Time
	// repaired is when the store did not have what was missing.
	repaired time.Time
}

// next takes a message that was not taken yet.
func (t *tail) next(m *bus.Message) (whole bool) {
	if !m.Stored.After(t.at) {
		return true
	}
	if !t.take(m) {
		return false
	}
	t.sequence, t.at = m.Sequence, m.Stored
	return true
}

// catchUp reads what is stored behind what was taken. What it can't read now comes
// later.
func (s *stream) catchUp(ctx context.Context) {
	for _, t := range s.tails() {
		if err := s.read(ctx, t); err != nil {
			s.w.failed = true
		}
	}
}

// read takes what the store has of a tail. A stream that begins anew has its messages
// before the last one taken, so all are looked at when there is nothing behind that.
func (s *stream) read(ctx context.Context, t *tail) error {
	before := t.at
	if err := s.readFrom(ctx, t, t.sequence+1); err != nil || t.sequence == 0 || t.at.After(before) {
		return err
	}
	last, err := s.c.bus.Last(ctx, t.stream, t.subject)
	if err != nil || last == nil || last.Sequence > t.sequence || !last.Stored.After(t.at) {
		return err
	}
	return s.readFrom(ctx, t, 1)
}

func (s *stream) readFrom(ctx context.Context, t *tail, from uint64) error {
	return s.c.bus.Read(ctx, t.stream, t.subject, from, func(m *bus.Message) error {
		t.next(m)
		return s.err
	})
}

// arrived takes a message that was republished, after those before it.
func (s *stream) arrived(ctx context.Context, raw *nats.Msg) {
	t := &s.tokens
	if raw.Subject == s.lives.live {
		t = &s.lives
	}
	m, err := bus.StoredMessage(raw)
	if err != nil || !m.Stored.After(t.at) {
		return // read from the store before
	}
	before, err := strconv.ParseUint(raw.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	if err != nil {
		return
	}
	if before == t.sequence && t.next(m) {
		return
	}
	if s.c.now().Sub(t.repaired) < repairEvery {
		return // it comes when the store is read again
	}
	from := uint64(1)
	if before > t.sequence {
		from = t.sequence + 1
	}
	if err := s.readFrom(ctx, t, from); err != nil || !t.next(m) {
		t.repaired = s.c.now()
	}
}

// resume finds the place behind which a reader goes on. What came before it is taken
// and not told; when it is not there, with all that the attempt had said until then,
// the reader is told to restart.
func (s *stream) resume(ctx context.Context, after place) error {
	s.muted = true
	t := &s.tokens
	err := s.c.bus.Read(ctx, t.stream, t.subject, 1, func(m *bus.Message) error {
		t.next(m)
		if s.muted && m.Sequence >= after.sequence {
			s.unmute(after)
		}
		return s.err
	})
	if err == nil && s.muted {
		s.unmute(after)
		err = s.err
	}
	return err
}

// unmute begins to tell: behind a place, if that is where the pieces are, or anew.
func (s *stream) unmute(after place) {
	s.muted = false
	if s.last == after && s.epoch == after.epoch {
		return
	}
	s.tell(StreamEvent{Type: StreamRestart})
	if len(s.shown) > 0 {
		s.tell(StreamEvent{Type: StreamDelta, ID: s.last.id(), Text: string(s.shown)})
	}
}
