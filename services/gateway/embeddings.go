package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// embeddings takes an embeddings request in as a job and answers with its vectors.
func (s *Service) embeddings(w http.ResponseWriter, r *web.Request) error {
	body, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	request, err := openai.ParseEmbeddings(body)
	if err != nil {
		return err
	}
	if err := request.Resolve(s.ports.Catalog.Current(), r.Tenant); err != nil {
		return err
	}
	accepted, err := s.submitEmbeddings(r, &request)
	if err != nil {
		return err
	}
	w.Header().Set(openai.HeaderJob, accepted.ID)
	ctx, cancel := s.awaiting(r.Context(), accepted.Record.Deadline)
	defer cancel()
	list, err := s.awaitEmbeddings(ctx, r.Tenant, &request, accepted.ID)
	if r.Context().Err() != nil && request.CancelOnDisconnect {
		s.cancelLeft(r, accepted.ID)
	}
	switch {
	case errors.Is(err, errAwaited):
		return awaited(accepted.ID)
	case err != nil:
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

func (s *Service) submitEmbeddings(r *web.Request, request *openai.Embeddings) (intake.Accepted, error) {
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return intake.Accepted{}, err
	}
	job := request.At(s.p.Now())
	return s.submitWithin(r, intake.Job{Kind: event.KindEmbed, ID: key}, &job, &job.Envelope, request.Timeout)
}

func (s *Service) awaitEmbeddings(ctx context.Context, tenant string, request *openai.Embeddings, id string) (openai.EmbeddingList, error) {
	result, err := s.client.Await(ctx, tenant, id)
	if err == nil {
		err = openai.FailureOf(result)
	}
	if err != nil {
		return openai.EmbeddingList{}, err
	}
	return request.Response(result), nil
}
