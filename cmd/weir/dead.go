package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/dead"
	"github.com/weir-dev/weir/pkg/event"
)

type deadCmd struct {
	Ls      deadLsCmd      `cmd:"" help:"List the causes for which messages were given up, or the letters."`
	Show    deadShowCmd    `cmd:"" help:"Show a letter, what it holds and what became of it."`
	Redrive deadRedriveCmd `cmd:"" help:"Publish letters again, one, some or all, with an edit if need be."`
}

// deadTimeout bounds a command: many letters take a while.
const deadTimeout = 10 * time.Minute

// withDead runs fn with the dead letters on a connection of its own.
func (e *env) withDead(fn func(ctx context.Context, box *dead.Box) error) error {
	return e.withBus(func(b *bus.Bus) error {
		ctx, cancel := context.WithTimeout(e.ctx, deadTimeout)
		defer cancel()
		err := fn(ctx, dead.New(b, time.Now))
		switch {
		case errors.Is(err, dead.ErrNone):
			return coded(exitUsage, "tenant %s has no dead letter %w; see `weir dead ls --list`", e.Tenant, err)
		case errors.Is(err, dead.ErrRunning):
			return coded(exitError, "%w; wait for its end, or use --force", err)
		}
		return err
	})
}

// deadFilter are the flags that choose letters.
type deadFilter struct {
	Stage string `help:"Only those of one stage, such as router or generator-small."`
	Class string `help:"Only those of one error class, such as poison."`
	Group string `placeholder:"ID" help:"Only those of one cause, by the id that weir dead ls shows."`
	Every bool   `name:"every-tenant" help:"Those of every tenant, not only of --tenant."`
}

func (f deadFilter) of(e *env) dead.Filter {
	out := dead.Filter{Tenant: e.Tenant, Stage: f.Stage, Class: event.Class(f.Class), Group: f.Group}
	if f.Every {
		out.Tenant = ""
	}
	return out
}

type deadLsCmd struct {
	deadFilter
	List   bool   `help:"The letters one by one, the oldest first."`
	Cursor string `help:"Go on with the list from where it ended."`
	Limit  int    `default:"100" help:"How many letters, at most 1000."`
}

// Run prints causes or letters.
func (c *deadLsCmd) Run(e *env) error {
	return e.withDead(func(ctx context.Context, box *dead.Box) error {
		if c.List {
			return c.letters(ctx, e, box)
		}
		groups, whole, err := box.Groups(ctx, c.of(e))
		if err != nil {
			return err
		}
		if !whole {
			fmt.Fprintln(e.err, "weir: there are more letters than were counted; narrow them by --stage, --class or --tenant")
		}
		if e.JSON {
			return printLines(e, groups)
		}
		return e.table("causes", func(w io.Writer) {
			fmt.Fprintln(w, "GROUP\tSTAGE\tCLASS\tCOUNT\tREDRIVEN\tLAST\tUSD\tCAUSE")
			for _, g := range groups {
				fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", g.ID, g.Stage, g.Class, g.Count, g.Redriven, g.Last.Format(time.RFC3339), usd(g.CostNanoUSD), g.Cause)
			}
		})
	})
}

func (c *deadLsCmd) letters(ctx context.Context, e *env, box *dead.Box) error {
	letters, next, err := box.List(ctx, c.of(e), c.Cursor, c.Limit)
	if err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(e.err, "weir: there are more; go on with --cursor %s\n", next)
	}
	if e.JSON {
		return printLines(e, letters)
	}
	return e.table("letters", func(w io.Writer) {
		fmt.Fprintln(w, "SEQ\tTENANT\tSTAGE\tCLASS\tJOB\tAT\tREDRIVEN\tERROR")
		for _, l := range letters {
			times := 0
			if l.Redriven != nil {
				times = l.Redriven.Times
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", l.Seq, l.Tenant, l.Stage, l.Class, l.Job, l.At.Format(time.RFC3339), times, l.Error)
		}
	})
}

type deadShowCmd struct {
	Seq   uint64 `arg:"" help:"The letter's number."`
	Every bool   `name:"every-tenant" help:"Whichever tenant's it is."`
}

// Run prints a letter as JSON.
func (c *deadShowCmd) Run(e *env) error {
	return e.withDead(func(ctx context.Context, box *dead.Box) error {
		d, err := box.Get(ctx, deadFilter{Every: c.Every}.of(e).Tenant, c.Seq)
		if err != nil {
			return err
		}
		if e.JSON {
			return e.printJSON(d)
		}
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return fmt.Errorf("printing a dead letter: %w", err)
		}
		fmt.Fprintln(e.out, string(text))
		return nil
	})
}

type deadRedriveCmd struct {
	Seq []uint64 `arg:"" optional:"" help:"Numbers of letters; none chooses by --all, --group, --stage or --class."`
	deadFilter
	All    bool   `help:"All of the tenant that were not redriven before."`
	Sample int    `help:"Only so many of them, spread evenly over time."`
	Edit   string `placeholder:"JSON" help:"A JSON merge patch of the message, such as {\"max_tokens\":512}."`
	DryRun bool   `help:"Only count them, and what they may cost."`
	Force  bool   `help:"Also those whose job has not ended since they were redriven."`
}

// Run redrives letters.
func (c *deadRedriveCmd) Run(e *env) error {
	o := dead.Options{By: operator(), Force: c.Force}
	if c.Edit != "" {
		o.Edit = json.RawMessage(c.Edit)
	}
	many := c.All || c.Group != "" || c.Stage != "" || c.Class != ""
	switch {
	case len(c.Seq) > 0 && (many || c.DryRun || c.Sample != 0):
		return coded(exitUsage, "name letters, or choose them by flags, not both")
	case len(c.Seq) == 0 && !many:
		return coded(exitUsage, "name letters, or choose them by --all, --group, --stage or --class; see `weir dead ls`")
	}
	return e.withDead(func(ctx context.Context, box *dead.Box) error {
		if len(c.Seq) > 0 {
			return c.some(ctx, e, box, o)
		}
		report, err := box.Many(ctx, dead.Selection{Filter: c.of(e), Sample: c.Sample, DryRun: c.DryRun, Options: o})
		if err != nil {
			return err
		}
		return e.printRedrives(report)
	})
}

// some redrives the letters that were named, until one can't be.
func (c *deadRedriveCmd) some(ctx context.Context, e *env, box *dead.Box, o dead.Options) error {
	for _, seq := range c.Seq {
		record, err := box.Redrive(ctx, c.of(e).Tenant, seq, o)
		if err != nil {
			return fmt.Errorf("letter %d: %w", seq, err)
		}
		if e.JSON {
			if err := e.printJSON(record); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(e.out, "letter %d is redriven (%d), job %s\n", seq, record.Times, record.Job)
	}
	return nil
}

func (e *env) printRedrives(r dead.Report) error {
	if e.JSON {
		return e.printJSON(r)
	}
	fmt.Fprintf(e.out, "%d letters, %d chosen, %d redriven, %d refused; about %s USD (known of %d)\n",
		r.Matched, r.Chosen, r.Redriven, r.Refused, usd(r.CostNanoUSD), r.CostKnown)
	for _, l := range r.Letters {
		if l.Error != nil {
			fmt.Fprintf(e.out, "letter %d, job %s: %s\n", l.Seq, l.Job, l.Error)
		}
	}
	return nil
}

// operator is who runs this, for the record.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "weir"
}
