package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type watchCmd struct {
	Job     string        `arg:"" help:"Job id; it may be submitted later."`
	Timeout time.Duration `default:"0" help:"How long to watch (0: to the end)."`
}

// Run follows a job from its beginning to its end.
func (c *watchCmd) Run(e *env) error {
	if err := event.CheckName("job", c.Job); err != nil {
		return coded(exitUsage, "%w", err)
	}
	return e.withClient(func(cl *client.Client) error { return c.follow(e, cl) })
}

func (c *watchCmd) follow(e *env, cl *client.Client) error {
	ctx, cancel := e.withTimeout(c.Timeout)
	defer cancel()
	if _, err := cl.Result(ctx, e.Tenant, c.Job); err != nil && !errors.Is(err, client.ErrNoResult) {
		return err // nothing to wait for: no Weir has run there
	}
	midLine := false
	follower := client.Follower{
		Life: func(l event.Life) {
			if midLine {
				fmt.Fprintln(e.out)
				midLine = false
			}
			fmt.Fprintln(e.out, lifeLine(l))
		},
		Delta: func(text string) { fmt.Fprint(e.out, text); midLine = true },
		Restart: func() {
			fmt.Fprint(e.out, "\n[the answer broke off and starts over]\n")
			midLine = false
		},
	}
	if e.JSON {
		follower = client.Follower{Life: func(l event.Life) { e.printJSON(l) }} //nolint:errcheck // stdout may be closed
	}
	result, err := cl.Follow(ctx, e.Tenant, c.Job, follower)
	if midLine && result.Answer == nil {
		fmt.Fprintln(e.out)
	}
	if err != nil {
		return waitError(err, c.Job)
	}
	if result.Answer != nil && !e.JSON { // its text is there
		printEnd(e.out, result)
		return nil
	}
	return e.printResult(result)
}

func lifeLine(l event.Life) string {
	line := fmt.Sprintf("%s  %-9s %s", l.At.Local().Format("15:04:05.000"), l.Stage, l.Type)
	if l.Attempt > 1 {
		line += fmt.Sprintf(" (delivery %d)", l.Attempt)
	}
	if l.Detail != "" {
		line += ": " + l.Detail
	}
	if l.Error != nil {
		line += ": " + l.Error.Error()
	}
	if l.RetryMS > 0 {
		line += fmt.Sprintf("; again in %s", ms(float64(l.RetryMS)))
	}
	return line
}
