package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/why"
)

type jobsCmd struct {
	Ls     jobsLsCmd     `cmd:"" help:"List the jobs that came over HTTP."`
	Show   jobsShowCmd   `cmd:"" help:"Show a job, its life and its result."`
	Cancel jobsCancelCmd `cmd:"" help:"Stop a job, wherever it is."`
	Why    jobsWhyCmd    `cmd:"" help:"Say what holds a job that has no result."`
}

// job is what `weir jobs ls --json` prints a line of.
type job struct {
	ID        string            `json:"id"`
	Kind      event.Kind        `json:"kind,omitempty"`
	State     client.State      `json:"status"`
	Record    *event.Submission `json:"record,omitempty"`
	LastEvent *event.Life       `json:"last_event,omitempty"`
	Events    []event.Life      `json:"events,omitempty"`
	Result    *event.Result     `json:"result,omitempty"`
}

func newJob(j *client.Job) job {
	return job{ID: j.ID, Kind: j.Kind, State: j.State, Record: j.Record, LastEvent: j.Last, Result: j.Result}
}

type jobsLsCmd struct {
	Status string `enum:"scheduled,queued,running,ok,failed,canceled," default:"" help:"Only those in this state: scheduled, queued, running, ok, failed or canceled."`
	Kind   string `enum:"ingest,delete,verify,reindex,generate,embed,batch," default:"" help:"Only those of this kind."`
	Since  string `default:"" placeholder:"SINCE" help:"From when: a duration such as 24h or 7d, or a day such as 2026-11-01."`
	Limit  int    `default:"50" help:"How many at most (0: all)."`
}

// Run lists the tenant's jobs, oldest first.
func (c *jobsLsCmd) Run(e *env) error {
	filter := client.JobFilter{State: client.State(c.Status), Kind: event.Kind(c.Kind), Limit: client.MaxJobs}
	if c.Since != "" {
		var err error
		if filter.Since, err = parseSince(c.Since, time.Now()); err != nil {
			return err
		}
	}
	if c.Limit < 0 {
		return coded(exitUsage, "--limit: got %d, want 0 or more", c.Limit)
	}
	return e.withClient(func(cl *client.Client) error {
		list, err := c.list(e, cl, filter)
		if err != nil {
			return err
		}
		if e.JSON {
			return printLines(e, list)
		}
		return e.printJobs(list)
	})
}

// list reads page after page.
func (c *jobsLsCmd) list(e *env, cl *client.Client, filter client.JobFilter) ([]job, error) {
	var list []job
	for {
		found, next, err := cl.Jobs(e.ctx, e.Tenant, filter)
		if err != nil {
			return nil, err
		}
		for i := range found {
			if list = append(list, newJob(&found[i])); len(list) == c.Limit {
				return list, nil
			}
		}
		if next == "" {
			return list, nil
		}
		filter.Cursor = next
	}
}

func (e *env) printJobs(list []job) error {
	return e.table("jobs", func(w io.Writer) {
		fmt.Fprintln(w, "ID\tKIND\tLANE\tSUBMITTED\tSTATUS\tASKED\tUSD")
		for i := range list {
			j := &list[i]
			lane, at, asked, cost := "-", "-", "-", "-"
			if r := j.Record; r != nil {
				lane, at = string(r.Lane), r.At.Local().Format(time.DateTime)
				asked = cmp.Or(r.Model, r.Task, r.Collection, "-")
			}
			if j.Result != nil {
				cost = usd(j.Result.Receipt.CostNanoUSD)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", j.ID, j.Kind, lane, at, j.State, asked, cost)
		}
	})
}

type jobsShowCmd struct {
	Job string `arg:"" help:"Job id."`
}

// Run shows what is known of a job.
func (c *jobsShowCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		known, err := e.job(cl, c.Job)
		if err != nil {
			return err
		}
		j := newJob(&known)
		if j.Events, err = cl.Events(e.ctx, e.Tenant, c.Job); err != nil {
			return err
		}
		if e.JSON {
			return e.printJSON(j)
		}
		fmt.Fprintf(e.out, "%s %s of tenant %s: %s\n", cmp.Or(string(j.Kind), "job"), j.ID, e.Tenant, j.State)
		for _, l := range j.Events {
			fmt.Fprintln(e.out, lifeLine(l))
		}
		if j.Result == nil {
			return nil
		}
		if err := e.printResult(*j.Result); err != nil {
			fmt.Fprintln(e.out, err) // that the job failed is what is shown, no error of showing it
		}
		return nil
	})
}

