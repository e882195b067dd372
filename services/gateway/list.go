package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// jobList is a page of jobs.
type jobList struct {
	Jobs []job `json:"jobs"`
	// Next is the cursor of the next page.
	Next string `json:"next_cursor,omitempty"`
}

// listJobs lists the caller's jobs, oldest first.
func (s *Service) listJobs(w http.ResponseWriter, r *web.Request) error {
	filter, err := jobFilter(r.Request)
	if err != nil {
		return err
	}
	found, next, err := s.client.Jobs(r.Context(), r.Tenant, filter)
	if err != nil {
		return err
	}
	list := jobList{Jobs: make([]job, len(found)), Next: next}
	for i, known := range found {
		list.Jobs[i] = newJob(known)
	}
	return web.JSON(w, http.StatusOK, list)
}

// jobFilter reads the parameters of a list.
func jobFilter(r *http.Request) (client.JobFilter, error) {
	q := r.URL.Query()
	f := client.JobFilter{State: client.State(q.Get("status")), Kind: event.Kind(q.Get("kind")), Cursor: q.Get("cursor")}
	if f.State != "" && !slices.Contains(client.States(), f.State) {
		return f, event.Invalid("status", "use scheduled, queued, running, ok, failed or canceled", "got %q", f.State)
	}
	if f.Kind != "" && !slices.Contains(event.Kinds(), f.Kind) {
		return f, event.Invalid("kind", "use ingest, delete, verify, reindex, generate, embed or batch", "got %q", f.Kind)
	}
	var err error
	if since := q.Get("since"); since != "" {
		if f.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return f, event.Invalid("since", "write times as 2026-01-02T15:04:05Z", "got %q", since)
		}
	}
	f.Limit, err = limit(r, client.MaxJobs)
	return f, err
}

// limit is the parameter of that name, 0 when it is not there.
func limit(r *http.Request, most int) (int, error) {
	value := r.URL.Query().Get("limit")
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		return 0, event.Invalid("limit", "use 1 to "+strconv.Itoa(most), "got %q", value)
	}
	return n, nil
}
