package batch

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// request asks for a batch.
type request struct {
	InputFileID      string            `json:"input_file_id"`
	Endpoint         string            `json:"endpoint"`
	CompletionWindow string            `json:"completion_window"`
	Metadata         map[string]string `json:"metadata"`
	Weir             struct {
		Webhook string `json:"webhook"`
	} `json:"weir"`
}

// Bounds of a window: results, of which the files are made, are kept seven days.
const (
	minWindow = time.Second
	maxWindow = 6 * 24 * time.Hour
)

// create takes a batch in. The job comes first: whoever takes it up makes its record
// when this could not.
func (s *Service) create(w http.ResponseWriter, r *web.Request) error {
	data, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	job, err := s.read(r, data)
	if err != nil {
		return err
	}
	if err := s.checkInput(r, job.InputFile); err != nil {
		return err
	}
	rec, err := s.get(r.Context(), r.Tenant, job.ID)
	switch {
	case err == nil && (rec.InputFile != job.InputFile || rec.Endpoint != job.Endpoint):
		return web.Conflict("use another Idempotency-Key, or send the same request", "the key is another batch's")
	case err == nil:
	case !errors.Is(err, errNoBatch):
		return err
	default:
		if rec, err = s.submit(r, &job); err != nil {
			return err
		}
	}
	o, err := s.object(r.Context(), r.Tenant, rec)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, o)
}

// submit publishes a batch's job and notes it. One that was sent before, and broke off,
// keeps the deadline that it had.
func (s *Service) submit(r *web.Request, job *event.BatchJob) (record, error) {
	known, err := s.cfg.Intake.Known(r.Context(), r.Tenant, job.ID)
	if err != nil {
		return record{}, err
	}
	if known != nil {
		job.Deadline = known.Deadline
	}
	body, err := json.Marshal(job)
	if err != nil {
		return record{}, fmt.Errorf("encoding a batch: %w", err)
	}
	if _, err := s.cfg.Intake.Submit(r.Context(), r.Principal, intake.Job{Kind: event.KindBatch, Lane: event.LaneBatch, Body: body}); err != nil {
		return record{}, err
	}
	return s.note(r.Context(), r.Tenant, recordOf(job, s.p.Now()))
}

// read turns a request into a job.
func (s *Service) read(r *web.Request, data []byte) (event.BatchJob, error) {
	var q request
	var job event.BatchJob
	if err := json.Unmarshal(data, &q); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return job, event.Invalid(wrong.Field, "see docs/batches.md", "got a JSON %s, want %s", wrong.Value, wrong.Type)
		}
		return job, event.Invalid("body", "send one JSON object", "%v", err)
	}
	for _, f := range []struct{ name, value string }{{"input_file_id", q.InputFileID}, {"endpoint", q.Endpoint}, {"completion_window", q.CompletionWindow}} {
		if f.value == "" {
			return job, event.Invalid(f.name, "see docs/batches.md", "missing")
		}
	}
	within, err := time.ParseDuration(q.CompletionWindow)
	if err != nil || within < minWindow || within > maxWindow {
		return job, event.Invalid("completion_window", fmt.Sprintf("use 24h, or another duration from %s to %.0fh", minWindow, maxWindow.Hours()), "got %q", short(q.CompletionWindow))
	}
	now := s.p.Now().UTC()
	job.Envelope = event.Envelope{V: event.Version, ID: newID(r, now), Lane: event.LaneBatch, Deadline: now.Add(within), Webhook: q.Weir.Webhook, Metadata: q.Metadata}
	job.InputFile, job.Endpoint = q.InputFileID, q.Endpoint
	return job, nil
}

// newID is the id of a new batch, or the one that its idempotency key stands for.
func newID(r *web.Request, now time.Time) string {
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		return fmt.Sprintf("batch_%x", sha256.Sum256([]byte(key)))[:len("batch_")+32]
	}
	return "batch_" + event.NewID(now)
}

// checkInput tells early of a file that no batch can be run on.
func (s *Service) checkInput(r *web.Request, id string) error {
	info, err := s.files.Get(r.Context(), r.Tenant, id)
	switch {
	case errors.Is(err, file.ErrNotFound):
		return event.Invalid("input_file_id", "upload the file first, with the purpose batch", "there is no file %q", short(id))
	case err != nil:
		return err
	case info.Purpose != "batch":
		return event.Invalid("input_file_id", "upload the file with the purpose batch", "the purpose of the file is %q", info.Purpose)
	}
	return nil
}

// lost tells of a batch that the caller doesn't have.
func lost(id string, err error) error {
	if errors.Is(err, errNoBatch) {
		return web.NotFound("batch", short(id))
	}
	return err
}

func (s *Service) show(w http.ResponseWriter, r *web.Request) error {
	rec, err := s.get(r.Context(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return lost(r.PathValue("id"), err)
	}
	o, err := s.object(r.Context(), r.Tenant, rec)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, o)
}

// The length of a page of batches: what is shown when nobody says, and the most.
const (
	pageLength = 20
	maxPage    = 100
)

func (s *Service) list(w http.ResponseWriter, r *web.Request) error {
	all, err := s.records(r.Context(), r.Tenant)
	if err != nil {
		return err
	}
	found, err := cut(r.Request, all, pageLength, maxPage, func(rec record) string { return rec.ID })
	if err != nil {
		return err
	}
	shown := page[object]{Object: found.Object, Data: make([]object, len(found.Data)), FirstID: found.FirstID, LastID: found.LastID, HasMore: found.HasMore}
	for i, rec := range found.Data {
		if shown.Data[i], err = s.object(r.Context(), r.Tenant, rec); err != nil {
			return err
		}
	}
	return web.JSON(w, http.StatusOK, shown)
}

// cancel asks for a batch to stop. Who runs it sees that in its record.
func (s *Service) cancel(w http.ResponseWriter, r *web.Request) error {
	id := r.PathValue("id")
	if _, err := s.get(r.Context(), r.Tenant, id); err != nil {
		return lost(id, err)
	}
	result, err := s.result(r.Context(), r.Tenant, id)
	if err != nil {
		return err
	}
	if result != nil {
		var o object
		o.end(result)
		return web.Conflict("read its files", "the batch has ended: it is "+string(o.Status))
	}
	rec, err := s.change(r.Context(), r.Tenant, id, func(rec *record) error {
		if !rec.CancelingAt.IsZero() {
			return bus.ErrKeep
		}
		rec.CancelingAt = s.p.Now().UTC()
		return nil
	})
	if err != nil {
		return err
	}
	o, err := s.object(r.Context(), r.Tenant, rec)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, o)
}
