package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const (
	// leaseTTL is how long after a holder's death another one takes over.
	leaseTTL   = 10 * time.Second
	renewEvery = leaseTTL / 3
)

// holdLease runs work while this process holds the lease. It returns nil when
// another process has it.
func (cfg ProjectorConfig) holdLease(ctx context.Context, work func(context.Context) error) error {
	kv, err := cfg.Bus.KeyValue(ctx, bus.BucketSpend)
	if err != nil {
		return err
	}
	revision, err := kv.Create(ctx, keyLease, []byte(cfg.Worker), jetstream.KeyTTL(leaseTTL))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	if err != nil {
		return unavailable("taking the lease", err)
	}
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	renewed := make(chan uint64, 1)
	go func() {
		last, err := cfg.renew(working, revision)
		stop(err)
		renewed <- last
	}()
	err = work(working)
	stop(nil)
	last := <-renewed
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
	defer cancel()
	// Another process need not wait then; if it fails, the lease ends by itself.
	kv.Delete(release, keyLease, jetstream.LastRevision(last)) //nolint:errcheck // see above
	return err
}

// renew keeps the lease until ctx ends or it is lost, and returns its last
// revision. The bucket's own Update would drop the time to live.
func (cfg ProjectorConfig) renew(ctx context.Context, revision uint64) (uint64, error) {
	for lifecycle.Sleep(ctx, renewEvery) == nil {
		msg := &nats.Msg{Subject: "$KV." + bus.BucketSpend + "." + keyLease, Data: []byte(cfg.Worker)}
		ack, err := cfg.Bus.JetStream().PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(revision), jetstream.WithMsgTTL(leaseTTL))
		if err != nil {
			return revision, unavailable("renewing the lease", err)
		}
		revision = ack.Sequence
	}
	return revision, nil
}
