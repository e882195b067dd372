package batch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/pkg/stage"
)

// maxID bounds a batch's id, so that those of its lines are ids.
const maxID = 56

// state is where a line is.
type state uint8

// The states: a line that is waiting or sent when the batch ends is undone.
const (
	waiting state = iota
	sent
	answered
	failing
	undone // it was stopped with the batch
)

// ending is how a batch ends.
type ending int

// The endings.
const (
	allDone ending = iota
	stopped
	tooLate
)

// run is a batch in work.
type run struct {
	s     *Service
	job   event.BatchJob
	rec   record
	in    *input
	spool *spool
	// again says that an earlier delivery may have sent lines.
	again bool
	// window holds an element for each line that is sent.
	window  chan struct{}
	settled chan struct{} // closed when all lines are done
	broken  chan error    // what the collector can't go on with

	mu       sync.Mutex
	states   []state
	done     int
	failed   int
	receipt  event.Receipt // sums
	stopping bool          // the lines' cancellations are the batch's
	told     event.Progress
	moved    time.Time // when a line was done last
}

// handle runs a batch from its beginning, or from where an earlier delivery left it.
func (s *Service) handle(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	job, err := event.DecodeBatchJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	job.ID = in.JobID(job.ID)
	if len(job.ID) > maxID {
		return nil, event.Invalid("id", fmt.Sprintf("use at most %d characters: its lines are named after it", maxID), "has %d", len(job.ID))
	}
	rec, err := s.note(ctx, job.Tenant, recordOf(&job, in.Stored))
	if err != nil {
		return nil, err
	}
	input, err := s.open(ctx, &job)
	if err != nil {
		return nil, err
	}
	defer input.Close() //nolint:errcheck // it is thrown away
	r, err := s.newRun(job, rec, input)
	if err != nil {
		return nil, err
	}
	defer r.spool.Close() //nolint:errcheck // it is thrown away
	r.again = in.Deliveries > 1
	since := rec.At
	if in.Stored.Before(since) {
		since = in.Stored
	}
	return r.run(ctx, since)
}

// open checks a batch's input file and returns its lines.
func (s *Service) open(ctx context.Context, job *event.BatchJob) (*input, error) {
	content, info, err := s.files.Open(ctx, job.Tenant, job.InputFile)
	if errors.Is(err, file.ErrNotFound) {
		return nil, event.Invalid("input_file", "upload the file, then submit the batch", "there is no file %q", job.InputFile)
	}
	if err != nil {
		return nil, err
	}
	defer content.Close() //nolint:errcheck // read only
	if info.Bytes > s.cfg.MaxFileBytes {
		return nil, event.Invalid("input_file", "split it", "the file has %d bytes, more than %d", info.Bytes, s.cfg.MaxFileBytes)
	}
	return s.scan(ctx, io.LimitReader(content, info.Bytes+1), job.Endpoint)
}

func (s *Service) newRun(job event.BatchJob, rec record, in *input) (*run, error) {
	f, err := scratch(s.cfg.Dir)
	if err != nil {
		return nil, err
	}
	window := s.cfg.Window
	if queue := s.cfg.Catalog.Current().Tenant(job.Tenant).Queue; queue > 0 {
		window = min(window, int(queue))
	}
	late := !job.Deadline.IsZero() && !s.p.Now().Before(job.Deadline)
	return &run{s: s, stopping: late || !rec.CancelingAt.IsZero(), job: job, rec: rec, in: in, spool: &spool{File: f, spans: make([]span, len(in.lines))}, moved: s.p.Now(),
		window: make(chan struct{}, window), settled: make(chan struct{}), broken: make(chan error, 1), states: make([]state, len(in.lines))}, nil
}

