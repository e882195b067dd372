package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// alert looks at the budgets of tenants whose totals changed. A tenant stays in
// changed until its alerts are out.
func (s *Spend) alert(ctx context.Context, kv jetstream.KeyValue, changed map[string]bool) {
	for tenant := range changed {
		if err := s.alertTenant(ctx, kv, tenant); err != nil {
			s.cfg.Logger.DebugContext(ctx, "sending a budget alert", "tenant", tenant, "error", err)
			return // the server is out of reach; again with the next tick
		}
		delete(changed, tenant)
	}
}

// alertTenant sends an alert for each part of the budget that is reached.
func (s *Spend) alertTenant(ctx context.Context, kv jetstream.KeyValue, tenant string) error {
	if s.cfg.Budget == nil {
		return nil
	}
	now := s.cfg.Now()
	b, ok := s.cfg.Budget(tenant, now)
	if !ok || b.NanoUSD <= 0 {
		return nil
	}
	spent := s.Spent(tenant, b.Start, b.End)
	for _, part := range []float64{b.AlertAt, 1} {
		if part <= 0 || float64(spent) < part*float64(b.NanoUSD) {
			continue
		}
		if err := s.alertOnce(ctx, kv, alert{tenant, b, spent, part, now}); err != nil {
			return err
		}
	}
	return nil
}

// alert is one alert: of a tenant, a window and a part of its budget.
type alert struct {
	tenant string
	budget Budget
	spent  int64
	part   float64
	at     time.Time
}

// alertOnce sends the alert unless any process has. The flag is set after the
// message is stored, whose id keeps a second process from storing it meanwhile.
func (s *Spend) alertOnce(ctx context.Context, kv jetstream.KeyValue, a alert) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := fmt.Sprintf("%s%s.%s.%.0f", alertPrefix, day(a.budget.Start), a.tenant, a.part*100)
	if s.alerted[key] {
		return nil
	}
	_, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if err = s.cfg.Bus.Publish(ctx, a.out(key)); err == nil {
			_, err = kv.Create(ctx, key, []byte(a.at.UTC().Format(time.RFC3339)))
		}
	}
	if err != nil && !errors.Is(err, jetstream.ErrKeyExists) {
		return storeError("sending alert "+key, err)
	}
	s.alerted[key] = true
	return nil
}

// out is the alert's message. Its place among the tenant's jobs has the name of
// the budget's window.
func (a alert) out(id string) bus.Out {
	name := "budget-" + day(a.budget.Start)
	data, err := json.Marshal(event.Life{
		V: event.Version, ID: name, Type: event.LifeBudget, At: a.at.UTC(), Stage: "ledger",
		Detail: fmt.Sprintf("tenant %s has spent %s, %.0f %% of its budget of %s until %s", a.tenant, usd(a.spent),
			100*float64(a.spent)/float64(a.budget.NanoUSD), usd(a.budget.NanoUSD), day(a.budget.End)),
	})
	if err != nil {
		data = []byte("{}") // cannot happen: Life has plain fields only
	}
	return bus.Out{Subject: event.LifeSubject(a.tenant, name), ID: id, Data: data}
}
