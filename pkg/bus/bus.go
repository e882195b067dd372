// Package bus is the way messages travel: the streams and consumers as data,
// publishing with dedupe ids, large payloads by claim-check, and the puller
// that fetches exactly as many messages as there are free slots.
package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// publishTimeout bounds the wait for a stream's acknowledgement.
const publishTimeout = 10 * time.Second

// askTimeout bounds a question to the server: one that was under way when the
// server went down is never answered.
const askTimeout = 5 * time.Second

// publishWindow is the number of publishes a process may have unacknowledged.
// 256 costs the least CPU per message; the rest is room for bursts.
const publishWindow = 4096

// Bus publishes to and reads from the streams over one connection.
type Bus struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	buckets sync.Map // of jetstream.KeyValue, by name; those that were opened
}

// New returns a bus over nc. It does no I/O.
func New(nc *nats.Conn) (*Bus, error) {
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(publishWindow),
		jetstream.WithPublishAsyncTimeout(publishTimeout))
	if err != nil {
		return nil, fmt.Errorf("opening jetstream: %w", err)
	}
	return &Bus{nc: nc, js: js}, nil
}

// Conn returns the connection, for requests and plain subscriptions.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// JetStream returns the JetStream context, for reading streams.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Out is a message to publish.
type Out struct {
	Subject string
	// ID is the dedupe id: the same output of the same input has the same id. That of a
	// job is of its body as well.
	ID     string
	Data   []byte
	Header nats.Header
	// View marks a message that is only a view (life events, tokens): it is
	// stored when it arrives, and nobody waits for that.
	View bool
	// Whole marks a message that holds its payload however large it is.
	Whole bool
}

// Publish stores all messages, in order per subject, and returns when every
// stream has acknowledged. A result or a line of the ledger that is already
// there is left as it is and counts as stored: the first one wins.
func (b *Bus) Publish(ctx context.Context, outs ...Out) error {
	futures := make([]jetstream.PubAckFuture, 0, len(outs))
	for _, out := range outs {
		if out.View {
			if err := b.nc.Publish(out.Subject, out.Data); err != nil {
				return publishError(out.Subject, err)
			}
			continue
		}
		msg, err := b.message(ctx, out)
		if err != nil {
			return err
		}
		future, err := b.js.PublishMsgAsync(msg, jetstream.WithMsgID(dedupeID(&out)))
		if err != nil {
			return publishError(out.Subject, err)
		}
		futures = append(futures, future)
	}
	for _, future := range futures {
		subject := future.Msg().Subject
		select {
		case <-future.Ok():
		case err := <-future.Err():
			if !alreadyStored(subject, err) {
				return publishError(subject, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("publishing %s: %w", subject, context.Cause(ctx))
		}
	}
	return nil
}

// dedupeID is the dedupe id of a message in its stream. Tenants publish jobs, too, with
// any id: if it were enough to guess that of another's job, the other job would be taken
// for a repetition, and lost. So it has the body in it, which they don't know.
func dedupeID(out *Out) string {
	if out.ID == "" || !strings.HasPrefix(out.Subject, "weir.jobs.") {
		return out.ID
	}
	sum := sha256.Sum256(out.Data)
	return fmt.Sprintf("%s.%x", out.ID, sum[:16])
}

// Result returns the stored result of a job, or nil when there is none. Only
// its Subject, Header and Data are set.
func (b *Bus) Result(ctx context.Context, tenant, job string) (*Message, error) {
	raw, err := b.storedResult(ctx, tenant, job)
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading results: %w", err))
	}
	if raw == nil {
		return nil, nil //nolint:nilnil // documented: no result, no error
	}
	msg := &Message{Subject: event.ResultSubject(tenant, job), Header: raw.Header, Data: raw.Data}
	return msg, b.Resolve(ctx, msg)
}

// Last returns the newest message that a stream holds of a subject, or nil when
// there is none. Only its Subject, Header, Data, Stream, Sequence and Stored are set. The
// data is still in the bucket when the message went by claim-check; see Resolve.
func (b *Bus) Last(ctx context.Context, stream, subject string) (*Message, error) {
	raw, err := b.last(ctx, stream, subject)
	if err != nil {
		return nil, unavailable(fmt.Errorf("reading %s: %w", subject, err))
	}
	if raw == nil {
		return nil, nil //nolint:nilnil // documented: none, no error
	}
	return StoredMessage(raw)
}

// Finished reports whether the job has a result.
func (b *Bus) Finished(ctx context.Context, tenant, job string) (bool, error) {
	raw, err := b.storedResult(ctx, tenant, job)
	if err != nil {
		return false, unavailable(fmt.Errorf("looking for a result: %w", err))
	}
	return raw != nil, nil
}

func (b *Bus) storedResult(ctx context.Context, tenant, job string) (*nats.Msg, error) {
	return b.last(ctx, StreamResults, event.ResultSubject(tenant, job))
}

// last is one direct get, without asking for the stream first: it runs per
// message. It returns nil when there is none.
func (b *Bus) last(ctx context.Context, stream, subject string) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	msg, err := b.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
	if err != nil {
		return nil, err
	}
	switch status := msg.Header.Get("Status"); status {
	case "":
		return msg, nil
	case "404":
		return nil, nil //nolint:nilnil // documented: none, no error
	default:
		return nil, fmt.Errorf("status %s %s", status, msg.Header.Get("Description"))
	}
}

// alreadyStored reports whether err only says that the result, or the line,
// exists. The code also means "stream full", hence the text.
func alreadyStored(subject string, err error) bool {
	var api *jetstream.APIError
	return (event.IsStoreSubject(subject) || event.IsLedgerSubject(subject)) && errors.As(err, &api) &&
		api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "per subject exceeded")
}

// ErrFull says that a stream is full and refused a message. Nothing was stored;
// the same message may be published again later.
var ErrFull = errors.New("stream is full")

// codeStoreFailed is JetStream's JSStreamStoreFailedF: a limit refused the message.
const codeStoreFailed jetstream.ErrorCode = 10077

// publishError turns a publish error into one with a class and a hint.
func publishError(subject string, err error) error {
	e := unavailable(fmt.Errorf("publishing %s: %w", subject, err))
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api) && api.ErrorCode == codeStoreFailed:
		e.Err = fmt.Errorf("%w: %w", ErrFull, err)
		e.Hint = "the queue is full: wait for work to finish, or add workers"
	case errors.Is(err, nats.ErrMaxPayload):
		e.Class, e.Hint = event.ClassTooLarge, "put the payload into the bucket "+PayloadBucket
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		e.Hint = "no stream takes this subject: check kind, lane and tenant, and that a Weir service has started once"
	}
	return e
}

// IsConflict reports whether a compare-and-set came too late: the key or subject
// is not at the expected revision, whichever way the client or a replicated
// server says so.
func IsConflict(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) ||
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
			api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

func unavailable(err error) *event.Error {
	return &event.Error{Class: event.ClassUnavailable, Message: err.Error(), Err: err}
}
