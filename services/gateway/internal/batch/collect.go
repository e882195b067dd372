package batch

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

const (
	// skew is how far the clocks of a gateway and NATS may be apart.
	skew = time.Minute
	// catchUp bounds the wait for results that were there before.
	catchUp = time.Minute
	// quiet is how long no line is done before each that was sent is asked for.
	quiet = 30 * time.Second
	// lastWait bounds the wait for the results of lines that were stopped.
	lastWait = 15 * time.Second
	// stoppers is how many lines are stopped at once.
	stoppers = 32
)

// collect reads the tenant's results since a time and takes those of the batch's
// lines, until end is called. It returns when those that were there have been read.
func (r *run) collect(ctx context.Context, since time.Time) (end func(), err error) {
	start := since.Add(-skew)
	consumer, err := r.s.cfg.Bus.JetStream().OrderedConsumer(ctx, bus.StreamResults, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{event.ResultSubject(r.job.Tenant, "*")},
		DeliverPolicy:  jetstream.DeliverByStartTimePolicy, OptStartTime: &start,
	})
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading results: %w", err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading results: %w", err)
	}
	there, caught := info.NumPending+info.Delivered.Consumer, make(chan struct{})
	if there == 0 {
		close(caught)
	}
	consuming, err := consumer.Consume(func(msg jetstream.Msg) {
		r.message(ctx, msg)
		if there > 0 {
			if there--; there == 0 {
				close(caught)
			}
		}
	}, jetstream.PullHeartbeat(2*time.Second))
	if err != nil {
		return nil, event.Errorf(event.ClassUnavailable, "reading results: %w", err)
	}
	timer := time.NewTimer(catchUp)
	defer timer.Stop()
	select {
	case <-caught:
	case <-timer.C: // what is still to come is taken as it comes
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	end = func() {
		consuming.Stop()
		<-consuming.Closed()
	}
	if err != nil {
		end()
	}
	return end, err
}

// message takes a result, if it is one of the batch's lines.
func (r *run) message(ctx context.Context, msg jetstream.Msg) {
	i, mine := r.lineOf(msg.Subject())
	if !mine {
		return
	}
	m := &bus.Message{Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()}
	if err := errors.Join(r.s.cfg.Bus.Resolve(ctx, m), ctx.Err()); err != nil {
		return // it is asked for later
	}
	r.take(i, m.Data)
}

// lineOf finds the line of a result's subject.
func (r *run) lineOf(subject string) (int, bool) {
	number, ok := strings.CutPrefix(event.TenantOf(subject), r.job.ID+"-") // the last token
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(number)
	if err != nil || strconv.Itoa(n) != number { // 02 is another job's
		return 0, false
	}
	return r.in.index(n)
}

// take notes what came of a line.
func (r *run) take(i int, data []byte) {
	if r.isDone(i) {
		return
	}
	err := r.taken(i, data)
	if err == nil {
		return
	}
	select {
	case r.broken <- err:
	default:
	}
}

func (r *run) taken(i int, data []byte) error {
	result, err := event.Decode[event.Result](data)
	if err != nil {
		return err
	}
	if r.ofBatch(&result) {
		return r.settle(i, undone, nil, &result.Receipt)
	}
	l, err := r.in.read(i)
	if err != nil {
		return err
	}
	to := answered
	if result.Status != event.StatusOK {
		to = failing
	}
	return r.settle(i, to, r.outcome(l, result), &result.Receipt)
}

// ofBatch reports whether a line was stopped because the batch was, or its time was
// over.
func (r *run) ofBatch(result *event.Result) bool {
	if result.Error == nil {
		return false
	}
	switch d := r.job.Deadline; result.Error.Class {
	case event.ClassCanceled:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.stopping
	case event.ClassDeadline:
		return !d.IsZero() && !result.FinishedAt.Before(d)
	}
	return false
}

func (r *run) isDone(i int) bool { return r.state(i) > sent }

// settle notes that a line is done, once: with what the files say of it, and what it
// took.
func (r *run) settle(i int, to state, row any, took *event.Receipt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.states[i] > sent {
		return nil
	}
	if row != nil {
		if err := r.spool.add(i, row); err != nil {
			return err
		}
	}
	if r.states[i] == sent {
		<-r.window
	}
	r.states[i], r.moved = to, r.s.p.Now()
	if took != nil {
		r.receipt.PromptTokens += took.PromptTokens
		r.receipt.CompletionTokens += took.CompletionTokens
		r.receipt.CostNanoUSD += took.CostNanoUSD
	}
	r.done++
	if to == failing {
		r.failed++
	}
	if r.done == len(r.states) {
		close(r.settled)
	}
	return nil
}

// pending are the lines that were sent and are not done.
func (r *run) pending() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var lines []int
	for i, s := range r.states {
		if s == sent {
			lines = append(lines, i)
		}
	}
	return lines
}

// lookAgain asks for the results of all lines that were sent, when none has come for a
// while: one may have been there before the batch, or not have been told of.
func (r *run) lookAgain(ctx context.Context) {
	r.mu.Lock()
	late := r.s.p.Now().Sub(r.moved) >= quiet
	if late {
		r.moved = r.s.p.Now()
	}
	r.mu.Unlock()
	if !late {
		return
	}
	for _, i := range r.pending() {
		msg, err := r.s.cfg.Bus.Result(ctx, r.job.Tenant, r.jobID(i))
		if err != nil {
			return // the next look may do better
		}
		if msg != nil {
			r.take(i, msg.Data)
		}
	}
}

// breakOff ends the lines that were sent, and waits for what came of them.
func (r *run) breakOff(ctx context.Context, end ending) (ending, error) {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	r.cancelSent(ctx)
	timer := time.NewTimer(lastWait)
	defer timer.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for len(r.pending()) > 0 {
		select {
		case <-tick.C:
		case <-timer.C:
			return end, nil
		case err := <-r.broken:
			return 0, err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	return end, nil
}

// cancelSent stops all lines that were sent and are not done. One that can't be
// stopped now ends by the batch's deadline, or runs for nothing.
func (r *run) cancelSent(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastWait)
	defer cancel()
	lines := make(chan int)
	var workers sync.WaitGroup
	for range stoppers {
		workers.Go(func() {
			for i := range lines {
				if _, err := r.s.cfg.Jobs.Cancel(ctx, r.job.Tenant, r.jobID(i)); err != nil && !errors.Is(err, client.ErrFinished) {
					r.s.p.Logger.WarnContext(ctx, "stopping a line of a batch", "batch", r.job.ID, "line", r.in.lines[i].number, "error", err)
				}
			}
		})
	}
	for _, i := range r.pending() {
		lines <- i
	}
	close(lines)
	workers.Wait()
}
