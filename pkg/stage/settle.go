package stage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/delay"
	"github.com/weir-dev/weir/pkg/event"
)

// Headers of a dead letter. Its body is the original message's; publishing that
// to the original subject redrives it. A job that has its (failed) result is
// finished and not run again: a redrive removes that from the results first. See
// package dead.
const (
	HeaderErrorClass = "Weir-Error-Class"
	HeaderError      = "Weir-Error"
	HeaderSubject    = delay.HeaderSubject
	HeaderDeliveries = "Weir-Deliveries"
	HeaderCost       = "Weir-Cost" // what the job had cost, in nano-USD
)

// Headers of a message between stages: what the runner needs of its job.
const (
	HeaderJob      = bus.HeaderJob   // job id; of a dead letter, too
	HeaderDeadline = "Weir-Deadline" // RFC 3339, left out when the job has none
	// HeaderTokens is what handling the message will take, as far as its sender
	// knows, for the fairness among tenants. Without it a message counts as 1000
	// tokens, or as a quarter of its bytes when that is more.
	HeaderTokens = "Weir-Tokens"
)

// delivery is a message and what the runner knows of its job.
type delivery struct {
	msg      *bus.Message
	tenant   string
	head     event.Head
	finished bool           // the job had its result before this delivery
	receipt  *event.Receipt // as the handler left it; nil for the message's own
}

func (r *Runner) delivery(msg *bus.Message) *delivery {
	d := &delivery{msg: msg, tenant: event.TenantOf(msg.Subject)}
	if d.readHeader() {
		return d
	}
	head, ok := event.Peek(msg.Data)
	d.head = head
	if ok {
		// A job without an id is named after its stored message.
		d.head.ID = msg.JobID(head.ID)
	}
	return d
}

// readHeader takes the job's id and deadline from the headers that StepOut set,
// which spares reading the body twice. A user's header counts only as long as
// there is no body.
func (d *delivery) readHeader() bool {
	id := d.msg.Header.Get(HeaderJob)
	if event.CheckName("id", id) != nil || d.msg.Stream != bus.StreamSteps && len(d.msg.Data) > 0 {
		return false
	}
	if deadline := d.msg.Header.Get(HeaderDeadline); deadline != "" {
		var err error
		if d.head.Deadline, err = time.Parse(time.RFC3339Nano, deadline); err != nil {
			return false
		}
	}
	d.head.ID = id
	return true
}

// settle ends a delivery: outputs stored and acked, or the failure decided.
func (r *Runner) settle(ctx context.Context, d *delivery, outs []bus.Out, err error) {
	if err == nil {
		passOn(outs, d.payloads())
		// The work is done: a stop that comes now must not throw it away.
		err = ours(r.bus.Publish(context.WithoutCancel(ctx), outs...))
	}
	if err == nil {
		r.hints.send(r.bus.Conn(), r.p.Now(), outs)
		r.finish(d)
		if slices.ContainsFunc(outs, isResult) {
			r.release(d)
		}
		return
	}
	if errors.Is(context.Cause(ctx), ErrStopped) || errors.Is(err, ErrStopped) {
		r.retry(d, 0) // not the job's fault: another worker may have it at once
		return
	}
	if errors.Is(err, ErrTaken) {
		r.p.Logger.Info("leaving message to a later delivery", "stage", r.cfg.Name, "job", d.head.ID)
		return
	}
	var with *receiptError
	if errors.As(err, &with) {
		d.receipt = &with.receipt
	}
	cause := event.AsError(err)
	if cause.Class == event.ClassDeadline && !r.deadlinePassed(d) {
		// The runner's own time limit, not the job's.
		cause = &event.Error{Class: event.ClassUnavailable, Message: fmt.Sprintf("no end after %s: %v", r.cfg.Timeout, err), Err: err}
	}
	if cause.Class.Retryable() && !cause.Final && d.msg.Deliveries < r.cfg.MaxDeliveries {
		if delay := r.backoff(d.msg.Deliveries, cause.RetryAfter); !r.passedAfter(d, delay) {
			r.notify(d, event.Life{Type: event.LifeRetrying, Error: cause, RetryMS: delay.Milliseconds(), Wait: &event.Wait{Cause: event.WaitRetry, Name: r.cfg.Name}})
			r.retry(d, delay)
			return
		}
	}
	r.giveUp(ctx, d, cause)
}

