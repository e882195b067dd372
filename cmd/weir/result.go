package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type resultCmd struct {
	Job     string        `arg:"" help:"Job id."`
	Wait    bool          `help:"Wait until there is a result."`
	Timeout time.Duration `default:"0" help:"How long to wait with --wait (0: for ever)."`
}

// Run prints a stored result.
func (c *resultCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		if c.Wait {
			return e.await(cl, e.Tenant, c.Job, c.Timeout)
		}
		result, err := cl.Result(e.ctx, e.Tenant, c.Job)
		if errors.Is(err, client.ErrNoResult) {
			return coded(exitNoResult, "%w; it may be waiting, running or unknown: see `weir watch %s` and `weir status`", err, c.Job)
		}
		if err != nil {
			return err
		}
		return e.printResult(result)
	})
}

// await waits for a tenant's job and prints its result.
func (e *env) await(cl *client.Client, tenant, job string, timeout time.Duration) error {
	ctx, cancel := e.withTimeout(timeout)
	defer cancel()
	result, err := cl.Await(ctx, tenant, job)
	if err != nil {
		return waitError(err, job)
	}
	return e.printResult(result)
}

// printResult prints a result; a failed job is an error as well.
func (e *env) printResult(r event.Result) error {
	if e.JSON {
		return errors.Join(e.printJSON(r), jobError(r))
	}
	switch {
	case r.Answer != nil:
		fmt.Fprint(e.out, r.Answer.Text)
		printEnd(e.out, r)
	case r.Ingested != nil:
		fmt.Fprintf(e.out, "document %s in collection %s: %s, %s\n", r.Ingested.Document, r.Ingested.Collection,
			outcomeLine(r.Ingested), plural(r.Ingested.Tokens, "token"))
	case r.Verified != nil:
		e.printVerified(r.Verified)
	case r.Reindexed != nil:
		fmt.Fprintf(e.out, "%s read again\n", plural(r.Reindexed.Documents, "document"))
	}
	return jobError(r)
}
