package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
)

// reader reads a stream in order, without a gap, through a consumer that the
// server forgets when nobody reads. After an error it is of no more use.
type reader struct {
	consumer jetstream.Consumer
	read     uint64 // messages so far, the consumer's own count
}

// errGap says that messages were lost on their way: read on from the last one.
var errGap = errors.New("messages were lost on their way")

// unusedAfter is when the server forgets a reader's consumer.
const unusedAfter = time.Minute

// openReader makes a consumer of the stream as cfg says.
func openReader(ctx context.Context, b *bus.Bus, stream string, cfg jetstream.ConsumerConfig) (*reader, error) {
	cfg.AckPolicy, cfg.InactiveThreshold, cfg.MemoryStorage = jetstream.AckNonePolicy, unusedAfter, true
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	consumer, err := b.JetStream().CreateConsumer(ctx, stream, cfg)
	if err != nil {
		return nil, unavailable("reading "+stream, err)
	}
	return &reader{consumer: consumer}, nil
}

// message is one that a reader has read.
type message struct {
	jetstream.Msg
	meta *jetstream.MsgMetadata
}

// next returns up to most messages: those that come within wait.
func (r *reader) next(ctx context.Context, most int, wait time.Duration) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	batch, err := r.consumer.Fetch(most, jetstream.FetchContext(ctx))
	if err != nil {
		return nil, unavailable("reading", err)
	}
	var msgs []message
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading message metadata: %w", err)
		}
		r.read++
		if meta.Sequence.Consumer != r.read {
			return nil, unavailable("reading "+meta.Stream, errGap)
		}
		msgs = append(msgs, message{msg, meta})
	}
	if err := batch.Error(); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		return nil, unavailable("reading", err)
	}
	return msgs, nil
}

// each calls do with every message that is there now, until it returns false.
func (r *reader) each(ctx context.Context, do func(message) (bool, error)) error {
	left := r.consumer.CachedInfo().NumPending
	for left > 0 {
		msgs, err := r.next(ctx, int(min(left, flushLines)), opTimeout)
		if err != nil {
			return err
		}
		if len(msgs) == 0 {
			return unavailable("reading", context.DeadlineExceeded)
		}
		for _, msg := range msgs {
			if more, err := do(msg); err != nil || !more {
				return err
			}
		}
		left = min(left-min(left, uint64(len(msgs))), msgs[len(msgs)-1].meta.NumPending)
	}
	return nil
}
