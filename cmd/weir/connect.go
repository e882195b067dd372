package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// connect opens a client, or says how to start what is missing.
func (e *env) connect() (*client.Client, *nats.Conn, error) {
	url := cmp.Or(e.NatsURL, nats.DefaultURL)
	opts := []nats.Option{
		nats.Name("weir-cli"), nats.Timeout(5 * time.Second), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: closed by us
				fmt.Fprintf(e.err, "weir: lost the NATS server at %s (%v); waiting for it\n", url, err)
			}
		}),
	}
	if e.NatsCreds != "" {
		opts = append(opts, nats.UserCredentials(e.NatsCreds))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, nil, coded(exitUnreachable, "no NATS server at %s: %w; start Weir with `weir up`, or set --nats-url", url, err)
	}
	c, err := client.New(nc)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return c, nc, nil
}

// withTimeout bounds a command's wait; 0 waits for ever.
func (e *env) withTimeout(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return context.WithCancel(e.ctx)
	}
	return context.WithTimeout(e.ctx, timeout)
}

// waitError says what a wait that ended without a result means.
func waitError(err error, job string) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return coded(exitTimeout, "job %s has no result yet; ask later with `weir result %s`", job, job)
	case errors.Is(err, context.Canceled):
		return coded(exitError, "interrupted; job %s goes on: ask with `weir result %s`", job, job)
	}
	return err
}

// jobError is the error of a failed job, nil of any other.
func jobError(r event.Result) error {
	if r.Status != event.StatusFailed {
		return nil
	}
	return coded(exitJobFailed, "job %s failed: %w", r.ID, r.Error)
}

// printJSON prints one value a line.
func (e *env) printJSON(value any) error {
	if err := json.NewEncoder(e.out).Encode(value); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}
