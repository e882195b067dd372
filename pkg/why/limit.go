package why

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

const (
	// noticeable is the lead of a limit's reservations from which on it holds calls.
	noticeable = 500 * time.Millisecond
	// usualTokens are those of a task of which nothing is known.
	usualTokens = 1000
)

// limits are how those of a model stand.
type limits struct {
	held    *hold         // by the one that binds
	perTask time.Duration // that they let a task take
	pacing  *hold         // by the one that lets a task take that
}

// limits reads how the limits of a model stand.
func (f *Forecaster) limits(ctx context.Context, p catalog.Provider, m catalog.Model, lane event.Lane, now time.Time) (limits, error) {
	var out limits
	kv, err := f.cfg.Bus.KeyValue(ctx, bus.BucketBudget)
	if err != nil {
		return out, err
	}
	group := guard.LimitGroup(p, m)
	stands, err := budget.Read(ctx, kv, group, now)
	if err != nil {
		return out, event.Errorf(event.ClassUnavailable, "reading the limits of %s: %w", group.Name, err)
	}
	tokens := cmp.Or(f.cfg.Pace(m.ID).Tokens, usualTokens)
	for i, s := range stands {
		if each := perTask(&s, &group.Laws[i], tokens); each > out.perTask {
			out.perTask, out.pacing = each, limitOf(&s)
		}
		if h := holds(&s, &group.Laws[i], lane, now); h != nil && (out.held == nil || h.until.After(out.held.until)) {
			out.held = h
		}
	}
	return out, nil
}

// holds is the limit as what holds a call, nil when it does not.
func holds(s *budget.Status, l *budget.Law, lane event.Lane, now time.Time) *hold {
	h := limitOf(s)
	lead := s.Reserved
	if lane == event.LaneInteractive {
		lead = s.Interactive
	}
	switch {
	case s.NotBefore.After(now):
		h.until, h.Detail = s.NotBefore, "the provider of "+s.Group+" asked to wait"
	case l.Window >= 24*time.Hour && s.Used > 0 && s.Used >= s.InForce:
		h.until = dayEnd(l, now)
	case s.Dimension == budget.Concurrency && s.Used >= s.Limit:
		h.until = now
	case lead >= noticeable:
		h.until = now.Add(lead)
	default:
		return nil
	}
	return h
}

func limitOf(s *budget.Status) *hold {
	return &hold{Reason: Reason{Cause: event.WaitLimit, Name: s.Group + " " + s.Dimension,
		Detail: fmt.Sprintf("limit %s of %s (%d)", s.Dimension, s.Group, s.InForce)}}
}

// dayEnd is when a day's limit is whole again.
func dayEnd(l *budget.Law, now time.Time) time.Time {
	zone := l.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, zone)
}

// perTask is how long a limit takes to let a task through.
func perTask(s *budget.Status, l *budget.Law, tokens int) time.Duration {
	if s.InForce <= 0 || l.Window == 0 || l.Window >= 24*time.Hour {
		return 0
	}
	units := int64(1)
	switch s.Dimension {
	case budget.Tokens, budget.Input:
		units = int64(tokens)
	case budget.Output:
		units = int64(tokens) / 4
	}
	return time.Duration(float64(l.Window) * float64(units) / float64(s.InForce))
}
