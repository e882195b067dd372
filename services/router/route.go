package router

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/stage"
)

// chain lists the models for a job that names one (or none), the first choice
// first.
func (s *Service) chain(name string) ([]string, error) {
	if name == "" {
		name = s.cfg.Model
	}
	c := s.ports.Catalog.Current()
	if m, ok := c.Model(name); !ok || m.Mode != catalog.ModeChat {
		var known []string
		for _, m := range c.ChatModels() {
			known = append(known, m.ID)
		}
		return nil, event.Invalid("model", "leave it out or use one of "+strings.Join(known, ", "), "unknown model %q", name)
	}
	return c.Chain(name), nil
}

// choose takes the first model of chain that can be called. When none can, it
// takes the one that is expected back first, to wait for. fallback says whether
// another one of chain may take over from it.
func (s *Service) choose(chain []string) (model string, fallback bool) {
	var soonest time.Time
	for i, name := range chain {
		status := s.guard.Status(name)
		callable := status.Callable(s.p.Now())
		if status.State == guard.Probing { // for the router always callable: it is to send some
			callable = s.probes.next(name, s.p.Now())
		}
		if callable {
			return name, i+1 < len(chain)
		}
		if model == "" || status.Until.Before(soonest) {
			model, soonest = name, status.Until
		}
	}
	return model, false
}

// probeEvery is how often a router sends a task to a model that is being probed.
const probeEvery = time.Second

// probes lets through a trickle of tasks by which it is found out that a model
// works again.
type probes struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// next says whether it is time for another one.
func (p *probes) next(model string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last[model]) < probeEvery {
		return false
	}
	if p.last == nil {
		p.last = map[string]time.Time{}
	}
	p.last[model] = now
	return true
}

// route decides what becomes of a task that its model could not do: the next model
// of the chain that can be called takes it.
func (s *Service) route(_ context.Context, in *bus.Message) ([]bus.Out, error) {
	failed, err := event.Decode[event.RouteTask](in.Data)
	if err != nil {
		return nil, err
	}
	task := failed.Task
	task.Tried = append(task.Tried, task.Model)
	first := task.Tried[0]
	chain, err := s.chain(first)
	if err != nil {
		return nil, stage.WithReceipt(err, task.Receipt) // the catalog lost the model meanwhile
	}
	left := slices.DeleteFunc(slices.Clone(chain), func(name string) bool { return slices.Contains(task.Tried, name) })
	switch {
	case len(left) > 0:
		task.Model, task.Fallback = s.choose(left)
	case !failed.Error.Class.Retryable() && failed.RetryAfterMS == 0:
		return nil, stage.WithReceipt(fmt.Errorf("no model of %s is left: %w", strings.Join(chain, ", "), failed.Error), task.Receipt)
	default:
		// All were tried and may be back: wait for the first that is.
		task.Model, _ = s.choose(chain)
		task.Fallback, task.Tried = false, nil
	}
	task.Hop++
	out, err := taskOut(&task)
	if err != nil {
		return nil, err
	}
	life := event.Life{Type: event.LifeFallback, Stage: "router", Attempt: in.Deliveries,
		Detail: fmt.Sprintf("model %s: %s", task.Model, failed.Error.Message), Error: failed.Error}
	s.metrics.fallbacks.WithLabelValues(failed.Task.Model, task.Model).Inc()
	return []bus.Out{out, stage.LifeOut(task.Tenant, task.ID, s.p.Now(), life)}, nil
}

// taskOut is the message that sends a task to its model's generators.
func taskOut(task *event.GenerateTask) (bus.Out, error) {
	out, err := stage.StepOut(event.GenerateSubject(task.Model, task.Lane, task.Tenant), fmt.Sprint("generate-", task.Hop), task.Envelope, task)
	if err == nil {
		out.Header.Set(stage.HeaderTokens, fmt.Sprint(weight(task)))
	}
	return out, err
}

// weight is about how many tokens a task takes, for the fairness among tenants.
func weight(task *event.GenerateTask) int {
	const answer = 256 // of an answer of usual length
	n := answer
	for _, m := range task.Messages {
		n += len(m.Content) / 4
	}
	return n
}
