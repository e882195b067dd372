package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/lifecycle"
	"github.com/weir-dev/weir/pkg/webhook"
)

type webhooksCmd struct {
	Ls        webhooksLsCmd        `cmd:"" help:"List the deliveries of the tenant's webhooks, the newest first."`
	Redeliver webhooksRedeliverCmd `cmd:"" help:"Deliver a webhook again, whatever became of it."`
	Test      webhooksTestCmd      `cmd:"" help:"Send a test event and wait for what comes of it."`
	Secret    webhooksSecretCmd    `cmd:"" help:"Print the generated secret of the tenant \"default\"."`
}

// askTimeout bounds a command that asks for what is stored.
const askTimeout = 30 * time.Second

// withDeliveries runs fn with the deliveries on a connection of its own.
func (e *env) withDeliveries(fn func(ctx context.Context, s *webhook.Store) error) error {
	return e.withBus(func(b *bus.Bus) error {
		ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
		defer cancel()
		return fn(ctx, webhook.NewStore(b, time.Now))
	})
}

type webhooksLsCmd struct {
	State string `enum:"waiting,delivered,dead,any" default:"any" help:"Only those that are waiting, delivered or dead."`
	Job   string `placeholder:"ID" help:"Only those of one job."`
	Limit int    `default:"100" help:"How many, at most 1000."`
}

// Run prints deliveries.
func (c *webhooksLsCmd) Run(e *env) error {
	q := webhook.Query{State: webhook.State(c.State), Job: c.Job, Limit: c.Limit}
	if c.State == "any" {
		q.State = ""
	}
	var found []webhook.Delivery
	err := e.withDeliveries(func(ctx context.Context, s *webhook.Store) (err error) {
		found, err = s.List(ctx, e.Tenant, q)
		return err
	})
	if err != nil {
		return err
	}
	if e.JSON {
		return printLines(e, found)
	}
	return e.printDeliveries(found)
}

func (e *env) printDeliveries(found []webhook.Delivery) error {
	return e.table("deliveries", func(w io.Writer) {
		fmt.Fprintln(w, "DELIVERY\tJOB\tTYPE\tTO\tSTATE\tTRIES\tNEXT\tERROR")
		for _, d := range found {
			next := "-"
			if !d.Next.IsZero() {
				next = d.Next.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", d.ID, d.Job, d.Type, d.To, d.State, d.Attempts, next, d.Error)
		}
	})
}

type webhooksRedeliverCmd struct {
	Delivery string `arg:"" help:"Its id, as weir webhooks ls shows it."`
}

// Run asks for a delivery again and waits for what comes of the first try.
func (c *webhooksRedeliverCmd) Run(e *env) error {
	return e.withDeliveries(func(ctx context.Context, s *webhook.Store) error {
		d, err := s.Redeliver(ctx, e.Tenant, c.Delivery)
		if errors.Is(err, webhook.ErrNone) {
			return coded(exitUsage, "tenant %s has no delivery %s; see `weir webhooks ls`", e.Tenant, c.Delivery)
		}
		if err != nil {
			return err
		}
		return e.awaitTry(ctx, s, d.ID, d.Round+1)
	})
}

type webhooksTestCmd struct {
	To string `arg:"" help:"The id of one of the tenant's endpoints, or a URL."`
}

// Run sends a test.
func (c *webhooksTestCmd) Run(e *env) error {
	return e.withDeliveries(func(ctx context.Context, s *webhook.Store) error {
		d, err := s.Send(ctx, e.Tenant, c.To)
		if err != nil {
			return err
		}
		return e.awaitTry(ctx, s, d.ID, d.Round)
	})
}

// pollEvery is how often a delivery is looked at.
const pollEvery = 100 * time.Millisecond

// awaitTry waits for the first try of a round and prints the delivery.
func (e *env) awaitTry(ctx context.Context, s *webhook.Store, id string, round int) error {
	for {
		d, err := s.Get(ctx, e.Tenant, id)
		if err == nil && d.Round >= round && d.Attempts > 0 {
			return e.printTry(d)
		}
		if err == nil {
			err = lifecycle.Sleep(ctx, pollEvery)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			return coded(exitTimeout, "delivery %s was not tried yet: is a notifier running? See `weir webhooks ls`", id)
		}
		if err != nil {
			return err
		}
	}
}

// printTry prints a delivery; one that failed is an error as well.
func (e *env) printTry(d webhook.Delivery) error {
	if e.JSON {
		if err := e.printJSON(d); err != nil {
			return err
		}
	}
	switch {
	case d.State == webhook.StateDelivered && !e.JSON:
		fmt.Fprintf(e.out, "%s delivered to %s: %d\n", d.ID, d.To, d.Status)
	case d.State == webhook.StateDead:
		return coded(exitError, "%s was given up: %s", d.ID, d.Error)
	case d.State == webhook.StateWaiting:
		return coded(exitError, "%s failed and is tried again at %s: %s", d.ID, d.Next.Format(time.RFC3339), d.Error)
	}
	return nil
}

type webhooksSecretCmd struct{}

// Run prints the generated secret.
func (c *webhooksSecretCmd) Run(e *env) error {
	if !webhook.HasGenerated(e.Tenant) {
		return coded(exitUsage, "the secrets of tenant %s are in its entry of the tenants file; only \"default\" has a generated one", e.Tenant)
	}
	return e.withBus(func(b *bus.Bus) error {
		ctx, cancel := context.WithTimeout(e.ctx, askTimeout)
		defer cancel()
		secret, err := webhook.Generated(ctx, b)
		if err != nil {
			return err
		}
		if e.JSON {
			return e.printJSON(map[string]string{"secret": secret})
		}
		fmt.Fprintln(e.out, secret)
		return nil
	})
}
