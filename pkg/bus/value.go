package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrKeep is returned by a change that leaves the value as it is.
var ErrKeep = errors.New("the value is kept")

// Value is what a bucket holds under a key, as JSON. Processes that change it at
// the same time don't undo each other's changes.
type Value[T any] struct {
	KV   jetstream.KeyValue
	Key  string
	Name string // what it is, in errors
	// Decode reads a stored value; nil takes it as JSON.
	Decode func(data []byte) (T, error)
	None   T // the value while nothing is stored
}

// Get returns the value and its revision, 0 while there is none.
func (v Value[T]) Get(ctx context.Context) (T, uint64, error) {
	entry, err := v.KV.Get(ctx, v.Key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return v.None, 0, nil
	}
	if err != nil {
		return v.None, 0, unavailable(fmt.Errorf("reading %s: %w", v.Name, err))
	}
	decode := v.Decode
	if decode == nil {
		decode = func(data []byte) (value T, err error) { return value, json.Unmarshal(data, &value) }
	}
	value, err := decode(entry.Value())
	return value, entry.Revision(), err
}

// Change applies change by compare-and-set, again on a newer value when another
// process was faster, and returns the value as it is then. With ErrKeep nothing
// is written; another error of change is returned.
func (v Value[T]) Change(ctx context.Context, change func(*T) error) (T, error) {
	for {
		value, revision, err := v.Get(ctx)
		if err != nil {
			return value, err
		}
		switch err := change(&value); {
		case errors.Is(err, ErrKeep):
			return value, nil
		case err != nil:
			return value, err
		}
		err = v.put(ctx, &value, revision)
		if err == nil || !IsConflict(err) {
			return value, err
		}
	}
}

func (v Value[T]) put(ctx context.Context, value *T, revision uint64) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", v.Name, err)
	}
	if revision == 0 {
		_, err = v.KV.Create(ctx, v.Key, data)
	} else {
		_, err = v.KV.Update(ctx, v.Key, data, revision)
	}
	if err == nil || IsConflict(err) {
		return err
	}
	return unavailable(fmt.Errorf("storing %s: %w", v.Name, err))
}
