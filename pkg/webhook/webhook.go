// Package webhook is what the world outside is told of results: the types of events,
// their payloads and signatures (standardwebhooks.com), and the records of deliveries.
package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// The types of events.
const (
	JobCompleted   = "job.completed"
	JobFailed      = "job.failed"
	JobCanceled    = "job.canceled"
	BatchCompleted = "batch.completed"
	BatchFailed    = "batch.failed"
	BatchCanceled  = "batch.canceled"
	BatchExpired   = "batch.expired"
	// Test is sent when somebody asks for it.
	Test = "webhook.test"
	// Any stands for all types in the events of an endpoint.
	Any = "*"
)

// Types lists all types of events.
func Types() []string {
	return []string{JobCompleted, JobFailed, JobCanceled, BatchCompleted, BatchFailed, BatchCanceled, BatchExpired, Test}
}

// TypeOf is the type of event that a result is.
func TypeOf(r *event.Result) string {
	canceled := r.Error != nil && r.Error.Class == event.ClassCanceled
	batch := r.Kind == event.KindBatch
	switch {
	case batch && (canceled || r.Batch != nil && r.Batch.Canceled):
		return BatchCanceled
	case batch && r.Batch != nil && r.Batch.Expired:
		return BatchExpired
	case batch && r.Status != event.StatusOK:
		return BatchFailed
	case batch:
		return BatchCompleted
	case canceled:
		return JobCanceled
	case r.Status != event.StatusOK:
		return JobFailed
	}
	return JobCompleted
}

// Payload is the body of a webhook.
type Payload struct {
	Type string `json:"type"`
	// Timestamp is when the event happened; all tries tell the same.
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// Result is the data of a webhook: the result of a job.
type Result struct {
	*event.Result
	// Note says what is left out, and where it is.
	Note string `json:"note,omitempty"`
}

// MaxBody bounds the body of a webhook, in bytes: what a result has beyond that is
// left out.
const MaxBody = 256 << 10

// Body is the payload of a result. It is the same each time.
func Body(r event.Result) ([]byte, error) {
	data, err := encode(&r, "")
	if err != nil || len(data) <= MaxBody {
		return data, err
	}
	note := fmt.Sprintf("the result has %d bytes; read it with GET /v1/jobs/%s, or from NATS on %s", len(data), r.ID, event.ResultSubject(r.Tenant, r.ID))
	r.Answer, r.Embedded, r.Verified, r.Reindexed = nil, nil, nil, nil
	if data, err = encode(&r, note); err != nil || len(data) <= MaxBody {
		return data, err
	}
	r.Error, r.Receipt, r.Metadata = nil, event.Receipt{}, nil
	return encode(&r, note)
}

func encode(r *event.Result, note string) ([]byte, error) {
	data, err := json.Marshal(Payload{Type: TypeOf(r), Timestamp: r.FinishedAt.UTC(), Data: Result{Result: r, Note: note}})
	if err != nil {
		return nil, fmt.Errorf("encoding webhook: %w", err)
	}
	return data, nil
}
