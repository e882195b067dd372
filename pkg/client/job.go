package client

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// ErrNoJob says that nothing is known of a job: it has no record, no event and no
// result. One that was published over NATS is known when a stage has begun with it.
var ErrNoJob = errors.New("no such job")

// State is how far a job has come.
type State string

// The states.
const (
	StateScheduled State = "scheduled" // it waits for its time
	StateQueued    State = "queued"    // no stage has begun with it
	StateRunning   State = "running"
	StateOK        State = "ok"
	StateFailed    State = "failed"
	StateCanceled  State = "canceled"
)

// States lists all states.
func States() []State {
	return []State{StateScheduled, StateQueued, StateRunning, StateOK, StateFailed, StateCanceled}
}

// Finished reports whether the job has a result.
func (s State) Finished() bool { return s == StateOK || s == StateFailed || s == StateCanceled }

// StateOf is that of a job with a result.
func StateOf(r event.Result) State {
	switch {
	case r.Status == event.StatusOK:
		return StateOK
	case r.Error != nil && r.Error.Class == event.ClassCanceled:
		return StateCanceled
	}
	return StateFailed
}

// Job is what is known of a job.
type Job struct {
	ID    string
	State State
	// Kind is "" while only events of the job are known.
	Kind event.Kind
	// Record is nil for a job that did not come over HTTP.
	Record *event.Submission
	// Last is the newest event in its life, nil when there is none.
	Last *event.Life
	// Result is nil until the job is finished.
	Result *event.Result
}

// Job returns what is known of a job, or ErrNoJob.
func (c *Client) Job(ctx context.Context, tenant, id string) (Job, error) {
	if err := checkJob(tenant, id); err != nil {
		return Job{}, err
	}
	record, err := c.record(ctx, tenant, id)
	if err != nil {
		return Job{}, err
	}
	return c.state(ctx, tenant, id, record)
}

// record is the record of a job, or nil.
func (c *Client) record(ctx context.Context, tenant, id string) (*event.Submission, error) {
	kv, err := c.bus.KeyValue(ctx, bus.BucketJobs)
	if err != nil {
		return nil, err
	}
	record, _, err := bus.Value[*event.Submission]{KV: kv, Key: event.JobKey(tenant, id), Name: "the record of job " + id, Decode: decodeRecord}.Get(ctx)
	return record, err
}

func decodeRecord(data []byte) (*event.Submission, error) {
	var record event.Submission
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fmt.Errorf("reading the record of a job: %w", err)
	}
	return &record, nil
}

// state reads the rest of what is known of a job. A record that does not say that
// the job is stored makes none: its sender was not told so.
func (c *Client) state(ctx context.Context, tenant, id string, record *event.Submission) (Job, error) {
	job := Job{ID: id, Record: record}
	if record != nil {
		job.Kind = record.Kind
	}
	result, err := c.Result(ctx, tenant, id)
	switch {
	case err == nil:
		job.Result, job.State, job.Kind = &result, StateOf(result), result.Kind
		return job, nil
	case !errors.Is(err, ErrNoResult):
		return Job{}, err
	}
	if job.Last, err = c.lastLife(ctx, tenant, id); err != nil {
		return Job{}, err
	}
	switch {
	case job.Last != nil && job.Last.Type != event.LifeAccepted:
		job.State = StateRunning
	case job.Last == nil && (record == nil || !record.Stored):
		return Job{}, fmt.Errorf("job %s of tenant %s: %w", id, tenant, ErrNoJob)
	case record != nil && record.NotBefore.After(c.now()),
		job.Last != nil && job.Last.Wait != nil && job.Last.Wait.Cause == event.WaitSchedule && job.Last.Wait.Until.After(c.now()):
		job.State = StateScheduled
	default:
		job.State = StateQueued
	}
	return job, nil
}

func (c *Client) lastLife(ctx context.Context, tenant, id string) (*event.Life, error) {
	msg, err := c.bus.Last(ctx, bus.StreamEvents, event.LifeSubject(tenant, id))
	if err != nil || msg == nil {
		return nil, err
	}
	life, err := event.Decode[event.Life](msg.Data)
	return &life, err
}

// maxEvents is how many events the stream keeps of a job.
const maxEvents = 200

// Events returns the stored events in the life of a job, oldest first.
func (c *Client) Events(ctx context.Context, tenant, id string) ([]event.Life, error) {
	if err := checkJob(tenant, id); err != nil {
		return nil, err
	}
	messages, err := c.bus.Page(ctx, bus.Page{Stream: bus.StreamEvents, Subject: event.LifeSubject(tenant, id), Limit: maxEvents})
	if err != nil {
		return nil, err
	}
	lives := make([]event.Life, 0, len(messages))
	for _, m := range messages {
		if life, err := event.Decode[event.Life](m.Data); err == nil {
			lives = append(lives, life)
		}
	}
	return lives, nil
}

