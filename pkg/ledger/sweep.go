package ledger

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

const (
	// sweepAfter is when a call without a line is over: no call takes so long.
	sweepAfter = time.Hour
	sweepEvery = 10 * time.Minute
)

// sweep finds calls that ended without a line and whose step was never taken up
// again (its job ran out of time, say), and counts them as maybe billed. Intents
// are read once, in the order in which they were written.
func (p *Projector) sweep(ctx context.Context, kv jetstream.KeyValue) error {
	last, err := readMark(ctx, kv, keySwept)
	if err != nil {
		return err
	}
	intents, err := openReader(ctx, p.cfg.Bus, "KV_"+bus.BucketLedger, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1,
	})
	if err != nil {
		return err
	}
	before, end := last, p.cfg.Now().Add(-sweepAfter)
	err = intents.each(ctx, func(msg message) (bool, error) {
		if msg.meta.Timestamp.After(end) {
			return false, nil
		}
		if err := p.account(ctx, msg); err != nil {
			return false, err
		}
		last = msg.meta.Sequence.Stream
		return true, nil
	})
	if last != before {
		err = errors.Join(err, writeMark(ctx, kv, keySwept, last))
	}
	return err
}

// account gives an intent's call a line if it has none.
func (p *Projector) account(ctx context.Context, msg message) error {
	key := strings.TrimPrefix(msg.Subject(), "$KV."+bus.BucketLedger+".")
	in, err := decodeIntent(key, msg.Data())
	if err == nil {
		err = in.check()
	}
	if err != nil { // removed, or not ours
		p.cfg.Logger.DebugContext(ctx, "skipping an intent", "key", key, "error", err)
		return nil
	}
	line, err := p.cfg.Bus.Last(ctx, bus.StreamLedger, event.LedgerSubject(in.Tenant, in.Job, in.Step, in.Epoch, in.Call))
	if err != nil || line != nil {
		return err
	}
	return New(p.cfg.Bus, p.cfg.Now).Record(ctx, in.maybeBilled())
}
