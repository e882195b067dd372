package guard

import (
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
)

// budgetOf is a tenant's budget in the ledger's terms, false without one.
func (g *Guard) budgetOf(tenant string, now time.Time) (ledger.Budget, bool) {
	b := g.cfg.Catalog.Current().Tenant(tenant).Budget
	if b == nil {
		return ledger.Budget{}, false
	}
	start, end := b.Window(now)
	return ledger.Budget{NanoUSD: b.NanoUSD(), Start: start, End: end, Policy: ledger.Policy(b.Policy), AlertAt: b.AlertAt, Soft: b.Soft}, true
}

// Broke reports whether a tenant's budget lets nothing start now and later will:
// its messages are best left in the stream.
func (g *Guard) Broke(tenant string) bool {
	if !g.isReady() {
		return false
	}
	now := g.cfg.Now()
	b, ok := g.budgetOf(tenant, now)
	if !ok {
		return false
	}
	verdict, hold := g.spend.Gate(b, tenant, now, 1)
	hold.Done(now, 0)
	return verdict.Decision == ledger.Wait
}

// Afford waits until the tenant's budget has room for a call of about the usage,
// or fails, as the budget says.
func (g *Guard) Afford(ctx context.Context, c Call, u llm.Usage) error {
	m, err := g.begin(ctx, c.Model, catalog.ModeEmbedding)
	if err != nil {
		return err
	}
	hold, err := g.afford(ctx, &c, g.price(m, u, ""))
	hold.Done(g.cfg.Now(), 0)
	return err
}

// afford waits for the budget of the call's tenant. While it waits for money the
// call does not count as one that waits for the limits.
func (g *Guard) afford(ctx context.Context, c *Call, estimate int64) (*ledger.Hold, error) {
	for c.Tenant != "" {
		now := g.cfg.Now()
		b, ok := g.budgetOf(c.Tenant, now)
		if !ok {
			break
		}
		verdict, hold := g.spend.Gate(b, c.Tenant, now, estimate)
		switch verdict.Decision {
		case ledger.Allow:
			return hold, nil
		case ledger.Fail:
			return nil, verdict.Err(now)
		}
		if c.Admitted != nil {
			c.Admitted()
		}
		if c.OnWait != nil {
			c.OnWait(Wait{Cause: event.WaitBudget, Name: c.Tenant, Reason: verdict.Reason, Until: verdict.Until})
		}
		// The budget may be raised meanwhile.
		if err := lifecycle.Sleep(ctx, min(max(verdict.Until.Sub(now), 10*time.Millisecond), budgetEvery)); err != nil {
			return nil, fmt.Errorf("waiting for the budget of tenant %s: %w", c.Tenant, err)
		}
	}
	return nil, nil
}

// budgetEvery is how often a call that waits for money looks again.
const budgetEvery = time.Second

// Price is the cost of a call of a model in nano-USD at the prices of now, 0 for an
// unknown one.
func (g *Guard) Price(name string, u llm.Usage) int64 {
	m, ok := g.cfg.Catalog.Current().Model(name)
	if !ok {
		return 0
	}
	return g.price(&model{Model: m}, u, "")
}

// Status is how a model of the catalog is, as breakers see it; the zero value for
// an unknown one.
func (g *Guard) Status(name string) Status {
	m, ok := g.cfg.Catalog.Current().Model(name)
	if !ok || !g.isReady() {
		return Status{}
	}
	return g.health.Check(TargetOf(m))
}

func (g *Guard) isReady() bool {
	select {
	case <-g.ready:
		return true
	default:
		return false
	}
}

// Pressure says how far a tenant is ahead of an even spending of its budget, from 0
// (not, or it has none) to 1 (it will be used up at half of the period).
func (g *Guard) Pressure(tenant string) float64 {
	now := g.cfg.Now()
	b, ok := g.budgetOf(tenant, now)
	if !ok || b.NanoUSD <= 0 || !g.isReady() {
		return 0
	}
	passed := now.Sub(b.Start).Seconds() / b.End.Sub(b.Start).Seconds()
	spent := float64(g.spend.Spent(tenant, b.Start, b.End)) / float64(b.NanoUSD)
	return min(max(spent/max(passed, 1.0/31)-1, 0), 1)
}
