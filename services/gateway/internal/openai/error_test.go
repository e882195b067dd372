package openai

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/weir-dev/weir/services/gateway/internal/web"

	"github.com/weir-dev/weir/pkg/event"
)

// TestShouldRetry: the official clients try again by themselves on 408, 409, 429 and 5xx.
// They are told not to where that could only repeat the error, or the job.
func TestShouldRetry(t *testing.T) {
	t.Parallel()
	busy := &web.Error{Status: http.StatusServiceUnavailable, Code: "queue_full", RetryAfter: 1500 * time.Millisecond, Cause: event.Errorf(event.ClassUnavailable, "full")}
	for name, c := range map[string]struct {
		err   *web.Error
		job   string
		want  string
		after string
	}{
		"a conflict":    {web.Conflict("use another", "taken"), "", "false", ""},
		"a full queue":  {busy, "", "", "2"},
		"a failed job":  {busy, "j1", "false", "2"},
		"a wrong field": {web.From(event.Invalid("a", "b", "c")), "", "", ""},
	} {
		w := httptest.NewRecorder()
		if c.job != "" {
			w.Header().Set(HeaderJob, c.job)
		}
		Shape(w, nil, c.err)
		if got := w.Header().Get("X-Should-Retry"); got != c.want || w.Header().Get("Retry-After") != c.after || w.Code != c.err.Status {
			t.Errorf("%s: got %d %v", name, w.Code, w.Header())
		}
	}
}
