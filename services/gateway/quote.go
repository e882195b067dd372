package gateway

import (
	"context"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/why"
	"github.com/weir-dev/weir/services/gateway/internal/quote"
)

// foresight is what the gateway knows of what jobs take, and why they wait.
type foresight struct {
	guard    *guard.Guard
	learner  *quote.Learner
	forecast *why.Forecaster
}

// newForesight returns what answers dry runs, and says why jobs wait.
func newForesight(p platform.Platform, cfg *Config, b *bus.Bus, c Catalog) (*foresight, error) {
	f := &foresight{learner: quote.NewLearner(b, p.Logger, p.Now)}
	var err error
	if f.guard, err = guard.For(p, "gateway", b, guard.Config{Catalog: c, Dial: noCalls}); err != nil {
		return nil, err
	}
	f.forecast, err = why.New(why.Config{Bus: b, Catalog: c.Current, Model: cfg.Model, EmbeddingModel: cfg.EmbeddingModel, Now: p.Now,
		Status: func(m catalog.Model) guard.Status { return f.guard.Status(m.ID) }, Pace: f.learner.Pace})
	return f, err
}

// noCalls: the gateway asks the guard how models are, and calls none.
func noCalls(catalog.Provider, catalog.Model) (llm.Endpoint, error) {
	return nil, event.Errorf(event.ClassInternal, "the gateway makes no calls")
}

// members are the services that it needs.
func (f *foresight) members() []lifecycle.Member {
	return []lifecycle.Member{{Name: "guard", Service: f.guard}, {Name: "quotes", Service: f.learner}}
}

// quoter makes quotes of the jobs of a configuration.
func (f *foresight) quoter(p platform.Platform, cfg *Config, c Catalog) Quoter {
	return quote.New(quote.Config{Catalog: c.Current, Counter: f.guard, Learner: f.learner, Forecast: f.forecast, Now: p.Now,
		EmbeddingModel: cfg.EmbeddingModel, TopK: cfg.TopK, ContextTokens: cfg.ContextTokens})
}

// Explain implements Explainer.
func (f *foresight) Explain(ctx context.Context, tenant string, job client.Job) (any, error) {
	reason, err := f.forecast.Explain(ctx, tenant, job)
	if err != nil || reason == nil {
		return nil, err
	}
	return reason, nil
}
