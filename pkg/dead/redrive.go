package dead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// HeaderRedrive names, in a message that was redriven, the letter that it was.
const HeaderRedrive = "Weir-Redrive"

// Why a letter is not redriven.
var (
	// ErrRunning says that it was redriven already and its end is not known yet.
	ErrRunning = errors.New("it was redriven before, and has not ended since")
	// ErrEnded says that its job has succeeded.
	ErrEnded = errors.New("its job has ended well since")
)

// Options say how to redrive.
type Options struct {
	// By is who asked for it.
	By string
	// Edit is a JSON merge patch of the message; nil leaves it as it was.
	Edit json.RawMessage
	// Force redrives a letter again whose redrive has not ended.
	Force bool
}

// Redrive publishes a letter's message where it was published before. The failed
// result of its job makes way; the record keeps a copy. The letter stays. A repetition
// is refused with ErrRunning until the job has ended, and goes on with a redrive that
// broke off. A tenant of "" is any.
func (b *Box) Redrive(ctx context.Context, tenant string, seq uint64, o Options) (Record, error) {
	msg, err := b.load(ctx, tenant, seq)
	if err != nil {
		return Record{}, err
	}
	l := letter(msg)
	out, err := b.message(ctx, msg, &l, o.Edit)
	if err != nil {
		return Record{}, err
	}
	value, err := b.value(ctx, &l)
	if err != nil {
		return Record{}, err
	}
	var replaced *bus.Message
	record, err := value.Change(ctx, func(r *Record) (err error) {
		replaced, err = b.begin(ctx, r, &l, o)
		return err
	})
	if err != nil {
		return record, err
	}
	out.ID = fmt.Sprintf("dead.%s.%d", recordKey(&l), record.Times)
	if err := b.publish(ctx, out, &l, replaced); err != nil {
		return record, err
	}
	return value.Change(ctx, func(r *Record) error {
		if r.Times != record.Times || r.Published {
			return bus.ErrKeep // another one goes on from here
		}
		r.Published = true
		return nil
	})
}

// begin notes a redrive in the record, or says why there is none. It returns the
// result that is to make way.
func (b *Box) begin(ctx context.Context, r *Record, l *Letter, o Options) (*bus.Message, error) {
	var result *bus.Message
	if l.job() {
		var err error
		if result, err = b.bus.Last(ctx, bus.StreamResults, event.ResultSubject(l.Tenant, l.Job)); err != nil {
			return nil, err
		}
		if result != nil && !failed(result) {
			return nil, ErrEnded
		}
	}
	again := result != nil && result.Sequence != r.ReplacedSeq // it ran, and failed again
	switch {
	case r.Times > 0 && !r.Published && !again: // it broke off: go on
		return result, nil
	case r.Published && !again && !o.Force:
		return nil, ErrRunning
	}
	r.V, r.Times, r.At, r.By, r.Job, r.Published = recordVersion, r.Times+1, b.now().UTC(), o.By, l.Job, false
	r.Edit, r.EditBytes = nil, len(o.Edit)
	if len(o.Edit) <= maxEdit {
		r.Edit = o.Edit
	}
	r.keep(result)
	return result, nil
}

// failed reports whether a stored result is a failed one. A large one is in the
// bucket: failed results are not.
func failed(msg *bus.Message) bool {
	var head struct {
		Status event.Status `json:"status"`
	}
	return json.Unmarshal(msg.Data, &head) == nil && head.Status == event.StatusFailed
}

// message is what is published: the letter's message, edited, with the id of its job.
func (b *Box) message(ctx context.Context, msg *bus.Message, l *Letter, edit json.RawMessage) (bus.Out, error) {
	if err := l.redrivable(); err != nil {
		return bus.Out{}, err
	}
	out := bus.Out{Subject: l.Subject, Data: msg.Data, Header: original(msg.Header)}
	out.Header.Set(HeaderRedrive, strconv.FormatUint(l.Seq, 10))
	isJob := strings.HasPrefix(l.Subject, jobPrefix)
	if isJob || len(edit) > 0 {
		if err := b.bus.Resolve(ctx, msg); err != nil {
			return out, err
		}
	}
	body := msg.Data
	head, readable := event.Peek(body)
	if isJob && readable && head.ID == "" && l.job() { // it was named after its message; another one would be another job
		if named, err := MergePatch(body, fmt.Appendf(nil, `{"id":%q}`, l.Job)); err == nil {
			body = named
		}
	}
	if len(edit) > 0 {
		var err error
		if body, err = edited(l.Subject, body, edit); err != nil {
			return out, err
		}
	}
	if string(body) != string(msg.Data) {
		out.Data = body
		out.Header.Del(bus.HeaderPayload)
		setDeadline(out.Header, body)
	}
	return out, b.checkDeadline(out.Header, body)
}

// setDeadline has the header of a step say what the edited body does.
func setDeadline(header nats.Header, body []byte) {
	if header.Get(stage.HeaderDeadline) == "" && header.Get(stage.HeaderTokens) == "" {
		return // none of a step
	}
	header.Del(stage.HeaderDeadline)
	if head, _ := event.Peek(body); !head.Deadline.IsZero() {
		header.Set(stage.HeaderDeadline, head.Deadline.Format(time.RFC3339Nano))
	}
}

// checkDeadline refuses what would fail at once.
func (b *Box) checkDeadline(header nats.Header, body []byte) error {
	head, _ := event.Peek(body)
	deadline := head.Deadline
	if deadline.IsZero() {
		deadline, _ = time.Parse(time.RFC3339Nano, header.Get(stage.HeaderDeadline)) // zero if there is none
	}
	if deadline.IsZero() || b.now().Before(deadline) {
		return nil
	}
	return event.Invalid("deadline", `edit it: {"deadline":null} removes it`, "%s has passed", deadline.Format(time.RFC3339))
}

// redrivable checks that a letter's subject is one that Weir works on, of its tenant.
func (l *Letter) redrivable() error {
	prefixes := []string{jobPrefix, stepPrefix, duePrefix}
	if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(l.Subject, p) }) ||
		event.TenantOf(l.Subject) != l.Tenant || event.CheckName("tenant", l.Tenant) != nil {
		return event.Invalid("subject", "submit its body as a new job", "a message on %q can't be redriven for tenant %q", l.Subject, l.Tenant)
	}
	return nil
}

// publish removes the failed result and publishes the message. When that fails the
// result is put back, so that whoever waits for it is told.
func (b *Box) publish(ctx context.Context, out bus.Out, l *Letter, replaced *bus.Message) error {
	if replaced != nil {
		stream, err := b.bus.JetStream().Stream(ctx, bus.StreamResults)
		if err != nil {
			return event.Errorf(event.ClassUnavailable, "opening %s: %w", bus.StreamResults, err)
		}
		if err := removed(ctx, stream, replaced.Sequence); err != nil {
			return err
		}
	}
	err := b.bus.Publish(ctx, out)
	if err == nil || replaced == nil {
		return err
	}
	back := bus.Out{Subject: event.StoreSubject(l.Tenant, l.Job), Data: replaced.Data, Header: original(replaced.Header)}
	return errors.Join(err, b.bus.Publish(context.WithoutCancel(ctx), back))
}

// isOurs reports whether a header was added to the dead letter.
func isOurs(name string) bool {
	return slices.Contains([]string{stage.HeaderErrorClass, stage.HeaderError, stage.HeaderSubject, stage.HeaderDeliveries, stage.HeaderCost}, name)
}

func isGone(err error) bool { return errors.Is(err, jetstream.ErrMsgNotFound) }
