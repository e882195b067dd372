package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// Bounds of what Read asks for at once; a message larger than readBytes comes alone.
const (
	readBatch = 256
	readBytes = 4 << 20
)

// headerPending says how many messages there are after a batch.
const headerPending = "Nats-Num-Pending"

// errBroken says that a batch did not come whole.
var errBroken = errors.New("messages of the batch were lost")

// Read calls fn with the messages that a stream holds of a subject (which may have
// wildcards), in order, from a sequence on, until there are no more or fn fails. It
// makes no consumer. The messages have Subject, Header, Data, Stream, Sequence and
// Stored; data that went by claim-check is still in the bucket, see Resolve.
func (b *Bus) Read(ctx context.Context, stream, subject string, from uint64, fn func(*Message) error) error {
	for {
		pending, next, err := b.readBatch(ctx, batchRequest{stream: stream, From: max(from, 1), Subject: subject, Batch: readBatch, MaxBytes: readBytes}, fn)
		if err != nil || pending == 0 || next <= from {
			return err
		}
		from = next
	}
}

// batchRequest is the body of a batch direct get, from a sequence or a time on.
type batchRequest struct {
	stream   string
	From     uint64     `json:"seq,omitempty"`
	Since    *time.Time `json:"start_time,omitempty"`
	Subject  string     `json:"next_by_subj"`
	Batch    int        `json:"batch"`
	MaxBytes int        `json:"max_bytes,omitempty"`
}

// readBatch reads one batch. It returns how many messages there are after it, and
// the sequence after its last one.
func (b *Bus) readBatch(ctx context.Context, r batchRequest, fn func(*Message) error) (pending, next uint64, err error) {
	request, err := json.Marshal(r)
	if err != nil {
		return 0, 0, fmt.Errorf("encoding a request for %s: %w", r.stream, err)
	}
	// Room for the whole batch and its end: none is dropped.
	inbox, replies := b.nc.NewInbox(), make(chan *nats.Msg, r.Batch+1)
	sub, err := b.nc.ChanSubscribe(inbox, replies)
	if err != nil {
		return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, err))
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+r.stream, inbox, request); err != nil {
		return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, err))
	}
	for last := uint64(0); ; last = next - 1 {
		raw, err := nextReply(ctx, replies)
		if err != nil {
			return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, err))
		}
		switch status := raw.Header.Get("Status"); status {
		case "":
		case "404":
			return 0, 0, nil
		case "204":
			pending, err := strconv.ParseUint(raw.Header.Get(headerPending), 10, 64)
			if err != nil || raw.Header.Get(jetstream.LastSequenceHeader) != strconv.FormatUint(last, 10) {
				return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, errBroken))
			}
			return pending, next, nil
		default:
			return 0, 0, unavailable(fmt.Errorf("reading %s: status %s %s", r.stream, status, raw.Header.Get("Description")))
		}
		msg, err := StoredMessage(raw)
		if err != nil {
			return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, err))
		}
		if raw.Header.Get(jetstream.LastSequenceHeader) != strconv.FormatUint(last, 10) {
			return 0, 0, unavailable(fmt.Errorf("reading %s: %w", r.stream, errBroken))
		}
		if err := fn(msg); err != nil {
			return 0, 0, err
		}
		next = msg.Sequence + 1
	}
}

// nextReply waits for the next message, not longer than for the answer to a question.
func nextReply(ctx context.Context, replies <-chan *nats.Msg) (*nats.Msg, error) {
	timeout := time.NewTimer(askTimeout)
	defer timeout.Stop()
	select {
	case raw := <-replies:
		return raw, nil
	case <-timeout.C:
		return nil, nats.ErrTimeout
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// StoredMessage is a message that a stream republished or that was read of one:
// what its headers say of where it is stored.
func StoredMessage(raw *nats.Msg) (*Message, error) {
	sequence, err := strconv.ParseUint(raw.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, event.Errorf(event.ClassInternal, "a stored message without its sequence: %w", err)
	}
	stored, err := time.Parse(time.RFC3339Nano, raw.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, event.Errorf(event.ClassInternal, "a stored message without its time: %w", err)
	}
	return &Message{Subject: raw.Header.Get(jetstream.SubjectHeader), Header: raw.Header, Data: raw.Data,
		Stream: raw.Header.Get(jetstream.StreamHeader), Sequence: sequence, Stored: stored}, nil
}
