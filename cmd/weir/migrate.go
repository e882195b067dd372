package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/migration"
)

type migrateCmd struct {
	To      string  `xor:"what" placeholder:"MODEL" help:"Embedding model of the catalog to change to."`
	Status  bool    `xor:"what" help:"Show how far it is."`
	Back    bool    `xor:"what" help:"Switch back to the old model; its index is kept in step."`
	End     bool    `xor:"what" help:"Drop the other model's index."`
	Yes     bool    `help:"Don't ask after the quote."`
	Quote   bool    `help:"Only say what it would take."`
	MaxLoss float64 `default:"0.02" help:"How much less of the sampled passages the new model may find, 0 to 1."`
}

// Run quotes, starts and follows a migration, or takes it back.
func (c *migrateCmd) Run(e *env) error {
	if c.To == "" && !c.Status && !c.Back && !c.End {
		return coded(exitUsage, "say what: --to MODEL, --status, --back or --end")
	}
	return e.withBus(func(b *bus.Bus) error {
		record, now := migration.New(b), time.Now()
		switch {
		case c.Back:
			return e.changed(record.Change(e.ctx, func(s *migration.State) error { return s.Return(now) }))
		case c.End:
			return e.changed(record.Change(e.ctx, func(s *migration.State) error { return s.End(now) }))
		case c.Status:
			return e.changed(record.Get(e.ctx))
		}
		return c.migrate(e, record)
	})
}

// changed prints the record.
func (e *env) changed(s migration.State, err error) error {
	if err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(s)
	}
	fmt.Fprintln(e.out, describe(&s))
	return nil
}

// describe says how a migration stands.
func describe(s *migration.State) string {
	switch s.Phase {
	case migration.None:
		return "no migration; model in force: " + cmp.Or(s.Model, "that of the settings")
	case migration.Quoting:
		return "adding up what " + s.Also + " would take"
	case migration.Quoted:
		return fmt.Sprintf("to %s: %s, %s, about $%s, at least %s under the present limits", s.Also, plural(s.Chunks, "chunk"),
			plural(s.Tokens, "token"), usd(s.CostNanoUSD), ms(s.ExpectedMS))
	case migration.Filling:
		return fmt.Sprintf("to %s: %d of about %d chunks, $%s so far", s.Also, s.Done, s.Chunks, usd(s.SpentNanoUSD))
	case migration.Comparing:
		return fmt.Sprintf("to %s: comparing it with %s", s.Also, s.Model)
	case migration.Switched, migration.Back:
		return fmt.Sprintf("%s is in force (of %d sampled passages the old index found %.3f, the new one %.3f); the index of %s is kept until `weir migrate --end`",
			s.Model, s.Queries, s.OldRecall, s.NewRecall, s.Also)
	}
	return fmt.Sprintf("to %s: %s: %s", s.Also, s.Phase, s.Error)
}

// migrate asks what it would take, and goes through with it after a yes.
func (c *migrateCmd) migrate(e *env, record *migration.Record) error {
	_, err := record.Change(e.ctx, func(s *migration.State) error {
		if s.Also == c.To && s.Working() {
			return bus.ErrKeep // go on with it
		}
		// One that failed or was refused is quoted again: what it has filled is kept.
		return s.Ask(c.To, s.Model, e.Tenant, c.MaxLoss, time.Now())
	})
	if err != nil {
		return err
	}
	s, err := follow(e, record, migration.Quoting)
	if err != nil {
		return err
	}
	if s.Phase == migration.Quoted {
		if err := e.changed(s, nil); err != nil || c.Quote {
			return err
		}
		if !c.Yes && !confirmed(e) {
			return coded(exitError, "not started; start it with --yes")
		}
		if _, err = record.Change(e.ctx, func(s *migration.State) error { return s.Go(time.Now()) }); err != nil {
			return err
		}
	}
	if s, err = follow(e, record, migration.Filling, migration.Comparing); err != nil {
		return err
	}
	if err := e.changed(s, nil); err != nil {
		return err
	}
	if s.Phase != migration.Switched {
		return coded(exitJobFailed, "the old model stays in force")
	}
	return nil
}

// follow waits until the record has left the phases, showing how far it is.
func follow(e *env, record *migration.Record, phases ...migration.Phase) (migration.State, error) {
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	var last migration.State
	shown := ""
	err := record.Watch(ctx, func(s migration.State) {
		last = s
		if !slices.Contains(phases, s.Phase) {
			stop()
			return
		}
		if line := describe(&s); line != shown && !e.JSON {
			fmt.Fprintln(e.out, line)
			shown = line
		}
	})
	if err == nil && e.ctx.Err() != nil {
		err = errors.New("interrupted; it goes on: see `weir migrate --status`")
	}
	return last, err
}

// confirmed asks the terminal; an interrupt is a no.
func confirmed(e *env) bool {
	fmt.Fprint(e.err, "Start? [y/N] ")
	answer := make(chan string, 1)
	go func() { // ends with the process
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		return strings.EqualFold(strings.TrimSpace(line), "y")
	case <-e.ctx.Done():
		return false
	}
}
