package notifier

import (
	"context"
	"slices"
	"strings"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/webhook"
)

// fanOut makes a delivery for each receiver that is to be told of a result. Doing it
// again makes the same ones.
func (s *Service) fanOut(ctx context.Context, msg *bus.Message) error {
	r, err := s.result(ctx, msg)
	if err != nil {
		if event.AsError(err).Class.Retryable() {
			return err
		}
		s.p.Logger.WarnContext(ctx, "webhooks: skipping a result", "subject", msg.Subject, "error", err)
		return nil
	}
	agreed := s.ports.Catalog.Current().Tenant(r.Tenant)
	for _, to := range receivers(&agreed, r.Webhook, webhook.TypeOf(&r)) {
		d, err := s.store.Create(ctx, webhook.NewDelivery(&r, to, s.p.Now()))
		if err != nil {
			return err
		}
		if d.State != webhook.StateWaiting || d.Attempts > 0 {
			continue // of an earlier delivery of the result
		}
		out, err := d.Due().Out(d.Tenant)
		if err != nil {
			return err
		}
		out.ID = d.Tenant + "." + d.ID
		if err := s.bus.Publish(ctx, out); err != nil {
			return err
		}
		s.metrics.created.Inc()
	}
	return nil
}

// result reads a stored result; whose it is, is said by its subject.
func (s *Service) result(ctx context.Context, msg *bus.Message) (event.Result, error) {
	parts := strings.Split(msg.Subject, ".")
	if len(parts) != 4 || event.CheckName("tenant", parts[2]) != nil || event.CheckName("id", parts[3]) != nil {
		return event.Result{}, event.Invalid("subject", "use weir.results.<tenant>.<job>", "got %q", msg.Subject)
	}
	if err := s.bus.Resolve(ctx, msg); err != nil {
		return event.Result{}, err
	}
	r, err := event.Decode[event.Result](msg.Data)
	r.Tenant, r.ID = parts[2], parts[3]
	if len(r.Webhook) > event.MaxField { // the job was refused for it
		r.Webhook = ""
	}
	return r, err
}

// receivers lists who is told: whom the job names, and the tenant's endpoints that
// ask for events of the type.
func receivers(t *catalog.Tenant, named, typ string) []string {
	var to []string
	for _, e := range t.Webhooks.Endpoints {
		if named != "" && (named == e.ID || named == e.URL) {
			named = ""
			to = append(to, e.ID)
		} else if slices.Contains(e.Events, typ) || slices.Contains(e.Events, webhook.Any) {
			to = append(to, e.ID)
		}
	}
	if named != "" {
		to = append(to, named)
	}
	return to
}
