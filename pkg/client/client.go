// Package client is the Go SDK: submit jobs, await their results, and follow
// them while they run. It needs nothing but a NATS connection; any other NATS
// client can do the same with plain JSON.
package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
)

// ErrNoResult says that a job has no result (yet): it is unknown, waiting or
// running.
var ErrNoResult = errors.New("no result")

// Client talks to a Weir over one connection.
type Client struct {
	bus  *bus.Bus
	rows *manifest.Rows
	now  func() time.Time
	// whole says that there is no bucket for large payloads.
	whole bool
}

// Option changes how a client works.
type Option func(*Client)

// Whole is for the connection of a tenant's user, which has no access to the bucket
// of large payloads: jobs travel whole, up to what the server takes (8 MiB), and a
// result over 256 KiB can't be read.
func Whole() Option { return func(c *Client) { c.whole = true } }

// New returns a client over nc. It does no I/O.
func New(nc *nats.Conn, opts ...Option) (*Client, error) {
	b, err := bus.New(nc)
	if err != nil {
		return nil, err
	}
	c := &Client{bus: b, rows: manifest.NewRows(b), now: time.Now}
	for _, opt := range opts {
		opt(c)
	}
	return c, nil
}

// Generate submits a generate job of tenant and returns its id, a new one when
// the job has none. Submitting an id again does nothing: it is the idempotency
// key. The job is stored when Generate returns.
func (c *Client) Generate(ctx context.Context, tenant string, job event.GenerateJob) (string, error) {
	return c.send(ctx, event.KindGenerate, tenant, &job.Envelope, &job)
}

// Embed submits a job for the vectors of texts and returns its id, as Generate does.
func (c *Client) Embed(ctx context.Context, tenant string, job event.EmbedJob) (string, error) {
	return c.send(ctx, event.KindEmbed, tenant, &job.Envelope, &job)
}

// Ingest submits an ingest job of tenant and returns its id, as Generate does.
func (c *Client) Ingest(ctx context.Context, tenant string, job event.IngestJob) (string, error) {
	return c.send(ctx, event.KindIngest, tenant, &job.Envelope, &job)
}

// Delete submits a job that removes a document and returns its id, as Generate
// does.
func (c *Client) Delete(ctx context.Context, tenant string, job event.DeleteJob) (string, error) {
	return c.send(ctx, event.KindDelete, tenant, &job.Envelope, &job)
}

// Verify submits a job that compares what is stored with what should be, and
// returns its id, as Generate does.
func (c *Client) Verify(ctx context.Context, tenant string, job event.VerifyJob) (string, error) {
	return c.send(ctx, event.KindVerify, tenant, &job.Envelope, &job)
}

// Reindex submits a job that has documents cut anew and returns its id, as
// Generate does.
func (c *Client) Reindex(ctx context.Context, tenant string, job event.ReindexJob) (string, error) {
	return c.send(ctx, event.KindReindex, tenant, &job.Envelope, &job)
}

// send submits a job with its envelope.
func (c *Client) send(ctx context.Context, kind event.Kind, tenant string, env *event.Envelope, job any) (string, error) {
	addr, err := c.address(kind, tenant, env)
	if err != nil {
		return "", err
	}
	return env.ID, c.submit(ctx, addr, env.ID, job)
}

// Submit publishes the JSON of a job of any kind as it is, for callers that
// have it in that form. The pipeline checks it.
func (c *Client) Submit(ctx context.Context, addr event.Address, id string, job json.RawMessage) error {
	if err := addr.Validate(); err != nil {
		return err
	}
	return c.submit(ctx, addr, id, job)
}

// address fills what the envelope leaves out: version, id, and lane
// (interactive).
func (c *Client) address(kind event.Kind, tenant string, env *event.Envelope) (event.Address, error) {
	env.V = event.Version
	if env.ID == "" {
		env.ID = event.NewID(c.now())
	}
	env.Lane = cmp.Or(env.Lane, event.LaneInteractive)
	addr := event.Address{Kind: kind, Lane: env.Lane, Tenant: tenant}
	return addr, errors.Join(addr.Validate(), event.CheckName("id", env.ID))
}

func (c *Client) submit(ctx context.Context, addr event.Address, id string, job any) error {
	data, err := json.Marshal(job)
	if err != nil {
		return fmt.Errorf("encoding job: %w", err)
	}
	out := bus.Out{Subject: addr.Subject(), Data: data, Whole: c.whole}
	if id != "" {
		out.ID, out.Header = addr.Tenant+"."+id, nats.Header{bus.HeaderJob: {id}}
	}
	return c.bus.Publish(ctx, out)
}

// Result returns the stored result of a job, or ErrNoResult.
func (c *Client) Result(ctx context.Context, tenant, job string) (event.Result, error) {
	if err := checkJob(tenant, job); err != nil {
		return event.Result{}, err
	}
	msg, err := c.stored(ctx, tenant, job)
	if err != nil {
		return event.Result{}, err
	}
	if msg == nil {
		return event.Result{}, fmt.Errorf("job %s of tenant %s: %w", job, tenant, ErrNoResult)
	}
	return event.Decode[event.Result](msg.Data)
}

// stored is the message of a job's result, nil without one.
func (c *Client) stored(ctx context.Context, tenant, job string) (*bus.Message, error) {
	if !c.whole {
		return c.bus.Result(ctx, tenant, job)
	}
	msg, err := c.bus.Last(ctx, bus.StreamResults, event.ResultSubject(tenant, job))
	if err == nil && msg != nil && msg.Payload() != "" {
		return nil, &event.Error{Class: event.ClassTooLarge, Message: fmt.Sprintf("the result of job %s is over %d bytes", job, bus.ClaimOver), Hint: "read it over HTTP"}
	}
	return msg, err
}

// checkJob checks the names before they become part of a subject: a wildcard
// would read other jobs.
func checkJob(tenant, job string) error {
	return errors.Join(event.CheckName("tenant", tenant), event.CheckName("job", job))
}

// Await waits for the job's result, until ctx ends. The job may have been
// submitted before or after.
func (c *Client) Await(ctx context.Context, tenant, job string) (event.Result, error) {
	if err := checkJob(tenant, job); err != nil {
		return event.Result{}, err
	}
	w, err := c.watch(tenant, job)
	if err != nil {
		return event.Result{}, err
	}
	defer w.stop()
	for {
		result, err := c.Result(ctx, tenant, job)
		if err == nil || !errors.Is(err, ErrNoResult) && !event.AsError(err).Class.Retryable() {
			return result, err
		}
		w.failed = !errors.Is(err, ErrNoResult)
		if err := w.wait(ctx); err != nil {
			return event.Result{}, fmt.Errorf("waiting for job %s: %w", job, err)
		}
	}
}
