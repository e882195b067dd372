package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/system"
)

// watcher sees what a subscriber of the tenant's results sees, and what the
// streams hold.
type watcher struct {
	t      *testing.T
	sys    *system.System
	js     jetstream.JetStream
	jobs   map[string]job
	notice chan struct{} // holds a value when something was delivered

	mu        sync.Mutex
	delivered map[string][][]byte // by job id
}

const resultPrefix = "weir.results." + tenant + "."

func watch(t *testing.T, sys *system.System, jobs map[string]job) *watcher {
	t.Helper()
	nc := sys.Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("opening jetstream: %v", err)
	}
	w := &watcher{t: t, sys: sys, js: js, jobs: jobs, notice: make(chan struct{}, 1), delivered: map[string][][]byte{}}
	if _, err := nc.Subscribe(resultPrefix+">", w.receive); err != nil {
		t.Fatalf("subscribing to the results: %v", err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatalf("subscribing to the results: %v", err)
	}
	return w
}

func (w *watcher) receive(msg *nats.Msg) {
	id := strings.TrimPrefix(msg.Subject, resultPrefix)
	w.mu.Lock()
	w.delivered[id] = append(w.delivered[id], msg.Data)
	w.mu.Unlock()
	select {
	case w.notice <- struct{}{}:
	default:
	}
}

// lookAgain is how often the streams are asked, for what a notice does not
// tell: results delivered while the connection was down, and acks.
const lookAgain = 250 * time.Millisecond

// await waits until at least n of the jobs have results.
func (w *watcher) await(ctx context.Context, n int) {
	w.t.Helper()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		w.mu.Lock()
		got := len(w.delivered)
		w.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-w.notice:
		case <-tick.C:
			if len(w.subjects(ctx, bus.StreamResults, resultPrefix+"*")) > n { // with that of prepared
				return
			}
		case <-ctx.Done():
			w.t.Fatalf("%d results after %s, want %d; open: %v; jobs waiting: %v; steps waiting: %v", got, timeLimit, n, w.open(),
				w.subjects(context.Background(), bus.StreamJobs, ">"), w.subjects(context.Background(), bus.StreamSteps, ">"))
		}
	}
}

// open lists jobs no result was delivered of.
func (w *watcher) open() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var open []string
	for _, id := range slices.Sorted(maps.Keys(w.jobs)) {
		if len(w.delivered[id]) == 0 {
			open = append(open, id)
		}
	}
	return open
}

// subjects returns how many messages a stream holds on each subject of a
// filter; nothing while the server is away.
func (w *watcher) subjects(ctx context.Context, stream, filter string) map[string]uint64 {
	asking, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := w.js.Stream(asking, stream)
	if err != nil {
		return nil
	}
	info, err := s.Info(asking, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil
	}
	return info.State.Subjects
}

// awaitEmptyQueues waits until every job and step is acked. A result may be
// stored and its message not acked when a process is killed; it comes back
// after AckWait and ends then.
func (w *watcher) awaitEmptyQueues(ctx context.Context) {
	w.t.Helper()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for _, stream := range []string{bus.StreamJobs, bus.StreamSteps} {
		for {
			s, err := w.js.Stream(ctx, stream)
			if err == nil && s.CachedInfo().State.Msgs == 0 {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				w.t.Fatalf("stream %s is not empty: %v", stream, w.subjects(context.Background(), stream, ">"))
			}
		}
	}
}

// check compares the end of the run with the promises.
func (w *watcher) check(ctx context.Context, jobs map[string]job) {
	w.t.Helper()
	results := w.subjects(ctx, bus.StreamResults, resultPrefix+"*")
	delete(results, resultPrefix+prepared)
	for subject, n := range results {
		id := strings.TrimPrefix(subject, resultPrefix)
		if _, known := jobs[id]; !known || n != 1 {
			w.t.Errorf("%d results on %s: want one, of a submitted job", n, subject)
		}
	}
	if len(results) != len(jobs) {
		w.t.Errorf("%d jobs have results, %d were submitted", len(results), len(jobs))
	}
	if dead := w.subjects(ctx, bus.StreamDead, ">"); len(dead) > 0 {
		w.t.Errorf("dead letters: %v", dead)
	}
	stream, err := w.js.Stream(ctx, bus.StreamResults)
	if err != nil {
		w.t.Fatalf("opening the results: %v", err)
	}
	var missed, again int
	for id, j := range jobs {
		msg, err := stream.GetLastMsgForSubject(ctx, resultPrefix+id)
		if err != nil {
			w.t.Errorf("result of %s: %v", id, err)
			continue
		}
		w.checkResult(j, msg.Data)
		n := w.checkDelivered(id, msg.Data)
		switch {
		case n == 0:
			missed++
		case n > 1:
			again += n - 1
		}
	}
	w.t.Logf("a subscriber to the results missed %d while it was cut off, and got %d once more", missed, again)
}

// checkResult checks that the job ended well.
func (w *watcher) checkResult(j job, data []byte) {
	w.t.Helper()
	var result event.Result
	if err := json.Unmarshal(data, &result); err != nil {
		w.t.Errorf("reading a result: %v", err)
		return
	}
	switch {
	case result.Status != event.StatusOK:
		w.t.Errorf("job %s: %s: %v", result.ID, result.Status, result.Error)
	case j.ingest != nil && (result.Ingested == nil || result.Ingested.Chunks == 0):
		w.t.Errorf("job %s: ingested %+v", result.ID, result.Ingested)
	case j.generate != nil && (result.Answer == nil || !strings.Contains(result.Answer.Text, j.answer) || len(result.Answer.Citations) == 0):
		w.t.Errorf("job %s: answer %+v, want it to hold %q and a citation", result.ID, result.Answer, j.answer)
	}
}

// checkDelivered checks that a subscriber saw nothing but the stored result, and
// returns how often it saw that.
func (w *watcher) checkDelivered(id string, stored []byte) int {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, data := range w.delivered[id] {
		if !bytes.Equal(data, stored) {
			w.t.Errorf("job %s: delivered\n%s\nbut stored is\n%s", id, data, stored)
		}
	}
	return len(w.delivered[id])
}
