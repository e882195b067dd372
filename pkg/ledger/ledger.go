// Package ledger is the record of what was paid for: an intent before every
// paid call, a line per call, totals by day, tenant and model, and the tenants'
// budgets. A step that is delivered again takes an answer that is already paid
// for from here, and a worker whose message has gone to another one is told so
// before it calls.
package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrFenced says that a later delivery of the step has taken over: the call
// must not be made, and nothing is to be done about the message, which belongs
// to the later delivery.
var ErrFenced = errors.New("a later delivery has taken over")

// Ledger keeps intents and lines. It is safe for concurrent use.
type Ledger struct {
	bus *bus.Bus
	now func() time.Time
}

// New returns a ledger over b's streams and buckets (see bus.Ensure). It does
// no I/O. A nil now is time.Now.
func New(b *bus.Bus, now func() time.Time) *Ledger {
	if now == nil {
		now = time.Now
	}
	return &Ledger{bus: b, now: now}
}

// Entry is a step's place in the ledger while one delivery works on it. It is
// for one goroutine.
type Entry struct {
	// Reuse is the line of a call that an earlier delivery made, with its
	// answer: the step has what it wants and must not call.
	Reuse *Line

	ledger   *Ledger
	intent   Intent
	revision uint64
	again    bool
}

// Begin stores the intent to make in's first call, or finds what an earlier
// delivery left: its answer (Entry.Reuse), or a call of which nobody knows the
// outcome, which gets a line as maybe billed. It returns ErrFenced when a later
// delivery was here. Without any other delivery it costs one write.
//
// Every call that Begin or Next allowed must get a line, with the outs of the
// step or by Record, unless Next follows and the call is known to be free. One
// that was not made after all, or was refused without charge, has no cost.
func (l *Ledger) Begin(ctx context.Context, in Intent) (*Entry, error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	e := &Entry{ledger: l, intent: in}
	e.intent.Call = 1
	for revision := uint64(0); ; {
		err := e.write(ctx, revision)
		if err == nil || !bus.IsConflict(err) {
			return e, err
		}
		held, err := l.intent(ctx, in)
		if err != nil {
			return nil, err
		}
		if held == nil { // its time was over just now
			revision = 0
			continue
		}
		if err := e.takeOver(ctx, held); err != nil {
			return nil, err
		}
		if e.Reuse != nil {
			return e, nil
		}
		revision = held.revision
	}
}

// takeOver looks at what the delivery that holds the step has left.
func (e *Entry) takeOver(ctx context.Context, held *heldIntent) error {
	own := held.Epoch == e.intent.Epoch && held.Worker == e.intent.Worker
	if held.Epoch >= e.intent.Epoch && !own {
		return fenced(held)
	}
	line, err := e.ledger.line(ctx, held.Intent)
	if line == nil && err == nil && !own {
		// The first of this line and the other worker's own is the truth.
		if err = e.ledger.Record(ctx, held.maybeBilled()); err == nil {
			line, err = e.ledger.line(ctx, held.Intent)
		}
	}
	if err != nil {
		return err
	}
	switch {
	case line == nil:
		e.intent.Call = held.Call // the answer to this delivery's own write was lost
	case line.reusable():
		e.Reuse = line
	default:
		e.again = line.paid()
		if own {
			e.intent.Call = held.Call + 1
		}
	}
	return nil
}

// Next stores the intent to make a further call of the same delivery, of about
// estimate nano-USD. It returns ErrFenced when a later delivery has taken over.
func (e *Entry) Next(ctx context.Context, estimate int64) error {
	if e.Reuse != nil {
		return event.Errorf(event.ClassInternal, "step %s of job %s has its answer: no further call", e.intent.Step, e.intent.Job)
	}
	before := e.intent
	e.intent.Call++
	e.intent.Estimate = estimate
	err := e.write(ctx, e.revision)
	if err == nil || !bus.IsConflict(err) {
		if err != nil {
			e.intent = before
		}
		return err
	}
	e.intent = before
	held, err := e.ledger.intent(ctx, before)
	if err != nil {
		return err
	}
	if held == nil || held.Epoch != before.Epoch || held.Worker != before.Worker {
		return fenced(held)
	}
	// Only this entry writes under its epoch: the answer to its write was lost.
	e.revision, e.intent = held.revision, held.Intent
	if e.intent.Call > before.Call {
		return nil
	}
	return e.Next(ctx, estimate)
}

// Line is the line of the call under way, without its outcome.
func (e *Entry) Line() Line {
	line := e.intent.line()
	line.Again = e.again
	return line
}

// Record stores a line by itself. One that is there already stays as it is, and
// is no error.
func (l *Ledger) Record(ctx context.Context, line Line) error {
	out, err := LineOut(line)
	if err != nil {
		return err
	}
	return l.bus.Publish(ctx, out)
}

// line returns the line of an intent's call, or nil.
func (l *Ledger) line(ctx context.Context, in Intent) (*Line, error) {
	msg, err := l.bus.Last(ctx, bus.StreamLedger, event.LedgerSubject(in.Tenant, in.Job, in.Step, in.Epoch, in.Call))
	if err != nil || msg == nil {
		return nil, err
	}
	if err := l.bus.Resolve(ctx, msg); err != nil {
		if event.AsError(err).Class != event.ClassInvalid {
			return nil, err
		}
		msg.Data = nil // the payload's time is over, its totals are in the header
	}
	return decodeLine(msg)
}

// write stores the intent if the key is at revision, 0 for not there: one round
// trip, where opening the bucket first would be another.
func (e *Entry) write(ctx context.Context, revision uint64) error {
	e.intent.At = e.ledger.now().UTC()
	data, err := e.intent.encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	ack, err := e.ledger.bus.JetStream().Publish(ctx, e.intent.subject(), data, jetstream.WithExpectLastSequencePerSubject(revision))
	if err != nil {
		return unavailable("storing the intent of job "+e.intent.Job, err)
	}
	e.revision = ack.Sequence
	return nil
}

// opTimeout bounds one operation on a bucket: a question that was under way
// when the server went down is never answered.
const opTimeout = 5 * time.Second

func fenced(held *heldIntent) error {
	if held == nil {
		return event.Errorf(event.ClassUnavailable, "%w", ErrFenced)
	}
	return event.Errorf(event.ClassUnavailable, "%w: worker %s has job %s", ErrFenced, held.Worker, held.Job)
}

func unavailable(doing string, err error) error {
	return event.Errorf(event.ClassUnavailable, "%s: %w", doing, err)
}
