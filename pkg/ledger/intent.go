package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// Intent is the call a worker is about to make.
type Intent struct {
	// Tenant, Job and Step name the work: all deliveries of it have the same.
	Tenant string `json:"-"`
	Job    string `json:"-"`
	Step   string `json:"-"`
	// Epoch grows with each delivery of the step; the highest one has it.
	Epoch  int64  `json:"epoch"`
	Worker string `json:"worker"`
	// Model is the catalog's name of the model, Catalog the revision that prices it.
	Model    string `json:"model"`
	Provider string `json:"provider"`
	Catalog  string `json:"catalog"`
	// Call numbers the calls of one epoch, from 1. Begin and Next set it.
	Call int `json:"call"`
	// At is the worker's time of writing. Begin and Next set it.
	At time.Time `json:"at"`
	// Estimate is what the call may cost at most.
	Estimate int64 `json:"estimate_nano_usd"`
}

// check names what is wrong with an intent.
func (in Intent) check() error {
	for _, f := range []struct{ field, value string }{
		{"tenant", in.Tenant}, {"job", in.Job}, {"step", in.Step}, {"model", in.Model},
	} {
		if err := event.CheckName(f.field, f.value); err != nil {
			return err
		}
	}
	if in.Worker == "" {
		return event.Invalid("worker", "name the process, unique in the fleet", "missing")
	}
	if in.Epoch <= 0 {
		return event.Invalid("epoch", "number deliveries from 1", "%d", in.Epoch)
	}
	return notNegative("estimate_nano_usd", in.Estimate)
}

func notNegative(field string, n int64) error {
	if n < 0 {
		return event.Invalid(field, "use 0 or more", "%d", n)
	}
	return nil
}

func (in Intent) key() string { return in.Tenant + "." + in.Job + "." + in.Step }

// subject is where the bucket keeps the key.
func (in Intent) subject() string { return "$KV." + bus.BucketLedger + "." + in.key() }

func (in Intent) encode() ([]byte, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("encoding the intent of job %s: %w", in.Job, err)
	}
	return data, nil
}

// line is the line of the intent's call, without an outcome.
func (in Intent) line() Line {
	return Line{
		V: event.Version, Tenant: in.Tenant, Job: in.Job, Step: in.Step, Epoch: in.Epoch, Call: in.Call,
		Model: in.Model, Provider: in.Provider, Catalog: in.Catalog, At: in.At,
	}
}

// maybeBilled is the line of a call of which nobody knows the outcome: it
// counts with its estimate.
func (in Intent) maybeBilled() Line {
	line := in.line()
	line.CostNanoUSD, line.MaybeBilled, line.Error = in.Estimate, true, event.ClassUnavailable
	return line
}

// heldIntent is an intent as it is stored.
type heldIntent struct {
	Intent
	revision uint64
}

// intent reads the intent stored under in's key, or nil.
func (l *Ledger) intent(ctx context.Context, in Intent) (*heldIntent, error) {
	msg, err := l.bus.Last(ctx, "KV_"+bus.BucketLedger, in.subject())
	if err != nil || msg == nil || msg.Header.Get(headerOperation) != "" {
		return nil, err
	}
	held, err := decodeIntent(in.key(), msg.Data)
	if err != nil {
		return nil, err
	}
	return &heldIntent{held, msg.Sequence}, nil
}

// headerOperation marks a key of a bucket that was removed.
const headerOperation = "KV-Operation"
