package guard

import (
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/catalog"
)

// LimitGroup is the group of limits of a model, with the laws of its provider.
func LimitGroup(p catalog.Provider, m catalog.Model) budget.Group {
	group := budget.Group{Name: p.ID + "." + m.Group()}
	day := 24 * time.Hour
	for _, l := range []struct {
		dimension string
		limit     int64
		window    time.Duration
	}{
		{budget.Requests, m.Limits.RPM, time.Minute}, {budget.Tokens, m.Limits.TPM, time.Minute},
		{budget.Input, m.Limits.ITPM, time.Minute}, {budget.Output, m.Limits.OTPM, time.Minute},
		{budget.DayRequests, m.Limits.RPD, day}, {budget.DayTokens, m.Limits.TPD, day},
		{budget.Concurrency, m.Limits.Concurrency, 0},
	} {
		if l.limit > 0 {
			group.Laws = append(group.Laws, law(p.Dialect, l.dimension, l.limit, l.window))
		}
	}
	return group
}

// BatchTokens is how many tokens one call should have at most so that admission
// finds it a place as soon as others: what the limits let through in a second, or
// two where few requests are allowed. Calls reserve 2.5 s ahead (the horizon of
// pkg/budget): one that takes longer waits while smaller ones go past it. 0 is no
// bound.
func BatchTokens(m catalog.Model) int {
	l := m.Limits
	perMinute := int64(0)
	for _, n := range []int64{l.TPM, l.ITPM, l.TPD} {
		if n > 0 && (perMinute == 0 || n < perMinute) {
			perMinute = n
		}
	}
	if perMinute == 0 {
		return 0
	}
	calls := int64(60)
	if l.RPM > 0 {
		calls = min(calls, max(l.RPM/2, 30)) // the other half is for questions
	}
	return int(max(perMinute/calls, 1))
}

func law(d catalog.Dialect, dimension string, limit int64, window time.Duration) budget.Law {
	name := d.Limiter.Laws[dimension]
	if name == "" {
		name = d.Limiter.Law
	}
	out := budget.Law{Dimension: dimension, Limit: limit, Window: window, Law: budget.Bucket,
		// Output is counted as it is produced, whatever the provider does about input.
		Settle: d.Settle == "actual" || dimension == budget.Output}
	switch {
	case dimension == budget.Concurrency:
		out.Law = ""
	case name == budget.Fixed:
		out.Law = budget.Fixed
	case name == budget.Sub && window == time.Minute:
		out.Law, out.Sub = budget.Sub, time.Duration(d.Limiter.Sub)
	}
	if zone, err := time.LoadLocation(d.Limiter.ResetZone); err == nil && out.Law == budget.Fixed {
		out.Zone = zone
	}
	return out
}
