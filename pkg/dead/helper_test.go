package dead

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// rig is dead letters on a NATS server of their own, and a stage that makes them.
// Any failure ends the test.
type rig struct {
	*stagetest.Kit
	box *Box

	mu     sync.Mutex
	handle func(in *bus.Message) error
	taken  []*bus.Message
}

func setup(t *testing.T) *rig {
	t.Helper()
	r := &rig{Kit: stagetest.New(t)}
	r.box = New(r.Bus, time.Now)
	return r
}

// works starts a stage that takes jobs; it does what fixed or broken says.
func (r *rig) works() *rig {
	r.T.Helper()
	cfg := stage.DefaultWorkers(4).Stage("worker", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("worker", event.KindGenerate, lane, fleet)
	})
	runner, err := stage.New(cfg, r.Bus, stage.HandlerFunc(r.work), platform.Platform{})
	if err != nil {
		r.T.Fatal(err)
	}
	r.Start(runner)
	return r
}

func (r *rig) work(_ context.Context, in *bus.Message) ([]bus.Out, error) {
	r.mu.Lock()
	r.taken = append(r.taken, in)
	handle := r.handle
	r.mu.Unlock()
	if handle != nil {
		if err := handle(in); err != nil {
			return nil, stage.WithReceipt(err, event.Receipt{CostNanoUSD: 1000})
		}
	}
	job, err := event.DecodeGenerateJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	result := job.ResultOf(event.KindGenerate, time.Now())
	result.ID = in.JobID(job.ID)
	result.Answer = &event.Answer{Text: fmt.Sprint("Hi. ", job.MaxTokens)}
	out, err := stage.ResultOut(result)
	return []bus.Out{out}, err
}

// does sets what the stage does with messages.
func (r *rig) does(handle func(in *bus.Message) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.handle = handle
}

// last is the message that the stage took last.
func (r *rig) last() *bus.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken[len(r.taken)-1]
}

func broken(*bus.Message) error {
	return event.Errorf(event.ClassPoison, "panic: index 3 out of range")
}

const body = `{"v":1,"id":%q,"messages":[{"role":"user","content":"Hi"}]}`

// subject is where the jobs of a tenant are published.
func subject(tenant string) string {
	return event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: tenant}.Subject()
}

// submit stores a job.
func (r *rig) submit(tenant, data string) {
	r.T.Helper()
	if err := r.Bus.Publish(r.T.Context(), bus.Out{Subject: subject(tenant), Data: []byte(data)}); err != nil {
		r.T.Fatal(err)
	}
}

// fails submits a job that becomes a dead letter, and returns that.
func (r *rig) fails(id string) Letter {
	r.T.Helper()
	r.does(broken)
	r.submit("acme", fmt.Sprintf(body, id))
	r.Failure(event.KindGenerate, id)
	letters := r.list(Filter{Tenant: "acme"})
	return letters[len(letters)-1]
}

func (r *rig) list(f Filter) []Letter {
	r.T.Helper()
	letters, _, err := r.box.List(r.T.Context(), f, "", MaxList)
	if err != nil {
		r.T.Fatal(err)
	}
	return letters
}

// letter stores a dead letter as a stage does.
func (r *rig) letter(stageName, tenant, job string, class event.Class, cause string, cost int64, change ...func(*bus.Out)) {
	r.T.Helper()
	out := bus.Out{Subject: event.DeadSubject(stageName, tenant), Data: fmt.Appendf(nil, body, job), Header: nats.Header{
		stage.HeaderErrorClass: {string(class)}, stage.HeaderError: {cause}, stage.HeaderSubject: {subject(tenant)},
		stage.HeaderDeliveries: {"8"}, stage.HeaderJob: {job}, stage.HeaderCost: {fmt.Sprint(cost)}, "Traceparent": {"00-x"}}}
	for _, f := range change {
		f(&out)
	}
	if err := r.Bus.Publish(r.T.Context(), out); err != nil {
		r.T.Fatal(err)
	}
}

// redrive redrives a letter of acme.
func (r *rig) redrive(seq uint64, o Options) Record {
	r.T.Helper()
	record, err := r.box.Redrive(r.T.Context(), "acme", seq, o)
	if err != nil {
		r.T.Fatal(err)
	}
	return record
}

// refuses checks that a letter of acme is not redriven.
func (r *rig) refuses(seq uint64, o Options, want error, parts ...string) {
	r.T.Helper()
	_, err := r.box.Redrive(r.T.Context(), "acme", seq, o)
	if want != nil && !errors.Is(err, want) {
		r.T.Errorf("redriving %d: %v, want %v", seq, err, want)
	}
	stagetest.ErrorHas(r.T, err, parts...)
}

// ends waits for the result of a job of acme that is ok.
func (r *rig) ends(job string) event.Result {
	r.T.Helper()
	for deadline := time.Now().Add(stagetest.Patience); ; {
		msg, err := r.Bus.Last(r.T.Context(), bus.StreamResults, event.ResultSubject("acme", job))
		if err != nil {
			r.T.Fatal(err)
		}
		var result event.Result
		if msg != nil && json.Unmarshal(msg.Data, &result) == nil && result.Status == event.StatusOK {
			return result
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("job %s has not ended: %+v", job, result)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-r.T.Context().Done():
		}
	}
}

// breaksOff redrives a letter as far as a process that dies before it publishes.
func (r *rig) breaksOff(l *Letter) {
	r.T.Helper()
	value, err := r.box.value(r.T.Context(), l)
	if err != nil {
		r.T.Fatal(err)
	}
	var result *bus.Message
	if _, err := value.Change(r.T.Context(), func(record *Record) (err error) {
		result, err = r.box.begin(r.T.Context(), record, l, Options{})
		return err
	}); err != nil {
		r.T.Fatal(err)
	}
	stream, err := r.Bus.JetStream().Stream(r.T.Context(), bus.StreamResults)
	if err == nil {
		err = removed(r.T.Context(), stream, result.Sequence)
	}
	if err == nil {
		err = removed(r.T.Context(), stream, result.Sequence) // twice is no error
	}
	if err != nil {
		r.T.Fatal(err)
	}
}
