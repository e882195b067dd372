// Package intake takes jobs in: it checks them as the pipeline will, remembers
// which were accepted, and publishes them. A job id is taken once for as long as
// its result lives.
package intake

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Catalog is where the intake finds what a tenant may use.
type Catalog interface{ Current() *catalog.Catalog }

// Config is what an intake works with.
type Config struct {
	Bus     *bus.Bus
	Catalog Catalog
	Now     func() time.Time
	// Logger gets what goes wrong behind an accepted job; nil is none.
	Logger *slog.Logger
}

// Intake takes jobs in. It is safe for concurrent use.
type Intake struct {
	cfg   Config
	queue *queue
	rates *rates
	// publish is the bus's; tests let it fail.
	publish func(ctx context.Context, outs ...bus.Out) error
}

// New returns an intake. It does no I/O.
func New(cfg Config) *Intake {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Intake{cfg: cfg, queue: newQueue(cfg.Bus, cfg.Now), rates: newRates(), publish: cfg.Bus.Publish}
}

// Ready is closed: jobs are taken in from the start.
func (i *Intake) Ready() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

// Run measures how fast jobs are done, until ctx ends: a caller that is refused is
// told when to come again.
func (i *Intake) Run(ctx context.Context) error { return i.queue.run(ctx) }

// Job is one to be taken in.
type Job struct {
	// Kind is what the body's field "kind" says when "", or generate.
	Kind event.Kind
	// Lane is what the body's field "lane" says when "", or LaneInteractive.
	Lane event.Lane
	// ID is the idempotency key; "" takes the body's id, or makes one. A key that
	// can't be a job's id is hashed into one.
	ID string
	// Body is the job in JSON; its id and version are set.
	Body json.RawMessage
	// Strict refuses fields that no job of the kind has.
	Strict bool
	// Batch is the batch that the job is a line of; such jobs are not rate limited.
	Batch string
}

// Accepted is a job that was taken in.
type Accepted struct {
	ID string
	// Duplicate says that it was taken in before.
	Duplicate bool
	Record    event.Submission
}

// Checked is a job that may be taken in.
type Checked struct {
	Address event.Address
	ID      string
	// Chosen says that the caller chose the id.
	Chosen bool
	// Body is the job as it will be published.
	Body   json.RawMessage
	Record event.Submission
}

// Check is what Submit does before it takes a job in: errors are those of Submit
// that are the caller's doing.
func (i *Intake) Check(p tenant.Principal, job Job) (Checked, error) {
	c, err := i.decode(p.Tenant, job)
	if err != nil {
		return c, err
	}
	cat := i.cfg.Catalog.Current()
	use := catalog.Use{Lane: c.Address.Lane, Model: c.Record.Model, Task: c.Record.Task, Collection: c.Record.Collection}
	if err := cat.Permits(p.Tenant, use); err != nil {
		return c, err
	}
	return c, checkWebhook(c.Record.Webhook, cat.Tenant(p.Tenant).Webhooks.Endpoints)
}

// checkWebhook checks that a job's webhook is a URL, or one of the tenant's endpoints.
// Where it leads is looked at when it is called.
func checkWebhook(webhook string, endpoints []catalog.Endpoint) error {
	if webhook == "" || slices.ContainsFunc(endpoints, func(e catalog.Endpoint) bool { return e.ID == webhook }) {
		return nil
	}
	u, err := url.Parse(webhook)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return event.Invalid("webhook", "use an https URL, or the id of one of the tenant's endpoints", "is neither")
	}
	return nil
}

// Submit takes a job in. Errors are *event.Error or *web.Error: what is wrong with
// the job, what the tenant may not use, an id that another job has, a full queue.
func (i *Intake) Submit(ctx context.Context, p tenant.Principal, job Job) (Accepted, error) {
	c, err := i.Check(p, job)
	if err != nil {
		return Accepted{}, err
	}
	agreed := i.cfg.Catalog.Current().Tenant(p.Tenant)
	if job.Batch == "" {
		if wait := i.rates.take(p.Tenant, agreed.Rate, i.cfg.Now()); wait > 0 {
			return Accepted{}, tooFast(wait)
		}
	}
	if !c.Chosen {
		return i.fresh(ctx, &c, agreed.Queue)
	}
	return i.named(ctx, &c, agreed.Queue)
}

// fresh takes in a job whose id is new: nobody can have submitted it before, nor will
// again, so its record goes beside it and only serves to show it.
func (i *Intake) fresh(ctx context.Context, c *Checked, bound int64) (Accepted, error) {
	c.Record.Stored = true
	record, err := recordOut(c)
	if err != nil {
		return Accepted{}, err
	}
	if err := i.queue.room(ctx, c.Address, bound); err != nil {
		return Accepted{}, i.refusal(ctx, c, err)
	}
	recorded := make(chan error, 1)
	go func() { recorded <- i.publish(ctx, record) }()
	err = i.publish(ctx, jobOut(c))
	i.warn(ctx, c, "recording a job", <-recorded)
	if err != nil {
		i.disclaim(ctx, c, 0, err)
		return Accepted{}, i.refusal(ctx, c, err)
	}
	return Accepted{ID: c.ID, Record: c.Record}, nil
}

// named takes in a job whose id the caller chose. Its record is there before the job
// is, and says afterwards that it is: whatever happens between, the same request
// completes it.
func (i *Intake) named(ctx context.Context, c *Checked, bound int64) (Accepted, error) {
	held, known, err := i.claim(ctx, c)
	if err != nil {
		return Accepted{}, err
	}
	if held.record.Hash != c.Record.Hash {
		return Accepted{}, &web.Error{Status: http.StatusConflict, Code: "conflict", Cause: event.Invalid("id",
			"use another id or Idempotency-Key, or send the same body", "%q is another job's", c.ID)}
	}
	done := Accepted{ID: c.ID, Duplicate: true, Record: held.record}
	if held.record.Stored {
		return done, nil
	}
	if finished, err := i.cfg.Bus.Finished(ctx, c.Address.Tenant, c.ID); err != nil {
		return Accepted{}, err
	} else if finished {
		i.complete(ctx, c, held)
		return done, nil
	}
	if err = i.queue.room(ctx, c.Address, bound); err == nil {
		err = i.publish(ctx, jobOut(c))
	}
	if err != nil {
		if !known {
			i.disclaim(ctx, c, held.revision, err)
		}
		return Accepted{}, i.refusal(ctx, c, err)
	}
	i.complete(ctx, c, held)
	held.record.Stored = true
	return Accepted{ID: c.ID, Duplicate: known, Record: held.record}, nil
}

// jobOut is the job as any NATS client would publish it.
func jobOut(c *Checked) bus.Out {
	return bus.Out{Subject: c.Address.Subject(), ID: event.JobKey(c.Address.Tenant, c.ID), Data: c.Body, Header: nats.Header{bus.HeaderJob: {c.ID}}}
}

// refusal says what a caller does about a job that was not stored.
func (i *Intake) refusal(ctx context.Context, c *Checked, err error) error {
	if errors.Is(err, bus.ErrFull) {
		return i.queue.full(ctx, c.Address)
	}
	return err
}
