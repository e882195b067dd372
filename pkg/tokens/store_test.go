package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/tokens"
)

// memory is a KV of one key. Its hook runs before every Put.
type memory struct {
	mu       sync.Mutex
	value    []byte
	revision uint64
	down     error
	before   func()
}

func (m *memory) Get(context.Context, string) ([]byte, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.value, m.revision, m.down
}

func (m *memory) Put(_ context.Context, key string, value []byte, revision uint64) error {
	if m.before != nil {
		m.before()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if revision != m.revision {
		return fmt.Errorf("%s: %w", key, tokens.ErrConflict)
	}
	m.value, m.revision = value, m.revision+1
	return m.down
}

func TestStoreSavesAndLoads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kv := &memory{}
		c, _ := newCalibration()
		s := tokens.NewStore(kv, "calibration", c)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		synctest.Wait()
		if kv.revision != 0 {
			t.Error("a calibration that knows nothing was stored")
		}
		observe(c, 5, 1200)
		time.Sleep(tokens.SaveEvery) // virtual
		synctest.Wait()
		if kv.revision != 1 {
			t.Errorf("%d saves after %v, want 1", kv.revision, tokens.SaveEvery)
		}
		time.Sleep(10 * tokens.SaveEvery)
		synctest.Wait()
		if kv.revision != 1 {
			t.Errorf("%d saves, want no more without news", kv.revision)
		}
		observe(c, 1, 1200)
		stop()
		if err := <-done; err != nil || kv.revision != 2 {
			t.Errorf("Run = %v after %d saves, want a last one at the stop", err, kv.revision)
		}
		next, _ := newCalibration()
		ctx, stop = context.WithCancel(t.Context())
		go func() { done <- tokens.NewStore(kv, "calibration", next).Run(ctx) }()
		synctest.Wait()
		if got := next.Ratio("m", tokens.KindProse); got != c.Ratio("m", tokens.KindProse) {
			t.Errorf("loaded %+v, want what was saved", got)
		}
		stop()
		<-done
	})
}

func TestStoreConflict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kv := &memory{}
		a, _ := newCalibration()
		b, _ := newCalibration()
		observe(a, 5, 1200)
		b.Observe(tokens.Usage{Tenant: "b", Model: "b", Completion: 5})
		kv.before = func() { // another process is faster, once
			kv.before = nil
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := tokens.NewStore(kv, "k", b).Run(ctx); err != nil {
				t.Error(err)
			}
		}
		s := tokens.NewStore(kv, "k", a)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.Stats(); got.Saves != 1 || got.Conflicts != 1 || got.Failures != 0 {
			t.Errorf("stats %+v, want one save after one conflict", got)
		}
		if _, _, n := a.OutputQuantiles("b", "b"); n != 1 {
			t.Error("the faster process's knowledge is lost")
		}
		for _, name := range []string{`"tenant":"b"`, `"tenant":"t"`} {
			if !strings.Contains(string(kv.value), name) {
				t.Errorf("%s is not stored: %s", name, kv.value)
			}
		}
	})
}

func TestStoreOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("no responders")
		kv := &memory{down: down}
		c, _ := newCalibration()
		observe(c, 5, 1200)
		s := tokens.NewStore(kv, "k", c)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(2*tokens.SaveEvery + time.Second)
		if got := s.Stats(); got.Failures != 3 || !errors.Is(got.Err, down) {
			t.Errorf("stats %+v, want three failures and their cause", got)
		}
		kv.mu.Lock()
		kv.down = nil
		kv.mu.Unlock()
		time.Sleep(tokens.SaveEvery)
		if got := s.Stats(); got.Saves != 1 || got.Err != nil {
			t.Errorf("stats %+v, want a save after the outage", got)
		}
		kv.mu.Lock()
		kv.value = []byte("{")
		kv.mu.Unlock()
		stop()
		if err := <-done; err == nil || !strings.Contains(err.Error(), "keeping calibration in k: decoding state") {
			t.Errorf("Run = %v, want the last round's error", err)
		}
	})
}

// bucket is a KV in NATS, as services have one.
type bucket struct{ kv jetstream.KeyValue }

func (b bucket) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	entry, err := b.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return entry.Value(), entry.Revision(), nil
}

func (b bucket) Put(ctx context.Context, key string, value []byte, revision uint64) error {
	_, err := b.kv.Update(ctx, key, value, revision)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("%w: %w", tokens.ErrConflict, err)
	}
	return err
}

// TestStoreOnNATS has four processes store at once in a real bucket.
func TestStoreOnNATS(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "calibration"})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c := tokens.NewCalibration(nil)
			c.Observe(tokens.Usage{Tenant: fmt.Sprint("t", i), Model: "m", Completion: 5})
			ctx, stop := context.WithCancel(t.Context())
			stop()
			if err := tokens.NewStore(bucket{kv}, "state", c).Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	entry, err := kv.Get(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if !strings.Contains(string(entry.Value()), fmt.Sprintf(`"tenant":"t%d"`, i)) {
			t.Errorf("what process %d learned is not stored: %s", i, entry.Value())
		}
	}
}