// JobFilter says which jobs to list; zero fields don't narrow it.
type JobFilter struct {
	State State
	Kind  event.Kind
	// Since is the earliest time of submission.
	Since time.Time
	// Limit bounds the jobs, 1 to MaxJobs; 0 is 20.
	Limit int
	// Cursor is where the page before ended; "" is the start.
	Cursor string
}

// MaxJobs bounds the jobs of one page.
const MaxJobs = 100

const (
	defaultJobs = 20
	// maxScan bounds the records that are looked at for one page.
	maxScan = 1000
	// lookers is how many jobs of a page are looked up at once.
	lookers = 16
)

func (f *JobFilter) validate() error {
	if f.Limit < 0 || f.Limit > MaxJobs {
		return event.Invalid("limit", fmt.Sprintf("use 1 to %d", MaxJobs), "got %d", f.Limit)
	}
	return nil
}

// Jobs lists the jobs of a tenant that came over HTTP, the one that was submitted
// first first, and returns the cursor of the next page: "" when there is none. A page
// may be short, or empty, and not be the last: few of many jobs may match.
func (c *Client) Jobs(ctx context.Context, tenant string, f JobFilter) (jobs []Job, next string, err error) {
	if err := errors.Join(event.CheckName("tenant", tenant), f.validate()); err != nil {
		return nil, "", err
	}
	f.Limit = cmp.Or(f.Limit, defaultJobs)
	since, after, err := decodeCursor(f.Cursor)
	if err != nil {
		return nil, "", err
	}
	if after == "" {
		since = f.Since
	}
	prefix := "$KV." + bus.BucketJobs + "." + tenant + "."
	page := bus.Page{Stream: "KV_" + bus.BucketJobs, Subject: prefix + ">", Since: since, Limit: 2*f.Limit + 1}
	for scanned := 0; scanned < maxScan; {
		messages, err := c.bus.Page(ctx, page)
		if err != nil {
			return nil, "", err
		}
		scanned += len(messages)
		last := len(messages) < page.Limit
		found, err := c.look(ctx, tenant, skipTo(messages, since, prefix+after), f)
		if err != nil {
			return nil, "", err
		}
		for _, l := range found {
			if l.matches {
				jobs = append(jobs, l.job)
			}
			if next = encodeCursor(l.at, l.id); len(jobs) == f.Limit {
				return jobs, next, nil
			}
		}
		if last {
			return jobs, "", nil
		}
		page.From, page.Since, since = messages[len(messages)-1].Sequence+1, time.Time{}, time.Time{}
	}
	return jobs, next, nil
}

// skipTo drops the messages up to the one that the page before ended with, which
// has the time of the first one.
func skipTo(messages []*bus.Message, at time.Time, subject string) []*bus.Message {
	for i, m := range messages {
		if !m.Stored.Equal(at) {
			break
		}
		if m.Subject == subject {
			return messages[i+1:]
		}
	}
	return messages
}

// looked is a record of a page, and its job.
type looked struct {
	id      string
	at      time.Time
	job     Job
	matches bool
	err     error
}

// look finds out about the jobs of records, several at once.
func (c *Client) look(ctx context.Context, tenant string, messages []*bus.Message, f JobFilter) ([]looked, error) {
	found := make([]looked, len(messages))
	free := make(chan struct{}, lookers)
	var work sync.WaitGroup
	for i, m := range messages {
		free <- struct{}{}
		work.Go(func() {
			defer func() { <-free }()
			found[i] = c.lookAt(ctx, tenant, m, f)
		})
	}
	work.Wait()
	for _, l := range found {
		if l.err != nil {
			return nil, l.err
		}
	}
	return found, nil
}

func (c *Client) lookAt(ctx context.Context, tenant string, m *bus.Message, f JobFilter) looked {
	l := looked{id: m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], at: m.Stored}
	if m.Header.Get("KV-Operation") != "" {
		return l // taken back
	}
	record, err := decodeRecord(m.Data)
	if err != nil || f.Kind != "" && record.Kind != f.Kind || record.At.Before(f.Since) {
		return l // an unreadable one must not hide the others
	}
	l.job, err = c.state(ctx, tenant, l.id, record)
	switch {
	case errors.Is(err, ErrNoJob):
	case err != nil:
		l.err = err
	default:
		l.matches = f.State == "" || l.job.State == f.State
	}
	return l
}

// A cursor is the time and the id of the last record of a page: nothing of what
// others do is in it.
func encodeCursor(at time.Time, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(at.UTC().Format(time.RFC3339Nano) + " " + id))
}

func decodeCursor(cursor string) (at time.Time, id string, err error) {
	if cursor == "" {
		return time.Time{}, "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		stamp, name, _ := strings.Cut(string(data), " ")
		if at, err = time.Parse(time.RFC3339Nano, stamp); err == nil {
			id, err = name, event.CheckName("cursor", name)
		}
	}
	if err != nil {
		return time.Time{}, "", event.Invalid("cursor", "use the one that the page before came with", "is not one of Weir's")
	}
	return at, id, nil
}
