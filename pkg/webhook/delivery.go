package webhook

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// State is how far a delivery is.
type State string

// The states.
const (
	StateWaiting   State = "waiting"   // for its first or next try
	StateDelivered State = "delivered" // the receiver said that it has it
	StateDead      State = "dead"      // given up; there is a dead letter
)

// States lists all states.
func States() []State { return []State{StateWaiting, StateDelivered, StateDead} }

// Delivery is the record of one event that one receiver is told of.
type Delivery struct {
	V int `json:"v"`
	// ID is the webhook-id that the receiver sees: the same for all tries.
	ID     string `json:"id"`
	Tenant string `json:"tenant"`
	Type   string `json:"type"`
	// To is the receiver: the id of one of the tenant's endpoints, or a URL.
	To string `json:"to"`
	// Job is whose result it is; "" for a test.
	Job string `json:"job,omitempty"`
	// Finished tells results of one job apart, of which there is another one after a
	// redrive.
	Finished time.Time `json:"finished,omitzero"`
	State    State     `json:"state"`
	// Attempts counts the tries since it was last asked for.
	Attempts int       `json:"attempts"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	// Next is when the next try is due.
	Next time.Time `json:"next,omitzero"`
	// Trying is until when somebody tries it.
	Trying time.Time `json:"trying,omitzero"`
	// Status is the HTTP status of the last try, 0 when it got none; Error says what
	// was wrong with it, and Response how the receiver's answer began.
	Status   int    `json:"status,omitempty"`
	Error    string `json:"error,omitempty"`
	Response string `json:"response,omitempty"`
	// Round counts how often somebody asked for it again, and Since is when.
	Round int       `json:"round,omitempty"`
	Since time.Time `json:"since"`
}

// Due is the message that has a delivery tried. What is to be done is said by the
// record, so one too many does no harm.
type Due struct {
	V        int    `json:"v"`
	Delivery string `json:"delivery"`
	// To and Since are the delivery's: they say which receiver it waits for, and
	// since when, without a look at the record.
	To    string    `json:"to"`
	Since time.Time `json:"since"`
	// Round opens the delivery anew when it is above the record's.
	Round int `json:"round,omitempty"`
}

// KindHooks is the kind of delayed messages that deliveries are.
const KindHooks = "hooks"

// Due is the message that has d tried.
func (d *Delivery) Due() Due {
	return Due{V: event.Version, Delivery: d.ID, To: d.To, Since: d.Since, Round: d.Round}
}

// Out is the message in its place for a try that is due now.
func (m Due) Out(tenant string) (bus.Out, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return bus.Out{}, fmt.Errorf("encoding delivery: %w", err)
	}
	return bus.Out{Subject: event.DueSubject(KindHooks, tenant), Data: data}, nil
}

// DecodeDue reads a message that has a delivery tried.
func DecodeDue(data []byte) (Due, error) {
	var m Due
	if err := json.Unmarshal(data, &m); err != nil {
		return m, event.Invalid("body", "leave the stream "+bus.StreamDelay+" to Weir", "no delivery: %v", err)
	}
	if m.V != event.Version {
		return m, event.Errorf(event.ClassUnsupported, "version %d of a delivery is not known", m.V)
	}
	return m, event.CheckName("delivery", m.Delivery)
}

// NewDelivery is the delivery of a result to one receiver. It has the same id
// whenever it is made.
func NewDelivery(r *event.Result, to string, now time.Time) Delivery {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", r.Tenant, r.ID, to, r.FinishedAt.UnixNano()))
	now = now.UTC()
	return Delivery{
		V: event.Version, ID: fmt.Sprintf("msg_%x", sum[:16]), Tenant: r.Tenant, Type: TypeOf(r), To: to,
		Job: r.ID, Finished: r.FinishedAt, State: StateWaiting, Created: now, Changed: now, Since: now,
	}
}
