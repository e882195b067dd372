package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/budget"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

type limitsCmd struct {
	File string `help:"Catalog file; without one, the default catalog." env:"WEIR_CATALOG" placeholder:"FILE"`
}

// limits is what `weir limits --json` prints.
type limits struct {
	Limits    []budget.Status `json:"limits"`
	Providers []health        `json:"providers"`
}

// health is how the calls of one group of models fare.
type health struct {
	Provider string    `json:"provider"`
	Group    string    `json:"group,omitempty"` // "" is the whole key
	State    string    `json:"state"`
	Until    time.Time `json:"until,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	By       string    `json:"by,omitempty"`
}

// Run shows the limits of the catalog as the fleet has used them.
func (c limitsCmd) Run(e *env) error {
	models, err := readCatalog(c.File, "", time.Now())
	if err != nil {
		return err
	}
	var out limits
	err = e.withBus(func(b *bus.Bus) (err error) {
		ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
		defer cancel()
		if out.Limits, err = readLimits(ctx, b, models); err != nil {
			return coded(exitUnreachable, "%w", err)
		}
		if out.Providers, err = readHealth(ctx, b); err != nil {
			return coded(exitUnreachable, "%w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(out)
	}
	return e.printLimits(out)
}

func readLimits(ctx context.Context, b *bus.Bus, c *catalog.Catalog) ([]budget.Status, error) {
	kv, err := b.KeyValue(ctx, bus.BucketBudget)
	if err != nil {
		return nil, err
	}
	var out []budget.Status
	var seen []string
	for _, m := range c.Models {
		p, _ := c.Provider(m.Provider)
		g := guard.LimitGroup(p, m)
		if slices.Contains(seen, g.Name) {
			continue
		}
		seen = append(seen, g.Name)
		status, err := budget.Read(ctx, kv, g, time.Now())
		if err != nil {
			return nil, err
		}
		out = append(out, status...)
	}
	return out, nil
}

// readHealth listens to the breakers' bucket for a moment.
func readHealth(ctx context.Context, b *bus.Bus) (out []health, err error) {
	err = withHealth(ctx, b, func(h *guard.Health) error {
		out = healthOf(h)
		return nil
	})
	return out, err
}

func healthOf(h *guard.Health) []health {
	var out []health
	for _, s := range h.Statuses() {
		out = append(out, health{Provider: s.Target.Provider, Group: s.Target.Group, State: string(s.State), Until: s.Until, Reason: s.Reason, By: s.By})
	}
	return out
}

// withHealth runs fn while it listens to the breakers' bucket.
func withHealth(ctx context.Context, b *bus.Bus, fn func(*guard.Health) error) error {
	kv, err := b.KeyValue(ctx, bus.BucketBreakers)
	if err != nil {
		return err
	}
	h, err := guard.NewHealth(guard.HealthConfig{KV: kv, JetStream: b.JetStream(), Worker: "weir-limits", Settings: guard.DefaultSettings()})
	if err != nil {
		return err
	}
	listening, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.Run(listening) }()
	select {
	case <-h.Ready():
	case <-ctx.Done():
	}
	err = fn(h)
	stop()
	return errors.Join(err, <-done)
}

func (e *env) printLimits(l limits) error {
	if len(l.Limits) == 0 {
		fmt.Fprintln(e.out, "The catalog names no limits.")
	}
	err := e.table("limits", func(w io.Writer) {
		if len(l.Limits) > 0 {
			fmt.Fprintln(w, "GROUP\tLIMIT\tOF CATALOG\tIN FORCE\tBATCH STARTS IN\tINTERACTIVE IN\tUSED")
		}
		for _, s := range l.Limits {
			used := "-"
			if s.Used > 0 {
				used = fmt.Sprint(s.Used)
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\t%s\n", s.Group, s.Dimension, s.Limit, s.InForce,
				s.Reserved.Round(time.Millisecond), s.Interactive.Round(time.Millisecond), used)
		}
	})
	if err != nil {
		return err
	}
	for _, s := range l.Limits {
		if !s.NotBefore.IsZero() {
			fmt.Fprintf(e.out, "%s: its provider asked everybody to wait until %s\n", s.Group, s.NotBefore.Format(time.RFC3339))
		}
	}
	fmt.Fprintln(e.out)
	return e.table("limits", func(w io.Writer) {
		fmt.Fprintln(w, "PROVIDER\tGROUP\tSTATE\tUNTIL\tWHY")
		for _, h := range l.Providers {
			until := "-"
			if !h.Until.IsZero() {
				until = h.Until.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", h.Provider, h.Group, h.State, until, h.Reason)
		}
		if len(l.Providers) == 0 {
			fmt.Fprintln(w, "-\t-\tall work\t-\t")
		}
	})
}