// job is what is known of a job, or the error that says how to look further.
func (e *env) job(cl *client.Client, id string) (client.Job, error) {
	known, err := cl.Job(e.ctx, e.Tenant, id)
	if errors.Is(err, client.ErrNoJob) {
		return known, coded(exitNoResult, "%w; one that was published over NATS is known when a stage has begun with it", err)
	}
	return known, err
}

type jobsCancelCmd struct {
	Job string `arg:"" help:"Job id."`
}

// Run stops a job.
func (c *jobsCancelCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		known, err := e.job(cl, c.Job)
		if err != nil {
			return err
		}
		if known.Kind == event.KindBatch && !known.State.Finished() {
			return coded(exitUsage, "job %s is a batch: cancel it over HTTP (POST /v1/batches/%s/cancel), so that it ends with what is done", c.Job, c.Job)
		}
		result, err := cl.Cancel(e.ctx, e.Tenant, c.Job)
		if errors.Is(err, client.ErrFinished) {
			return coded(exitError, "%w: %s; read its result with `weir result %s`", err, client.StateOf(result), c.Job)
		}
		if err != nil {
			return err
		}
		if e.JSON {
			return e.printJSON(result)
		}
		_, err = fmt.Fprintf(e.out, "job %s is canceled\n", c.Job)
		return err
	})
}

type jobsWhyCmd struct {
	Job      string `arg:"" help:"Job id."`
	File     string `help:"Catalog file; without one, the default catalog." env:"WEIR_CATALOG" placeholder:"FILE"`
	Policies string `env:"WEIR_POLICIES" placeholder:"FILE" help:"Policies file."`
	Tenants  string `env:"WEIR_TENANTS" placeholder:"FILE" help:"Tenants file."`
	Model    string `default:"small" env:"WEIR_ROUTER_MODEL" help:"Model of jobs that name none, as the router's."`
	Embedder string `name:"embedding-model" default:"embed" env:"WEIR_ROUTER_EMBEDDING_MODEL" help:"Model of documents, as the router's."`
}

// Run says what holds a job.
func (c *jobsWhyCmd) Run(e *env) error {
	now := time.Now()
	models, err := readCatalog(c.File, c.Policies, now)
	if err == nil {
		models, err = withTenants(models, c.Tenants, now)
	}
	if err != nil {
		return err
	}
	return e.withBus(func(b *bus.Bus) error {
		cl, err := client.New(b.Conn())
		if err != nil {
			return err
		}
		known, err := e.job(cl, c.Job)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(e.ctx, 10*time.Second)
		defer cancel()
		var reason *why.Reason
		err = withHealth(ctx, b, func(h *guard.Health) error {
			f, err := why.New(why.Config{Bus: b, Catalog: func() *catalog.Catalog { return models }, Model: c.Model, EmbeddingModel: c.Embedder, Names: true,
				Status: func(m catalog.Model) guard.Status { return h.Check(guard.TargetOf(m)) }})
			if err == nil {
				reason, err = f.Explain(ctx, e.Tenant, known)
			}
			return err
		})
		if err != nil {
			return err
		}
		return e.printWhy(known, reason)
	})
}

func (e *env) printWhy(j client.Job, r *why.Reason) error {
	if e.JSON {
		return e.printJSON(map[string]any{"id": j.ID, "status": j.State, "why": r})
	}
	line := fmt.Sprintf("job %s is %s: nothing holds it", j.ID, j.State)
	if r != nil {
		line = fmt.Sprintf("job %s is %s, held by %s %s: %s", j.ID, j.State, r.Cause, r.Name, r.Text)
	}
	_, err := fmt.Fprintln(e.out, line)
	return err
}
