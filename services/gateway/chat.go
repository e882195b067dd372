package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

const (
	// chatIdle is how long a streamed completion waits for its first piece before it
	// begins without one: until then a job that fails is told by the status.
	chatIdle = 30 * time.Second
	// deadlineGrace is how long after the job's deadline its result may come.
	deadlineGrace = 2 * time.Second
)

// errAwaited is why the gateway stops to wait for an answer.
var errAwaited = errors.New("the time to wait is over")

// chatRoutes are those of OpenAI's chat completions and models.
func (s *Service) chatRoutes(mux *web.Mux) {
	mux.Route("POST /v1/chat/completions", catalog.ScopeSubmit, openai.Shape, s.chat)
	mux.Route("GET /v1/models", catalog.ScopeRead, openai.Shape, s.listModels)
	mux.Route("GET /v1/models/{id...}", catalog.ScopeRead, openai.Shape, s.showModel)
}

func (s *Service) listModels(w http.ResponseWriter, r *web.Request) error {
	return web.JSON(w, http.StatusOK, openai.ModelsOf(s.ports.Catalog.Current(), r.Tenant))
}

func (s *Service) showModel(w http.ResponseWriter, r *web.Request) error {
	m, err := openai.ModelOf(s.ports.Catalog.Current(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, m)
}

// chat takes a chat completion request in as a job and answers with what comes of it.
func (s *Service) chat(w http.ResponseWriter, r *web.Request) error {
	body, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	chat, err := openai.ParseChat(body)
	if err != nil {
		return err
	}
	if err := chat.Resolve(s.ports.Catalog.Current(), r.Tenant); err != nil {
		return err
	}
	accepted, err := s.submitChat(r, &chat)
	if err != nil {
		return err
	}
	w.Header().Set(openai.HeaderJob, accepted.ID)
	ctx, cancel := s.awaiting(r.Context(), accepted.Record.Deadline)
	defer cancel()
	if chat.Stream {
		err = s.streamChat(ctx, w, r, &chat, accepted.ID)
	} else {
		err = s.awaitChat(ctx, w, r, &chat, accepted.ID)
	}
	if r.Context().Err() != nil && chat.CancelOnDisconnect {
		s.cancelLeft(r, accepted.ID)
	}
	if errors.Is(err, errAwaited) {
		return awaited(accepted.ID)
	}
	return err
}

// submitChat takes in the job of a request.
func (s *Service) submitChat(r *web.Request, chat *openai.Chat) (intake.Accepted, error) {
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return intake.Accepted{}, err
	}
	job := chat.At(s.p.Now())
	return s.submitWithin(r, intake.Job{Kind: event.KindGenerate, ID: key}, &job, &job.Envelope, chat.Timeout)
}

// submitWithin takes in a job that has env as its envelope, and a deadline from now if
// within is not 0. One that was sent before keeps the deadline that it had.
func (s *Service) submitWithin(r *web.Request, in intake.Job, job any, env *event.Envelope, within time.Duration) (_ intake.Accepted, err error) {
	if in.Body, err = json.Marshal(job); err != nil {
		return intake.Accepted{}, fmt.Errorf("encoding the job: %w", err)
	}
	if within > 0 && (in.ID != "" || env.ID != "") {
		checked, err := s.intake.Check(r.Principal, in)
		if err != nil {
			return intake.Accepted{}, err
		}
		known, err := s.intake.Known(r.Context(), r.Tenant, checked.ID)
		if err != nil {
			return intake.Accepted{}, err
		}
		if known != nil {
			env.Deadline = known.Deadline
		}
		if in.Body, err = json.Marshal(job); err != nil {
			return intake.Accepted{}, fmt.Errorf("encoding the job: %w", err)
		}
	}
	return s.intake.Submit(r.Context(), r.Principal, in)
}

// awaiting is a context that ends when the gateway has waited long enough for a job
// with a deadline (zero is none).
func (s *Service) awaiting(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	wait := s.cfg.AwaitTimeout
	if !deadline.IsZero() {
		wait = min(wait, max(deadline.Sub(s.p.Now()), 0)+deadlineGrace)
	}
	return context.WithTimeoutCause(ctx, wait, errAwaited)
}

// awaited is the answer for a job that takes longer than a request may wait.
func awaited(id string) error {
	return &web.Error{Status: http.StatusGatewayTimeout, Code: "timeout", Cause: &event.Error{Class: event.ClassDeadline,
		Message: "job " + id + " has no result yet; it goes on", Hint: "read its result from GET /v1/jobs/" + id + " later"}}
}

// awaitChat answers with the completion.
func (s *Service) awaitChat(ctx context.Context, w http.ResponseWriter, r *web.Request, chat *openai.Chat, id string) error {
	result, err := s.client.Await(ctx, r.Tenant, id)
	if err == nil {
		err = openai.FailureOf(result)
	}
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, chat.Response(result))
}

// streamChat answers with the chunks of the completion. Until there is one, an error
// is told by the status, then in the stream.
func (s *Service) streamChat(ctx context.Context, w http.ResponseWriter, r *web.Request, chat *openai.Chat, id string) error {
	events := web.NewEventStream(w)
	defer events.End()
	chunks := chat.Chunks(id, s.p.Now())
	err := s.client.Stream(ctx, r.Tenant, id, client.StreamOptions{Idle: chatIdle}, func(e client.StreamEvent) error {
		return sendChunks(events, chunks, e)
	})
	if err == nil {
		return events.Data([]byte("[DONE]"))
	}
	if !events.Begun() {
		return err
	}
	if errors.Is(err, errAwaited) {
		err = awaited(id)
	}
	_, body := openai.ErrorOf(err)
	events.Event("", "", body) //nolint:errcheck // the reader may be gone
	return nil
}

// sendChunks writes what an event adds to a completion.
func sendChunks(events *web.EventStream, chunks *openai.Chunks, e client.StreamEvent) error {
	var out []openai.Chunk
	var err error
	switch e.Type {
	case client.StreamDelta:
		out, err = chunks.Delta(e.Text)
	case client.StreamRestart:
		chunks.Restart()
	case client.StreamDone:
		out, err = chunks.Done(*e.Result)
	case client.StreamError:
		return openai.FailureOf(*e.Result)
	case client.StreamIdle:
		return events.Comment("waiting")
	}
	for i := 0; i < len(out) && err == nil; i++ {
		err = events.Event("", "", out[i])
	}
	return err
}
