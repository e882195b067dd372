package batch

import (
	"context"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
)

// object is a batch in OpenAI's shape.
type object struct {
	ID               string            `json:"id"`
	Object           string            `json:"object"` // batch
	Endpoint         string            `json:"endpoint"`
	Errors           *errorList        `json:"errors"`
	InputFileID      string            `json:"input_file_id"`
	CompletionWindow string            `json:"completion_window"`
	Status           status            `json:"status"`
	OutputFileID     *string           `json:"output_file_id"`
	ErrorFileID      *string           `json:"error_file_id"`
	CreatedAt        int64             `json:"created_at"`
	InProgressAt     *int64            `json:"in_progress_at"`
	ExpiresAt        *int64            `json:"expires_at"`
	FinalizingAt     *int64            `json:"finalizing_at"`
	CompletedAt      *int64            `json:"completed_at"`
	FailedAt         *int64            `json:"failed_at"`
	ExpiredAt        *int64            `json:"expired_at"`
	CancellingAt     *int64            `json:"cancelling_at"`
	CancelledAt      *int64            `json:"cancelled_at"`
	RequestCounts    counts            `json:"request_counts"`
	Metadata         map[string]string `json:"metadata"`
	Weir             *extra            `json:"weir,omitempty"`
}

type counts struct {
	Total     int `json:"total"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
}

// extra is what Weir says beside OpenAI's fields, once the batch has ended.
type extra struct {
	PromptTokens     int   `json:"prompt_tokens"`
	CompletionTokens int   `json:"completion_tokens"`
	CostNanoUSD      int64 `json:"cost_nano_usd"`
}

// status is where a batch is.
type status string

// The statuses, in OpenAI's words.
const (
	validating status = "validating"
	failed     status = "failed"
	inProgress status = "in_progress"
	finalizing status = "finalizing"
	completed  status = "completed"
	expired    status = "expired"
	cancelling status = "cancelling"
	cancelled  status = "cancelled"
)

// object is a batch as it is now: its result, or its record and its last event.
func (s *Service) object(ctx context.Context, tenant string, r record) (object, error) {
	o := object{ID: r.ID, Object: "batch", Endpoint: r.Endpoint, InputFileID: r.InputFile, CompletionWindow: window(r), CreatedAt: r.At.Unix(),
		InProgressAt: unix(r.StartedAt), ExpiresAt: unix(r.Deadline), FinalizingAt: unix(r.FinalizingAt), CancellingAt: unix(r.CancelingAt),
		Metadata: r.Metadata, RequestCounts: counts{Total: r.Total}}
	result, err := s.result(ctx, tenant, r.ID)
	if err != nil {
		return o, err
	}
	if result != nil {
		o.end(result)
		return o, nil
	}
	switch {
	case !r.CancelingAt.IsZero():
		o.Status = cancelling
	case !r.FinalizingAt.IsZero():
		o.Status = finalizing
	case !r.StartedAt.IsZero():
		o.Status = inProgress
	default:
		o.Status = validating
		return o, nil
	}
	return o, s.count(ctx, tenant, &o)
}

// count sets how far a batch is by the last that was told of it.
func (s *Service) count(ctx context.Context, tenant string, o *object) error {
	msg, err := s.cfg.Bus.Last(ctx, bus.StreamEvents, event.LifeSubject(tenant, o.ID))
	if err != nil || msg == nil {
		return err
	}
	if life, err := event.Decode[event.Life](msg.Data); err == nil && life.Progress != nil {
		o.RequestCounts.Completed, o.RequestCounts.Failed = life.Progress.Done-life.Progress.Failed, life.Progress.Failed
	}
	return nil
}

// result is that of a batch, or nil.
func (s *Service) result(ctx context.Context, tenant, id string) (*event.Result, error) {
	msg, err := s.cfg.Bus.Result(ctx, tenant, id)
	if err != nil || msg == nil {
		return nil, err
	}
	result, err := event.Decode[event.Result](msg.Data)
	return &result, err
}

// end fills in how a batch ended.
func (o *object) end(r *event.Result) {
	at := unix(r.FinishedAt)
	b := r.Batch
	switch {
	case b != nil && b.Canceled, b == nil && r.Error != nil && r.Error.Class == event.ClassCanceled:
		o.Status, o.CancelledAt = cancelled, at
	case b != nil && b.Expired, b == nil && r.Error != nil && r.Error.Class == event.ClassDeadline:
		o.Status, o.ExpiredAt = expired, at
	case b != nil:
		o.Status, o.CompletedAt = completed, at
	default:
		o.Status, o.FailedAt, o.Errors = failed, at, errorsOf(r.Error)
	}
	if b == nil {
		return
	}
	o.OutputFileID, o.ErrorFileID = named(b.OutputFile), named(b.ErrorFile)
	o.RequestCounts = counts{Total: b.Total, Completed: b.Completed, Failed: b.Failed}
	o.Weir = &extra{PromptTokens: r.Receipt.PromptTokens, CompletionTokens: r.Receipt.CompletionTokens, CostNanoUSD: b.CostNanoUSD}
}

// window is how long a batch may take, as its sender said it.
func window(r record) string {
	if r.Deadline.IsZero() {
		return ""
	}
	d := r.Deadline.Sub(r.At).Round(time.Second)
	if hours, whole := strings.CutSuffix(d.String(), "h0m0s"); whole {
		return hours + "h"
	}
	return d.String()
}

func unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.Unix()
	return &n
}

func named(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}
