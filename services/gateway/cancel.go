package gateway

import (
	"errors"
	"net/http"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// cancelJob stops a job, wherever it is.
func (s *Service) cancelJob(w http.ResponseWriter, r *web.Request) error {
	known, err := s.find(r)
	if err != nil {
		return err
	}
	if known.Kind == event.KindBatch && !known.State.Finished() {
		return web.Conflict("use POST /v1/batches/"+known.ID+"/cancel, which ends with what is done", "the job is a batch")
	}
	result, err := s.client.Cancel(r.Context(), r.Tenant, known.ID)
	if errors.Is(err, client.ErrFinished) {
		return web.Conflict("read its result", "the job is finished: "+string(client.StateOf(result)))
	}
	if err != nil {
		return err
	}
	known.Result, known.State, known.Kind = &result, client.StateCanceled, result.Kind
	j := newJob(known)
	j.Result = &result
	return web.JSON(w, http.StatusOK, j)
}
