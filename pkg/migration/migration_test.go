package migration_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/migration"
)

// patience bounds every wait.
const patience = 20 * time.Second

// ask begins a migration to the model new.
func ask(t *testing.T, r *migration.Record) migration.State {
	t.Helper()
	s, err := r.Change(t.Context(), func(s *migration.State) error { return s.Ask("new", "old", "acme", 0, start) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, r *migration.Record) migration.State {
	t.Helper()
	s, err := r.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRecord(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	r := migration.New(b)
	if got := get(t, r); !reflect.DeepEqual(got, migration.State{V: event.Version}) {
		t.Errorf("when nothing was ever migrated: %+v", got)
	}
	s := ask(t, r)
	if got := get(t, migration.New(server.Bus())); !reflect.DeepEqual(got, s) || got.Also != "new" || got.Model != "old" {
		t.Errorf("another process reads %+v, want %+v", got, s)
	}
	refused := event.Invalid("x", "y", "z")
	for give, want := range map[error]error{bus.ErrKeep: nil, fmt.Errorf("so: %w", bus.ErrKeep): nil, refused: refused} {
		_, err := r.Change(t.Context(), func(s *migration.State) error {
			s.Model = "wrong"
			return give
		})
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%v gives %v, want %v", give, err, want)
		}
	}
	if got := get(t, r); !reflect.DeepEqual(got, s) {
		t.Errorf("a change that was given up left %+v, want %+v", got, s)
	}
}

// TestOneWorkerWins: of those that claim the work at the same moment one has it,
// and once it is silent for the time of a lease, one of the others.
func TestOneWorkerWins(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	ask(t, migration.New(b))
	records := map[string]*migration.Record{}
	for _, name := range []string{"a", "b", "c"} {
		records[name] = migration.New(server.Bus())
	}
	first := claimAll(t, records, start)
	if len(first) != 1 || get(t, migration.New(b)).Worker != first[0] {
		t.Fatalf("%q have the work", first)
	}
	if again := claimAll(t, records, start.Add(29*time.Second)); len(again) != 1 || again[0] != first[0] {
		t.Errorf("%q renewed the lease of %q", again, first)
	}
	delete(records, first[0])
	if others := claimAll(t, records, start.Add(58*time.Second)); len(others) != 0 {
		t.Errorf("%q have the work of another before its lease is over", others)
	}
	if others := claimAll(t, records, start.Add(59*time.Second)); len(others) != 1 || others[0] == first[0] {
		t.Errorf("%q have the work of the dead worker, want one", others)
	}
}

// claimAll has all workers claim at once and returns those that may work.
func claimAll(t *testing.T, records map[string]*migration.Record, now time.Time) (won []string) {
	t.Helper()
	var mu sync.Mutex
	var working sync.WaitGroup
	begin, lost := make(chan struct{}), errors.New("lost")
	for name, r := range records {
		working.Go(func() {
			<-begin
			_, err := r.Change(t.Context(), func(s *migration.State) error {
				if !s.Claim(name, now) {
					return lost
				}
				return nil
			})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, name)
			} else if !errors.Is(err, lost) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	close(begin)
	working.Wait()
	return won
}

// TestConcurrentChanges: nothing is lost.
func TestConcurrentChanges(t *testing.T) {
	t.Parallel()
	const writers, each = 8, 5
	_, server := bustest.New(t)
	var working sync.WaitGroup
	for range writers {
		r := migration.New(server.Bus())
		working.Go(func() {
			for range each {
				if _, err := r.Change(t.Context(), func(s *migration.State) error { s.Done++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	if got := get(t, migration.New(server.Bus())); got.Done != writers*each {
		t.Errorf("%d of %d changes are there", got.Done, writers*each)
	}
}

// TestWatch: the record as it is, then each change; it ends with its context.
func TestWatch(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	r := migration.New(b)
	ask(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan migration.State, 10), make(chan error, 1)
	go func() { ended <- migration.New(server.Bus()).Watch(ctx, func(s migration.State) { seen <- s }) }()
	for _, want := range []migration.Phase{migration.Quoting, migration.Quoted, migration.Filling} {
		if got := next(t, seen); got.Phase != want || got.Also != "new" {
			t.Errorf("seen %+v, want %q", got, want)
		}
		if _, err := r.Change(t.Context(), func(s *migration.State) error {
			if s.Phase == migration.Quoted {
				return s.Go(start)
			}
			s.Phase = migration.Quoted
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := next(t, ended); err != nil {
		t.Errorf("ended with %v", err)
	}
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

// TestNoBucket: without a Weir that made it, nothing is there to read.
func TestNoBucket(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	r := migration.New(b)
	_, getErr := r.Get(t.Context())
	_, changeErr := r.Change(t.Context(), func(*migration.State) error { t.Error("a change is given a record"); return nil })
	for call, err := range map[string]error{"get": getErr, "change": changeErr, "watch": r.Watch(t.Context(), func(migration.State) {})} {
		if e := event.AsError(err); e == nil || e.Class != event.ClassUnavailable {
			t.Errorf("%s gives %v", call, err)
		}
	}
}

// TestDamagedRecord is an error, not an empty record: models would change.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	kv, err := b.KeyValue(t.Context(), bus.BucketConfig)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "embedding", `{"v":1,`); err != nil {
		t.Fatal(err)
	}
	if s, err := migration.New(b).Get(t.Context()); err == nil {
		t.Errorf("got %+v", s)
	}
}
