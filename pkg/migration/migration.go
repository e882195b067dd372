// Package migration is the record of which embedding model is in force and how a
// change to another one stands. The record is one key of the bucket
// bus.BucketConfig; whoever asks for a migration writes it, and an embedder that
// holds its lease carries it out, step by step, so that another one can go on
// where it died.
package migration

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Phase is how far a migration is.
type Phase string

// The phases, in their order. Chunks are written to both indexes from Filling on,
// but not while Failed: what is wrong with the new model must not stop documents,
// and a new start fills its index from the beginning.
const (
	None      Phase = ""          // no migration
	Quoting   Phase = "quoting"   // what it would take is being added up
	Quoted    Phase = "quoted"    // ... and waits for a yes
	Filling   Phase = "filling"   // stored chunks are embedded by the new model
	Comparing Phase = "comparing" // sampled queries are asked of both
	Refused   Phase = "refused"   // the new index finds less; nothing was switched
	Switched  Phase = "switched"  // the new index answers, the old one is kept in step
	Back      Phase = "back"      // the old index answers again, the new one is kept in step
	Failed    Phase = "failed"    // see State.Error; it can be started again
)

// State is the record.
type State struct {
	V int `json:"v"`
	// Model is in force: its index answers. "" is that of the settings.
	Model string `json:"model,omitempty"`
	// Also is the model whose index is kept in step: the one to change to, or the
	// one to go back to.
	Also  string `json:"also,omitempty"`
	Phase Phase  `json:"phase,omitempty"`
	// Tenant bears the cost.
	Tenant string `json:"tenant,omitempty"`
	// Chunks and Tokens are to embed; CostNanoUSD and ExpectedMS are about what
	// that costs and takes under the present limits.
	Chunks      int     `json:"chunks"`
	Tokens      int     `json:"tokens"`
	CostNanoUSD int64   `json:"cost_nano_usd"`
	ExpectedMS  float64 `json:"expected_ms"`
	// Done are the chunks embedded so far, SpentNanoUSD what that cost, and Cursor
	// the last point that was looked at.
	Done         int    `json:"done"`
	SpentNanoUSD int64  `json:"spent_nano_usd"`
	Cursor       string `json:"cursor,omitempty"`
	// Recall is the share of sampled queries whose passage is among the first ten,
	// in the old and in the new index; the new one may be MaxLoss below.
	Queries   int     `json:"queries,omitempty"`
	OldRecall float64 `json:"old_recall,omitempty"`
	NewRecall float64 `json:"new_recall,omitempty"`
	MaxLoss   float64 `json:"max_loss"`

	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	// Worker holds the lease on carrying it out, until Lease.
	Worker string    `json:"worker,omitempty"`
	Lease  time.Time `json:"lease,omitzero"`
	Error  string    `json:"error,omitempty"`
	// Drop is the model whose index is to be removed.
	Drop string `json:"drop,omitempty"`
}

// Models lists the models whose indexes are written, the one in force first.
// otherwise is in force when nothing was ever migrated.
func (s *State) Models(otherwise string) []string {
	models := []string{cmp.Or(s.Model, otherwise)}
	switch s.Phase {
	case Filling, Comparing, Refused, Switched, Back:
		if s.Also != "" && s.Also != models[0] {
			models = append(models, s.Also)
		}
	}
	return models
}

// Working reports whether an embedder has something to do.
func (s *State) Working() bool {
	return s.Phase == Quoting || s.Phase == Filling || s.Phase == Comparing
}

// key is that of the record.
const key = "embedding"

// Record reads and changes the record.
type Record struct{ bus *bus.Bus }

// New returns the record over b's bucket. It does no I/O.
func New(b *bus.Bus) *Record { return &Record{bus: b} }

// Get returns the record, an empty one when nothing was ever migrated.
func (r *Record) Get(ctx context.Context) (State, error) {
	value, err := r.value(ctx)
	if err != nil {
		return value.None, err
	}
	s, _, err := value.Get(ctx)
	return s, err
}

// Change changes the record, see [bus.Value.Change].
func (r *Record) Change(ctx context.Context, change func(*State) error) (State, error) {
	value, err := r.value(ctx)
	if err != nil {
		return value.None, err
	}
	return value.Change(ctx, change)
}

func (r *Record) value(ctx context.Context) (bus.Value[State], error) {
	kv, err := r.bus.KeyValue(ctx, bus.BucketConfig)
	return bus.Value[State]{KV: kv, Key: key, Name: "the embedding model in force", Decode: decode, None: State{V: event.Version}}, err
}

func decode(data []byte) (State, error) {
	s := State{V: event.Version}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("decoding the embedding model in force: %w", err)
	}
	if s.V != event.Version {
		return s, event.Errorf(event.ClassUnsupported, "the embedding model in force is a record of version %d, this Weir reads %d", s.V, event.Version)
	}
	return s, nil
}

// Watch calls changed with the record as it is and at every change, until ctx
// ends.
func (r *Record) Watch(ctx context.Context, changed func(State)) error {
	kv, err := r.bus.KeyValue(ctx, bus.BucketConfig)
	if err != nil {
		return err
	}
	watcher, err := kv.Watch(ctx, key)
	if err != nil {
		return event.Errorf(event.ClassUnavailable, "watching the embedding model in force: %w", err)
	}
	defer watcher.Stop() //nolint:errcheck // the connection may be gone
	heard := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case entry, open := <-watcher.Updates():
			if !open {
				return event.Errorf(event.ClassUnavailable, "watching the embedding model in force: the connection was lost")
			}
			if entry == nil { // all that was there
				if !heard {
					changed(State{V: event.Version})
				}
				continue
			}
			s, err := decode(entry.Value())
			if err != nil {
				return err
			}
			heard = true
			changed(s)
		}
	}
}
