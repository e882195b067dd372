package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// Quoter says what a job would take, if it were submitted.
type Quoter interface {
	Quote(ctx context.Context, p tenant.Principal, job intake.Checked) (any, error)
}

// Explainer says why a job without a result waits; nil when it does not.
type Explainer interface {
	Explain(ctx context.Context, tenant string, job client.Job) (any, error)
}

// jobRoutes are those of jobs.
func (s *Service) jobRoutes(mux *web.Mux) {
	mux.Route("POST /v1/jobs", catalog.ScopeSubmit, web.Problem, s.submit)
	mux.Route("GET /v1/jobs", catalog.ScopeRead, web.Problem, s.listJobs)
	mux.Route("GET /v1/jobs/{id}", catalog.ScopeRead, web.Problem, s.showJob)
	mux.Route("DELETE /v1/jobs/{id}", catalog.ScopeSubmit, web.Problem, s.cancelJob)
	mux.Route("GET /v1/jobs/{id}/events", catalog.ScopeRead, web.Problem, s.jobEvents)
}

// job is a job as the API shows it.
type job struct {
	ID          string            `json:"id"`
	Kind        event.Kind        `json:"kind,omitempty"`
	Lane        event.Lane        `json:"lane,omitempty"`
	Status      client.State      `json:"status"`
	SubmittedAt time.Time         `json:"submitted_at,omitzero"`
	NotBefore   time.Time         `json:"not_before,omitzero"`
	Deadline    time.Time         `json:"deadline,omitzero"`
	Model       string            `json:"model,omitempty"`
	Task        string            `json:"task,omitempty"`
	Collection  string            `json:"collection,omitempty"`
	Batch       string            `json:"batch,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Progress    *event.Progress   `json:"progress,omitempty"`
	FinishedAt  time.Time         `json:"finished_at,omitzero"`
	Error       *event.Error      `json:"error,omitempty"`
	Result      *event.Result     `json:"result,omitempty"`
	Why         any               `json:"why,omitempty"`
	Links       links             `json:"links"`
}

// links are where more is told of a job.
type links struct {
	Self   string `json:"self"`
	Events string `json:"events"`
	Stream string `json:"stream"`
}

// newJob shows what is known of a job, without its result.
func newJob(known client.Job) job {
	self := "/v1/jobs/" + known.ID
	j := job{ID: known.ID, Kind: known.Kind, Status: known.State, Links: links{self, self + "/events", self + "/stream"}}
	if r := known.Record; r != nil {
		j.Lane, j.SubmittedAt, j.NotBefore, j.Deadline = r.Lane, r.At, r.NotBefore, r.Deadline
		j.Model, j.Task, j.Collection, j.Batch, j.Metadata = r.Model, r.Task, r.Collection, r.Batch, r.Metadata
	}
	if known.Last != nil {
		j.Progress = known.Last.Progress
	}
	if r := known.Result; r != nil {
		j.FinishedAt, j.Error, j.Metadata = r.FinishedAt, r.Error, r.Metadata
	}
	return j
}

// submit takes a job in, or says what it would take.
func (s *Service) submit(w http.ResponseWriter, r *web.Request) error {
	body, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	in := intake.Job{Body: body}
	if in.ID, err = idempotencyKey(r.Request); err != nil {
		return err
	}
	if in.Strict, err = isStrict(r.Request); err != nil {
		return err
	}
	dry, err := flag(r.Request, "dry_run")
	if err != nil {
		return err
	}
	if dry {
		return s.quote(w, r, in)
	}
	accepted, err := s.intake.Submit(r.Context(), r.Principal, in)
	if err != nil {
		return err
	}
	known, status := s.justAccepted(accepted), http.StatusAccepted
	if accepted.Duplicate {
		status = http.StatusOK
		if found, err := s.client.Job(r.Context(), r.Tenant, accepted.ID); err == nil {
			known = found
		} else if !errors.Is(err, client.ErrNoJob) {
			return err
		}
	}
	w.Header().Set("Location", "/v1/jobs/"+accepted.ID)
	return web.JSON(w, status, newJob(known))
}

// justAccepted is what is known of a job without looking.
func (s *Service) justAccepted(a intake.Accepted) client.Job {
	known := client.Job{ID: a.ID, Kind: a.Record.Kind, State: client.StateQueued, Record: &a.Record}
	if a.Record.NotBefore.After(s.p.Now()) {
		known.State = client.StateScheduled
	}
	return known
}

// quote says what a job would take.
func (s *Service) quote(w http.ResponseWriter, r *web.Request, in intake.Job) error {
	checked, err := s.intake.Check(r.Principal, in)
	if err != nil {
		return err
	}
	if s.quoter == nil {
		return &web.Error{Status: http.StatusNotImplemented, Code: "unsupported", Cause: event.Invalid("dry_run", "leave it out", "this gateway gives no quotes")}
	}
	quote, err := s.quoter.Quote(r.Context(), r.Principal, checked)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, quote)
}

// find is a job of the caller's tenant.
func (s *Service) find(r *web.Request) (client.Job, error) {
	id := r.PathValue("id")
	if err := event.CheckName("id", id); err != nil {
		return client.Job{}, err
	}
	known, err := s.client.Job(r.Context(), r.Tenant, id)
	if errors.Is(err, client.ErrNoJob) {
		return known, web.NotFound("job", id)
	}
	return known, err
}

// showJob shows a job with its result, or why it has none yet.
func (s *Service) showJob(w http.ResponseWriter, r *web.Request) error {
	known, err := s.find(r)
	if err != nil {
		return err
	}
	j := newJob(known)
	j.Result = known.Result
	if known.State.Finished() {
		return web.JSON(w, http.StatusOK, j)
	}
	if s.explain != nil {
		if j.Why, err = s.explain.Explain(r.Context(), r.Tenant, known); err != nil {
			return err
		}
	}
	if j.Progress == nil && known.State == client.StateRunning && (known.Kind == event.KindIngest || known.Kind == event.KindBatch) {
		if j.Progress, err = s.progress(r.Context(), r.Tenant, known.ID); err != nil {
			return err
		}
	}
	return web.JSON(w, http.StatusOK, j)
}

// progress is the last that was told of how far a job has come.
func (s *Service) progress(ctx context.Context, tenant, id string) (*event.Progress, error) {
	lives, err := s.client.Events(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	for i := len(lives) - 1; i >= 0; i-- {
		if p := lives[i].Progress; p != nil {
			return p, nil
		}
	}
	return nil, nil //nolint:nilnil // nothing was told
}

// jobEvents shows the stored events in the life of a job.
func (s *Service) jobEvents(w http.ResponseWriter, r *web.Request) error {
	known, err := s.find(r)
	if err != nil {
		return err
	}
	lives, err := s.client.Events(r.Context(), r.Tenant, known.ID)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, map[string]any{"events": lives})
}

// maxKey bounds an idempotency key.
const maxKey = 256

// idempotencyKey is the header of that name, "" without one. Quotes around it, as a
// draft of the IETF has them, are no part of it.
func idempotencyKey(r *http.Request) (string, error) {
	const name = "Idempotency-Key"
	values := r.Header.Values(name)
	if len(values) > 1 {
		return "", event.Invalid(name, "send it once", "sent %d times", len(values))
	}
	key := r.Header.Get(name)
	if inner, ok := strings.CutPrefix(key, `"`); ok && strings.HasSuffix(inner, `"`) {
		key = strings.TrimSuffix(inner, `"`)
	}
	if len(key) > maxKey || len(values) == 1 && key == "" {
		return "", event.Invalid(name, "use 1 to "+strconv.Itoa(maxKey)+" characters", "has %d", len(key))
	}
	return key, nil
}

// isStrict reports whether a request asks for unknown fields to be refused.
func isStrict(r *http.Request) (bool, error) {
	strict, err := flag(r, "strict")
	for _, prefer := range r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(prefer, ",") {
			strict = strict || strings.EqualFold(strings.ReplaceAll(strings.TrimSpace(part), `"`, ""), "handling=strict")
		}
	}
	return strict, err
}

// flag is a parameter that is true or false, false when it is not there.
func flag(r *http.Request, name string) (bool, error) {
	value := r.URL.Query().Get(name)
	switch value {
	case "", "false", "0":
		return false, nil
	case "true", "1":
		return true, nil
	}
	return false, event.Invalid(name, "use true or false", "got %q", value)
}
