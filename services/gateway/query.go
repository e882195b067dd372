package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// queryTimeout is a little longer than a router takes for a query at most.
const queryTimeout = 65 * time.Second

// query answers with what retrieval finds.
func (s *Service) query(w http.ResponseWriter, r *web.Request) error {
	body, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return err
	}
	request := event.QueryRequest{V: event.Version}
	if err := json.Unmarshal(body, &request); err != nil {
		return event.Invalid("body", "see docs/jobs.md for the fields of a query", "%v", err)
	}
	if request.V != event.Version {
		return event.Invalid("v", "leave it out, or send 1", "got %d", request.V)
	}
	if strings.TrimSpace(request.Text) == "" {
		return event.Invalid("text", "say what to look for", "is empty")
	}
	if err := request.Validate(); err != nil {
		return err
	}
	if err := s.allowsCollection(r, request.Collection); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	reply, err := s.client.Query(ctx, r.Tenant, request)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, reply)
}

// allowsCollection reports whether the caller's tenant may use a collection.
func (s *Service) allowsCollection(r *web.Request, collection string) error {
	agreed := s.ports.Catalog.Current().Tenant(r.Tenant)
	return agreed.Allows("", "", "", collection)
}