// finish acks a message whose outputs are stored.
func (r *Runner) finish(d *delivery) {
	if err := d.msg.Ack(); err != nil {
		r.p.Logger.Warn("acking message", "stage", r.cfg.Name, "job", d.head.ID, "error", err)
	}
}

func (r *Runner) retry(d *delivery, delay time.Duration) {
	if err := d.msg.Retry(delay); err != nil {
		// Redelivered after AckWait all the same.
		r.p.Logger.Warn("handing message back", "stage", r.cfg.Name, "job", d.head.ID, "error", err)
	}
}

// giveUp stores the failure where the user looks and, if it may be wanted
// again, the message itself; then acks.
func (r *Runner) giveUp(ctx context.Context, d *delivery, cause *event.Error) {
	var outs []bus.Out
	if d.head.ID == "" || cause.Class.DeadLetter() {
		outs = append(outs, r.deadLetter(d, cause))
	}
	if d.head.ID != "" {
		out, err := ResultOut(r.failure(d, cause))
		if err != nil {
			cause = event.AsError(err)
		} else {
			outs = append(outs, out)
		}
	}
	r.logFailure(ctx, d, cause)
	// One after the other: a job with a result is finished, so the dead letter
	// must be stored before it.
	for _, out := range outs {
		if err := r.bus.Publish(ctx, out); err != nil {
			r.retry(d, r.backoff(d.msg.Deliveries, 0)) // keep it rather than lose the failure
			return
		}
	}
	r.finish(d)
	if len(outs) == 1 && isResult(outs[0]) { // a dead letter needs its payload for a redrive
		r.release(d)
	}
}

// logFailure warns of what an operator should look at; a wrong job is its
// sender's affair. A panic is logged with its stack.
func (r *Runner) logFailure(ctx context.Context, d *delivery, cause *event.Error) {
	level := slog.LevelInfo
	if cause.Class.DeadLetter() {
		level = slog.LevelWarn
	}
	attrs := []any{"stage", r.cfg.Name, "job", d.head.ID, "subject", d.msg.Subject,
		"class", cause.Class, "error", cause.Error(), "deliveries", d.msg.Deliveries}
	if cause.Class == event.ClassPoison && cause.Err != nil {
		attrs = append(attrs, "stack", cause.Err.Error())
	}
	r.p.Logger.Log(ctx, level, "giving up", attrs...)
}

// failure is the failed result of the job.
func (r *Runner) failure(d *delivery, cause *event.Error) event.Result {
	head, _ := event.Peek(d.msg.Data)
	receipt, since := head.Receipt, head.SubmittedAt
	if d.receipt != nil {
		receipt = *d.receipt
	}
	if since.IsZero() {
		since = d.msg.Stored
	}
	now := r.p.Now()
	receipt.TotalMS = event.Milliseconds(now.Sub(since))
	return event.Result{
		V: event.Version, ID: d.head.ID, Tenant: d.tenant, Kind: event.KindOf(d.msg.Subject),
		Status: event.StatusFailed, Error: cause, Receipt: receipt, FinishedAt: now.UTC(),
		Webhook: head.Webhook, Metadata: head.Metadata,
	}
}

func (r *Runner) deadLetter(d *delivery, cause *event.Error) bus.Out {
	header := nats.Header{}
	for key, values := range d.msg.Header {
		if !strings.HasPrefix(key, "Nats-") { // what its sender asked of another stream would be asked of this one
			header[key] = values
		}
	}
	header.Set(HeaderErrorClass, string(cause.Class))
	header.Set(HeaderError, oneLine(cause.Error()))
	header.Set(HeaderSubject, d.msg.Subject)
	header.Set(HeaderDeliveries, strconv.Itoa(d.msg.Deliveries))
	header.Set(HeaderJob, d.head.ID)
	header.Set(HeaderCost, strconv.FormatInt(d.cost(), 10))
	data := d.msg.Data
	if header.Get(bus.HeaderPayload) != "" {
		data = nil // still in the bucket
	}
	return bus.Out{
		Subject: event.DeadSubject(r.cfg.Name, d.tenant), Data: data, Header: header,
		ID: fmt.Sprintf("%s.%d.%d.dead", d.msg.Stream, d.msg.Sequence, d.msg.Stored.UnixNano()),
	}
}

