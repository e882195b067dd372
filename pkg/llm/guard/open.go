package guard

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/tokens"
)

// open makes the parts on the fleet's buckets, and says what is to run.
func (g *Guard) open(ctx context.Context) (parts []func(context.Context) error, err error) {
	cfg := &g.cfg
	kv := func(bucket string) (store jetstream.KeyValue) {
		if err == nil {
			store, err = cfg.Bus.KeyValue(ctx, bucket)
		}
		return store
	}
	limits, breakers, calibration := kv(bus.BucketBudget), kv(bus.BucketBreakers), kv(bus.BucketCalibration)
	if err != nil {
		return nil, err
	}
	g.limiter, err = budget.New(budget.Config{KV: limits, Worker: cfg.Worker, Now: cfg.Now, Logger: cfg.Logger, Registerer: cfg.Registerer})
	if err != nil {
		return nil, err
	}
	g.health, err = NewHealth(HealthConfig{KV: breakers, JetStream: cfg.Bus.JetStream(), Worker: cfg.Worker, Settings: cfg.Health,
		Now: cfg.Now, Logger: cfg.Logger, Registerer: cfg.Registerer})
	if err != nil {
		return nil, err
	}
	g.ledger = ledger.New(cfg.Bus, cfg.Now)
	g.spend, err = ledger.NewSpend(ledger.SpendConfig{Bus: cfg.Bus, Budget: g.budgetOf, Now: cfg.Now, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	g.calibration = tokens.NewCalibration(cfg.Now)
	learned := tokens.NewStore(calibrationKV{calibration}, "tokens", g.calibration)
	parts = []func(context.Context) error{g.limiter.Run, g.health.Run, g.spend.Run, func(ctx context.Context) error {
		if err := learned.Run(ctx); err != nil {
			cfg.Logger.Warn("keeping the token calibration", "error", err)
		}
		return nil
	}}
	if cfg.Project {
		projector, err := ledger.NewProjector(ledger.ProjectorConfig{Bus: cfg.Bus, Worker: cfg.Worker, Now: cfg.Now, Logger: cfg.Logger})
		if err != nil {
			return nil, err
		}
		parts = append(parts, projector.Run)
	}
	return parts, nil
}

// calibrationKV keeps a calibration in a bucket.
type calibrationKV struct{ kv jetstream.KeyValue }

// Get implements tokens.KV.
func (c calibrationKV) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	entry, err := c.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return entry.Value(), entry.Revision(), nil
}

// Put implements tokens.KV.
func (c calibrationKV) Put(ctx context.Context, key string, value []byte, revision uint64) error {
	_, err := c.kv.Update(ctx, key, value, revision)
	if bus.IsConflict(err) {
		return tokens.ErrConflict
	}
	return err
}
