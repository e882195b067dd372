package tokens

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// SaveEvery is how often a [Store] saves, so how much learning a crash costs.
	SaveEvery = 30 * time.Second
	// saveTimeout bounds one save, the last one included.
	saveTimeout = 5 * time.Second
	// saveTries bounds how often a save is repeated because another process was
	// faster; the next one comes soon.
	saveTries = 5
)

// ErrConflict is what [KV] returns when a key changed since it was read.
var ErrConflict = errors.New("tokens: the key was changed by another process")

// KV is where a calibration is kept: a key-value store with compare-and-set.
type KV interface {
	// Get returns a value and its revision; revision 0 if there is none.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Put sets the value if the key is still at the revision (0: it does not
	// exist), else it returns an error that wraps [ErrConflict].
	Put(ctx context.Context, key string, value []byte, revision uint64) error
}

// Store keeps a [Calibration] in a KV that several processes share.
type Store struct {
	kv    KV
	key   string
	cal   *Calibration
	mu    sync.Mutex
	stats StoreStats
}

// StoreStats counts what a Store did.
type StoreStats struct {
	Saves     int   // values written
	Conflicts int   // writes repeated because another process was faster
	Failures  int   // rounds without success; the next one makes up for it
	Err       error // why the last round failed, nil if it did not
}

// NewStore returns a Store of the calibration under key. It does nothing until
// Run.
func NewStore(kv KV, key string, c *Calibration) *Store {
	return &Store{kv: kv, key: key, cal: c}
}

// Run loads what is known, then exchanges it with the store every [SaveEvery]
// and when ctx ends. A round that fails is counted and made up for by the next
// one; only the error of the last round is returned.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(SaveEvery)
	defer ticker.Stop()
	for {
		s.round(ctx) //nolint:errcheck // counted, and the next round makes up for it
		select {
		case <-ctx.Done():
			return s.round(context.WithoutCancel(ctx))
		case <-ticker.C:
		}
	}
}

// Stats returns what was done so far.
func (s *Store) Stats() StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// round exchanges the calibration with the store once.
func (s *Store) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	saves, conflicts, err := s.exchange(ctx)
	if err != nil {
		err = fmt.Errorf("keeping calibration in %s: %w", s.key, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Saves += saves
	s.stats.Conflicts += conflicts
	s.stats.Err = err
	if err != nil {
		s.stats.Failures++
	}
	return err
}

// exchange merges the stored state into the calibration and stores the result,
// again from the start when another process was faster.
func (s *Store) exchange(ctx context.Context) (saves, conflicts int, err error) {
	for range saveTries {
		saves, err = s.exchangeOnce(ctx)
		if !errors.Is(err, ErrConflict) {
			return saves, conflicts, err
		}
		conflicts++
	}
	return 0, conflicts, err
}

// exchangeOnce returns how many values it wrote: none if nothing is new.
func (s *Store) exchangeOnce(ctx context.Context) (int, error) {
	stored, revision, err := s.kv.Get(ctx, s.key)
	if err != nil {
		return 0, fmt.Errorf("reading state: %w", err)
	}
	if err := s.merge(stored); err != nil {
		return 0, err
	}
	state := s.cal.Snapshot()
	value, err := json.Marshal(state)
	if err != nil {
		return 0, fmt.Errorf("encoding state: %w", err)
	}
	if bytes.Equal(value, stored) || len(state.Ratios)+len(state.Outputs) == 0 {
		return 0, nil
	}
	if err := s.kv.Put(ctx, s.key, value, revision); err != nil {
		return 0, fmt.Errorf("writing state: %w", err)
	}
	return 1, nil
}

func (s *Store) merge(stored []byte) error {
	if len(stored) == 0 {
		return nil
	}
	var state State
	if err := json.Unmarshal(stored, &state); err != nil {
		return fmt.Errorf("decoding state: %w", err)
	}
	return s.cal.Merge(state)
}