// cost is what the job has cost so far.
func (d *delivery) cost() int64 {
	if d.receipt != nil {
		return d.receipt.CostNanoUSD
	}
	head, _ := event.Peek(d.msg.Data)
	return head.Receipt.CostNanoUSD
}

// oneLine keeps an error within a header: no line breaks, at most 1 KiB.
func oneLine(text string) string {
	text = strconv.Quote(text)
	return text[1:min(len(text)-1, 1024)]
}

// backoff is the delay before the next delivery: a random half to whole of
// base * 2^(deliveries-1), capped, and never less than atLeast.
func (r *Runner) backoff(deliveries int, atLeast time.Duration) time.Duration {
	delay := r.cfg.BackoffBase << min(deliveries-1, 20)
	if delay <= 0 || delay > r.cfg.BackoffCap {
		delay = r.cfg.BackoffCap
	}
	delay = delay/2 + rand.N(delay/2+1) //nolint:gosec // jitter
	return max(delay, atLeast)
}

func (r *Runner) deadlinePassed(d *delivery) bool { return r.passedAfter(d, 0) }

func (r *Runner) passedAfter(d *delivery, delay time.Duration) bool {
	return !r.cfg.OwnDeadline && !d.head.Deadline.IsZero() && !r.p.Now().Add(delay).Before(d.head.Deadline)
}

// notify publishes an event in the life of the job; it is a view, so its loss
// is not an error.
func (r *Runner) notify(d *delivery, life event.Life) {
	if d.head.ID == "" || event.CheckName("tenant", d.tenant) != nil {
		return
	}
	life.Stage, life.Attempt = r.cfg.Name, d.msg.Deliveries
	now := r.p.Now()
	if life.Wait != nil && life.Wait.Until.IsZero() {
		life.Wait.Until = now.Add(time.Duration(life.RetryMS) * time.Millisecond).UTC()
	}
	out := LifeOut(d.tenant, d.head.ID, now, life)
	if err := r.bus.Conn().Publish(out.Subject, out.Data); err != nil {
		r.p.Logger.Debug("publishing life event", "stage", r.cfg.Name, "job", d.head.ID, "error", err)
	}
}

// LifeOut is the message for an event in the life of a job.
func LifeOut(tenant, job string, now time.Time, life event.Life) bus.Out {
	life.V, life.ID, life.At = event.Version, job, now.UTC()
	data, err := json.Marshal(life)
	if err != nil {
		data = []byte("{}") // cannot happen: Life has plain fields only
	}
	return bus.Out{Subject: event.LifeSubject(tenant, job), Data: data, View: true}
}

// ResultOut is the message that stores a result. It has no dedupe id: the
// stream takes one message per subject anyway, and an id would swallow the
// result of a job that is redriven within the dedupe window.
func ResultOut(result event.Result) (bus.Out, error) {
	return JSONOut(event.StoreSubject(result.Tenant, result.ID), "", result)
}

// StepOut is a message of env's job to the next stage.
func StepOut(subject, step string, env event.Envelope, value any) (bus.Out, error) {
	out, err := JSONOut(subject, env.Tenant+"."+env.ID+"."+step, value)
	out.Header = nats.Header{HeaderJob: {env.ID}}
	if !env.Deadline.IsZero() {
		out.Header.Set(HeaderDeadline, env.Deadline.Format(time.RFC3339Nano))
	}
	return out, err
}

// JSONOut is a message with value in JSON and the dedupe id.
func JSONOut(subject, id string, value any) (bus.Out, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return bus.Out{}, fmt.Errorf("encoding %s: %w", subject, err)
	}
	return bus.Out{Subject: subject, ID: id, Data: data}, nil
}
