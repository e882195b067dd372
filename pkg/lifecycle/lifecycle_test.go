package lifecycle_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/lifecycle"
)

const patience = 10 * time.Second

// journal records what happens, in order.
type journal struct {
	mu      sync.Mutex
	entries []string
}

func (j *journal) add(entry string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// service is a fake: it writes to the journal when it starts and stops.
type service struct {
	name  string
	log   *journal
	begun chan struct{} // closed when Run is called
	ready chan struct{}
	fail  chan error // ends it with the error
	late  bool       // never ready
	after error      // returned when it is stopped
}

func (s *service) Ready() <-chan struct{} { return s.ready }

func (s *service) Run(ctx context.Context) error {
	s.log.add("start " + s.name)
	close(s.begun)
	if !s.late {
		close(s.ready)
	}
	select {
	case <-ctx.Done():
		s.log.add("stop " + s.name)
		return s.after
	case err := <-s.fail:
		s.log.add("fail " + s.name)
		return err
	}
}

func (j *journal) service(name string) *service {
	return &service{name: name, log: j, begun: make(chan struct{}), ready: make(chan struct{}), fail: make(chan error, 1)}
}

func layer(services ...*service) lifecycle.Layer {
	return func(context.Context) ([]lifecycle.Member, error) {
		var members []lifecycle.Member
		for _, s := range services {
			members = append(members, lifecycle.Member{Name: s.name, Service: s})
		}
		return members, nil
	}
}

// run starts the layers; serving is told of each change, ended of the end.
func run(ctx context.Context, j *journal, layers ...lifecycle.Layer) (serving <-chan bool, ended <-chan error) {
	on, end := make(chan bool, 10), make(chan error, 1)
	go func() {
		end <- lifecycle.Run(ctx, func(serves bool) {
			if serves {
				j.add("serving")
			} else {
				j.add("not serving")
			}
			on <- serves
		}, layers...)
	}()
	return on, end
}

func next[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func wantEntries(t *testing.T, j *journal, want ...string) {
	t.Helper()
	if got := j.all(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestOrder: up from the bottom, each layer when the one below is ready; down
// from the top, readiness first.
func TestOrder(t *testing.T) {
	t.Parallel()
	var j journal
	ctx, stop := context.WithCancel(t.Context())
	serving, ended := run(ctx, &j, layer(j.service("queue")), layer(j.service("worker")), layer(j.service("gateway")))
	if !next(t, serving) {
		t.Error("serving(false) first")
	}
	stop()
	if err := next(t, ended); err != nil {
		t.Errorf("got %v", err)
	}
	wantEntries(t, &j, "start queue", "start worker", "start gateway", "serving",
		"not serving", "stop gateway", "stop worker", "stop queue")
}

// TestLayerWaitsForTheOneBelow: what is built may use what is ready.
func TestLayerWaitsForTheOneBelow(t *testing.T) {
	t.Parallel()
	var j journal
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	below := j.service("below")
	below.late = true
	started := make(chan struct{})
	slow := lifecycle.Layer(func(context.Context) ([]lifecycle.Member, error) {
		close(started)
		return nil, nil
	})
	serving, ended := run(ctx, &j, layer(below), slow)
	next(t, below.begun)
	select {
	case <-started:
		t.Fatal("the layer above was built too early")
	default:
	}
	close(below.ready)
	next(t, started)
	next(t, serving)
	stop()
	if err := next(t, ended); err != nil {
		t.Error(err)
	}
}

// TestMemberErrorStopsAll: wherever it is, in order, and it is returned.
func TestMemberErrorStopsAll(t *testing.T) {
	t.Parallel()
	boom := errors.New("disk full")
	for failing, want := range map[string][]string{
		"bottom":  {"fail bottom", "not serving", "stop top", "stop beside"},
		"top":     {"fail top", "not serving", "stop bottom", "stop beside"},
		"nothing": {"fail bottom", "not serving", "stop top", "stop beside"},
	} {
		t.Run(failing, func(t *testing.T) {
			t.Parallel()
			var j journal
			bottom, beside, top := j.service("bottom"), j.service("beside"), j.service("top")
			serving, ended := run(t.Context(), &j, layer(bottom, beside), layer(top))
			next(t, serving)
			switch failing {
			case "bottom":
				bottom.fail <- boom
			case "top":
				top.fail <- boom
			case "nothing":
				bottom.fail <- nil
			}
			err := next(t, ended)
			switch {
			case failing == "nothing":
				if err == nil || !strings.Contains(err.Error(), "bottom: ended by itself") {
					t.Errorf("got %v", err)
				}
			case !errors.Is(err, boom) || !strings.Contains(err.Error(), failing+": "):
				t.Errorf("got %v, want %s: %v", err, failing, boom)
			}
			got := j.all()
			got = got[slices.Index(got, "serving")+1:]
			index := func(entry string) int { return slices.Index(got, entry) }
			for _, entry := range want {
				if index(entry) < 0 {
					t.Errorf("got %q, want %q in it", got, entry)
				}
			}
			if failing != "top" && index("stop top") > index("stop beside") {
				t.Errorf("got %q: the layer below stopped first", got)
			}
			if failing != "top" && index("not serving") > index("stop top") {
				t.Errorf("got %q: the top layer stopped while serving", got)
			}
		})
	}
}

// TestFailureWhileStarting: a layer that can't be built, and a member that ends
// before it is ready, stop what runs below.
func TestFailureWhileStarting(t *testing.T) {
	t.Parallel()
	boom := errors.New("no license")
	var j journal
	_, ended := run(t.Context(), &j, layer(j.service("below")), func(context.Context) ([]lifecycle.Member, error) { return nil, boom })
	if err := next(t, ended); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	wantEntries(t, &j, "start below", "stop below")

	var k journal
	early := k.service("early")
	early.late = true
	early.fail <- boom
	_, ended = run(t.Context(), &k, layer(k.service("below")), layer(early))
	if err := next(t, ended); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	wantEntries(t, &k, "start below", "start early", "fail early", "stop below")
}

// TestStopWhileStarting: nothing serves, and what runs stops.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	var j journal
	late := j.service("late")
	late.late = true
	ctx, stop := context.WithCancel(t.Context())
	_, ended := run(ctx, &j, layer(j.service("below")), layer(late))
	next(t, late.begun)
	stop()
	if err := next(t, ended); err != nil {
		t.Errorf("got %v", err)
	}
	wantEntries(t, &j, "start below", "start late", "stop late", "stop below")
}

// TestErrorsOfStoppingAreJoined: none hides another.
func TestErrorsOfStoppingAreJoined(t *testing.T) {
	t.Parallel()
	var j journal
	one, two := j.service("one"), j.service("two")
	one.after, two.after = errors.New("flushing"), errors.New("closing")
	ctx, stop := context.WithCancel(t.Context())
	serving, ended := run(ctx, &j, layer(one), layer(two))
	next(t, serving)
	stop()
	if err := next(t, ended); !errors.Is(err, one.after) || !errors.Is(err, two.after) {
		t.Errorf("got %v, want both", err)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	down, wrong := event.Errorf(event.ClassUnavailable, "down"), event.Errorf(event.ClassAuth, "wrong key")
	tries := func(errs ...error) (func(context.Context) error, *int) {
		n := 0
		return func(context.Context) error { n++; return errs[min(n, len(errs))-1] }, &n
	}
	for _, c := range []struct {
		name  string
		errs  []error
		tries int
		want  error
	}{
		{"at once", []error{nil}, 1, nil},
		{"up later", []error{down, down, nil}, 3, nil},
		{"an unclassified error may pass", []error{errors.New("odd"), nil}, 2, nil},
		{"not lifted by waiting", []error{down, wrong, nil}, 2, wrong},
	} {
		try, n := tries(c.errs...)
		if err := lifecycle.Retry(t.Context(), log, "the queue", try); !errors.Is(err, c.want) || *n != c.tries {
			t.Errorf("%s: got %v after %d tries, want %v after %d", c.name, err, *n, c.want, c.tries)
		}
	}
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := lifecycle.Retry(ctx, log, "the queue", func(context.Context) error { cancel(cause); return down })
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "the queue") {
		t.Errorf("got %v, want the context's cause and what was waited for", err)
	}
}