// run sends the lines, collects what comes of them, and writes the files.
func (r *run) run(ctx context.Context, since time.Time) ([]bus.Out, error) {
	now := r.s.p.Now().UTC()
	_, err := r.s.change(ctx, r.job.Tenant, r.job.ID, func(rec *record) error {
		if rec.Total == len(r.in.lines) {
			return bus.ErrKeep // an earlier delivery
		}
		rec.Total, rec.StartedAt = len(r.in.lines), now
		return nil
	})
	if err != nil {
		return nil, err
	}
	end, err := r.lines(ctx, since)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, stage.ErrStopped) {
			r.cancelSent(context.WithoutCancel(ctx)) // the batch itself was stopped: nobody reads of its lines
		}
		return nil, err
	}
	if _, err := r.s.change(ctx, r.job.Tenant, r.job.ID, func(rec *record) error {
		rec.FinalizingAt = r.s.p.Now().UTC()
		return nil
	}); err != nil {
		return nil, err
	}
	result, err := r.finish(ctx, end)
	if err != nil {
		return nil, err
	}
	out, err := stage.ResultOut(result)
	return []bus.Out{out}, err
}

// lines sends the lines that have no result yet, and waits until all have one, or
// the batch has to end without.
func (r *run) lines(ctx context.Context, since time.Time) (ending, error) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	end, err := r.collect(working, since)
	if err != nil {
		return 0, err
	}
	defer end()
	if end := r.toEnd(ctx); end != allDone && !r.isSettled() {
		if err := r.adoptSent(); err != nil {
			return 0, err
		}
		return r.breakOff(ctx, end)
	}
	submitting, stopSubmitting := context.WithCancel(working)
	submitted := make(chan error, 1)
	go func() { submitted <- r.submit(submitting) }()
	defer stopSubmitting()
	r.tell()
	tick := time.NewTicker(r.s.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-r.settled:
			r.tell()
			return r.ended(), nil
		case err := <-submitted:
			if err != nil {
				return 0, err
			}
			submitted = nil
		case err := <-r.broken:
			return 0, err
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-tick.C:
			r.tell()
			if end := r.toEnd(ctx); end != allDone {
				stopSubmitting()
				if submitted != nil {
					<-submitted //nolint:errcheck // it was stopped
				}
				return r.breakOff(ctx, end)
			}
			r.lookAgain(ctx)
		}
	}
}

// adoptSent takes the first lines that are not done for sent, as many as an earlier
// delivery can have sent. Those that it had to refuse are refused again.
func (r *run) adoptSent() error {
	if !r.again {
		return nil
	}
	for i := range r.in.lines {
		if r.state(i) != waiting {
			continue
		}
		select {
		case r.window <- struct{}{}:
		default:
			return nil
		}
		_, ok, err := r.prepare(i)
		if err != nil {
			return err
		}
		if !ok {
			<-r.window
		}
	}
	return nil
}

// ended is how a batch ends whose lines are all done: before its time, if some were
// stopped.
func (r *run) ended() ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !slices.Contains(r.states, undone):
		return allDone
	case !r.rec.CancelingAt.IsZero():
		return stopped
	}
	return tooLate
}

// toEnd reports whether the batch has to end before its lines are done.
func (r *run) toEnd(ctx context.Context) ending {
	if d := r.job.Deadline; !d.IsZero() && !r.s.p.Now().Before(d) {
		return tooLate
	}
	if rec, err := r.s.get(ctx, r.job.Tenant, r.job.ID); err == nil && !rec.CancelingAt.IsZero() {
		return stopped
	}
	return allDone
}

// jobID names the job of a line.
func (r *run) jobID(i int) string { return r.job.ID + "-" + strconv.Itoa(int(r.in.lines[i].number)) }

// tell publishes how far the batch is, if that is news.
func (r *run) tell() {
	r.mu.Lock()
	now := event.Progress{Done: r.done, Failed: r.failed, Total: len(r.states)}
	news := now != r.told
	r.told = now
	r.mu.Unlock()
	if !news {
		return
	}
	out := stage.LifeOut(r.job.Tenant, r.job.ID, r.s.p.Now(), event.Life{Type: event.LifeProgress, Stage: "batch", Progress: &now})
	if err := r.s.cfg.Bus.Conn().Publish(out.Subject, out.Data); err != nil {
		r.s.p.Logger.Debug("telling of a batch", "batch", r.job.ID, "error", err)
	}
}

func (r *run) isSettled() bool {
	select {
	case <-r.settled:
		return true
	default:
		return false
	}
}
