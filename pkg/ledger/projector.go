package ledger

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const (
	// flushEvery and flushLines bound how far the totals are behind the lines.
	flushEvery = time.Second
	flushLines = 500
	// pause is before another try when the server is out of reach.
	pause = time.Second
)

// Keys of the spend bucket that are no totals.
const (
	keyLease      = "lease"
	keyCheckpoint = "checkpoint"
	keySwept      = "swept"
	alertPrefix   = "alert."
)

// Projector adds the lines up to totals. Each process may run one: the holder
// of a lease works, the others stand by. Exactness does not rest on the lease:
// every total says up to which line it is complete.
type Projector struct {
	cfg ProjectorConfig
	// steps sees each key before it is written; tests break off there.
	steps stepper
}

// ProjectorConfig is what a projector works with.
type ProjectorConfig struct {
	Bus *bus.Bus
	// Worker is this process's name, unique in the fleet.
	Worker string
	// Now defaults to time.Now, Logger to none.
	Now    func() time.Time
	Logger *slog.Logger
}

// stepper can end a projector between two writes.
type stepper interface{ before(key string) error }

type noSteps struct{}

func (noSteps) before(string) error { return nil }

// NewProjector returns a projector. It does no I/O.
func NewProjector(cfg ProjectorConfig) (*Projector, error) {
	if cfg.Bus == nil || cfg.Worker == "" {
		return nil, errors.New("ledger projector: Bus and Worker: missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Projector{cfg: cfg, steps: noSteps{}}, nil
}

// Run adds lines up until ctx ends, over all outages of the server.
func (p *Projector) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.cfg.holdLease(ctx, p.work); err != nil {
			p.cfg.Logger.DebugContext(ctx, "adding up the ledger", "error", err)
		}
		lifecycle.Sleep(ctx, pause) //nolint:errcheck // the loop looks
	}
	return nil
}

// work adds lines up, and looks for calls without a line, until ctx ends or the
// server is out of reach.
func (p *Projector) work(ctx context.Context) error {
	kv, err := p.cfg.Bus.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		return err
	}
	last, err := readMark(ctx, kv, keyCheckpoint)
	if err != nil {
		return err
	}
	lines, err := openReader(ctx, p.cfg.Bus, bus.StreamLedger, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1, HeadersOnly: true,
	})
	if err != nil {
		return err
	}
	var swept time.Time
	for ctx.Err() == nil {
		if now := p.cfg.Now(); now.Sub(swept) >= sweepEvery {
			if err := p.sweep(ctx, kv); err != nil {
				return err
			}
			swept = now
		}
		msgs, err := lines.next(ctx, flushLines, flushEvery)
		if err != nil {
			return err
		}
		if err := p.flush(ctx, kv, msgs); err != nil {
			return err
		}
	}
	return nil
}

// flush adds lines to their totals, then moves the checkpoint. It may break off
// anywhere and be done again.
func (p *Projector) flush(ctx context.Context, kv jetstream.KeyValue, msgs []message) error {
	if len(msgs) == 0 {
		return nil
	}
	groups := map[string][]head{}
	for _, msg := range msgs {
		h, err := readHead(msg.Subject(), msg.Headers())
		if err != nil { // a foreign client's: it has no place in any total
			p.cfg.Logger.DebugContext(ctx, "skipping a line", "subject", msg.Subject(), "error", err)
			continue
		}
		h.sequence, h.stored = msg.meta.Sequence.Stream, msg.meta.Timestamp
		groups[h.totalKey()] = append(groups[h.totalKey()], h)
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		if err := p.steps.before(key); err != nil {
			return err
		}
		if err := addTo(ctx, kv, key, groups[key]); err != nil {
			return err
		}
	}
	if err := p.steps.before(keyCheckpoint); err != nil {
		return err
	}
	return writeMark(ctx, kv, keyCheckpoint, msgs[len(msgs)-1].meta.Sequence.Stream)
}

// readMark reads a place in a stream, 0 when none is stored.
func readMark(ctx context.Context, kv jetstream.KeyValue, key string) (uint64, error) {
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, unavailable("reading "+key, err)
	}
	n, err := strconv.ParseUint(string(entry.Value()), 10, 64)
	if err != nil {
		return 0, event.Invalid(key, "remove the key from the bucket "+bus.BucketSpend, "%q is no sequence", entry.Value())
	}
	return n, nil
}

// writeMark stores a place in a stream. A slower projector may set it back,
// which only costs reading again.
func writeMark(ctx context.Context, kv jetstream.KeyValue, key string, n uint64) error {
	if _, err := kv.Put(ctx, key, []byte(strconv.FormatUint(n, 10))); err != nil {
		return unavailable("storing "+key, err)
	}
	return nil
}
