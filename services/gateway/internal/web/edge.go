package web

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/event"
)

// EdgeConfig is what an edge works with.
type EdgeConfig struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
	// BodyGrace is how long a request's body may take beyond what it may by its length.
	BodyGrace time.Duration
}

// HeaderRequest names a request, in its response and in logs.
const HeaderRequest = "X-Request-Id"

// Edge is what stands between the network and a mux: it names requests, bounds how
// slowly bodies may come, counts, answers what no route takes, and turns a panic into
// a response.
func Edge(m *Mux, cfg EdgeConfig) http.Handler {
	return &edge{mux: m, cfg: cfg, metrics: newMetrics(cfg.Registerer)}
}

type edge struct {
	mux     *Mux
	cfg     EdgeConfig
	metrics *metrics
}

// ServeHTTP implements http.Handler.
func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := e.cfg.Now()
	id := event.NewID(start)
	w.Header().Set(HeaderRequest, id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := &response{ResponseWriter: w}
	pace(w, r, e.cfg.BodyGrace)
	e.metrics.inFlight.Inc()
	defer func() {
		e.metrics.inFlight.Dec()
		e.recovered(out, r, recover(), id)
		e.metrics.observe(route(r.Pattern), out.status, e.cfg.Now().Sub(start))
		if out.broken {
			panic(http.ErrAbortHandler) // the rest of the response must not look like its end
		}
	}()
	e.mux.serve(out, r)
}

// recovered ends a request whose handler panicked.
func (e *edge) recovered(w *response, r *http.Request, cause any, id string) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		w.broken = true
		return
	}
	e.cfg.Logger.ErrorContext(r.Context(), "panic in a request", "request", id, "route", route(r.Pattern), "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
	if w.status != 0 {
		w.broken = true
		return
	}
	e.mux.shape(r.Pattern)(w, r, &Error{Status: http.StatusInternalServerError, Code: string(event.ClassInternal),
		Cause: &event.Error{Class: event.ClassInternal, Message: "the request " + id + " broke its handler", Hint: "this is a defect in Weir; please report it with the gateway's log"}})
}

// route is a pattern as a label: bounded, for there are as many as routes.
func route(pattern string) string {
	if pattern == "" {
		return "none"
	}
	return pattern
}

// serve answers with the route's handler, or says that there is none, or that the
// request comes from where it must not.
func (m *Mux) serve(w http.ResponseWriter, r *http.Request) {
	refuse, pattern := m.Handler(r)
	if e := m.guard(r); e != nil {
		m.shape(pattern)(w, r, e)
		return
	}
	if pattern == "" {
		m.unrouted(w, r, refuse)
		return
	}
	m.ServeHTTP(w, r)
}

// unrouted tells, in the shape of the path, that no route takes the request.
func (m *Mux) unrouted(w http.ResponseWriter, r *http.Request, refuse http.Handler) {
	probe := &probe{header: http.Header{}}
	refuse.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		Problem(w, r, &Error{Status: http.StatusNotFound, Code: "not_found", Cause: event.Invalid("path", "see the API's description", "there is no %s", clip(r.URL.Path))})
		return
	}
	allowed := probe.header.Get("Allow")
	w.Header().Set("Allow", allowed)
	first, _, _ := strings.Cut(allowed, ",")
	other := r.Clone(r.Context())
	other.Method = first
	_, pattern := m.Handler(other)
	m.shape(pattern)(w, r, &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Cause: event.Invalid("method", "use "+allowed, "got %s", clip(r.Method))})
}

// shape is that of a route's errors.
func (m *Mux) shape(pattern string) Shape {
	if shape := m.shapes[pattern]; shape != nil {
		return shape
	}
	return Problem
}

// probe takes a response of which only the head is of interest.
type probe struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (p *probe) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter.
func (p *probe) WriteHeader(status int) { p.status = status }

// Write implements http.ResponseWriter.
func (p *probe) Write(data []byte) (int, error) { return len(data), nil }

// response remembers what was answered.
type response struct {
	http.ResponseWriter
	status int
	broken bool // ended in the middle
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(data)
}

// Flush implements http.Flusher, for writers that ask for no controller.
func (w *response) Flush() { http.NewResponseController(w.ResponseWriter).Flush() } //nolint:errcheck // the next write tells

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }
