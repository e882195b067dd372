package gateway

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

const (
	// streamRetry is after how long a reader that lost its stream should come back, and
	// as much again for some, so that not all come at once.
	streamRetry = time.Second
	// streamIdle is after how long a stream shows a sign of life: less than what
	// proxies wait for one.
	streamIdle = 15 * time.Second
	// cancelTimeout bounds the canceling of a job whose reader went away.
	cancelTimeout = 10 * time.Second
)

// errStopping is why streams end when the gateway stops: their readers come back to
// another one.
var errStopping = errors.New("the gateway stops")

// streamRoutes are those of streams.
func (s *Service) streamRoutes(mux *web.Mux) {
	mux.Route("GET /v1/jobs/{id}/stream", catalog.ScopeRead, web.Problem, s.streamJob)
}

// streamJob sends what happens to a job as server-sent events, from its beginning or
// behind the event that the reader names.
func (s *Service) streamJob(w http.ResponseWriter, r *web.Request) error {
	o := client.StreamOptions{After: cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after")), Idle: streamIdle}
	if err := client.CheckPlace(o.After); err != nil {
		return err
	}
	cancels, err := flag(r.Request, "cancel_on_disconnect")
	if err != nil {
		return err
	}
	if o.Life, err = flag(r.Request, "life"); err != nil {
		return err
	}
	if cancels && !r.May(catalog.ScopeSubmit) {
		return &event.Error{Class: event.ClassForbidden, Field: "cancel_on_disconnect", Message: "the key may not cancel jobs",
			Hint: "leave it out, or use a key with the scope " + string(catalog.ScopeSubmit)}
	}
	known, err := s.find(r)
	if err != nil {
		return err
	}
	ctx, cancel := s.untilStop(r.Context())
	defer cancel()
	events := web.NewEventStream(w)
	defer events.End()
	left := true
	//nolint:gosec // spreads load
	if err = events.Begin(streamRetry + rand.N(streamRetry)); err == nil {
		left = false
		err = s.client.Stream(ctx, r.Tenant, known.ID, o, func(e client.StreamEvent) error {
			err := sendEvent(events, e)
			left = err != nil
			return err
		})
	}
	if err != nil && cancels && (left || r.Context().Err() != nil) { // not when it is the server that broke
		s.cancelLeft(r, known.ID)
	}
	return nil // the reader that is still there sees no end and comes back
}

// sendEvent writes what is told of a job.
func sendEvent(events *web.EventStream, e client.StreamEvent) error {
	switch e.Type {
	case client.StreamDelta:
		return events.Event("delta", e.ID, struct {
			Text string `json:"text"`
		}{e.Text})
	case client.StreamRestart:
		return events.Event("restart", "", struct{}{})
	case client.StreamLife:
		return events.Event("life", "", e.Life)
	case client.StreamDone:
		return events.Event("done", "", e.Result)
	case client.StreamError:
		cause := e.Result.Error
		if cause == nil {
			cause = event.Errorf(event.ClassInternal, "the result has no cause")
		}
		return events.Event("error", "", failed{web.ProblemOf(web.From(cause)), e.Result})
	}
	return events.Comment("waiting")
}

// failed is the data of an error event: a problem, and the job's result.
type failed struct {
	web.ProblemDetails
	Result *event.Result `json:"result"`
}

// untilStop is a context that ends with the gateway, too.
func (s *Service) untilStop(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.stopping, func() { cancel(errStopping) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// cancelLeft cancels a job whose reader went away, as it had asked for; when it is
// the gateway that goes, the job stays.
func (s *Service) cancelLeft(r *web.Request, id string) {
	if s.stopping.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), cancelTimeout)
	defer cancel()
	if _, err := s.client.Cancel(ctx, r.Tenant, id); err != nil && !errors.Is(err, client.ErrFinished) {
		s.p.Logger.WarnContext(ctx, "canceling a job whose reader left", "tenant", r.Tenant, "job", id, "error", err)
	}
}
