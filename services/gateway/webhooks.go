package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/webhook"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// maxTestBody bounds the body of a request for a test, in bytes.
const maxTestBody = 64 << 10

// webhookAPI shows a tenant the deliveries of its webhooks.
type webhookAPI struct{ store *webhook.Store }

// webhookRoutes adds the deliveries of webhooks.
func (s *Service) webhookRoutes(mux *web.Mux) {
	webhookAPI{store: webhook.NewStore(s.bus, s.p.Now)}.routes(mux)
}

func (a webhookAPI) routes(mux *web.Mux) {
	mux.Route("GET /v1/webhooks/deliveries", catalog.ScopeAdmin, web.Problem, a.list)
	mux.Route("GET /v1/webhooks/deliveries/{id}", catalog.ScopeAdmin, web.Problem, a.show)
	mux.Route("POST /v1/webhooks/deliveries/{id}/redeliver", catalog.ScopeAdmin, web.Problem, a.redeliver)
	mux.Route("POST /v1/webhooks/test", catalog.ScopeAdmin, web.Problem, a.test)
}

// deliveryList is the answer of list.
type deliveryList struct {
	Deliveries []webhook.Delivery `json:"deliveries"`
}

func (a webhookAPI) list(w http.ResponseWriter, r *web.Request) error {
	values := r.URL.Query()
	q := webhook.Query{State: webhook.State(values.Get("state")), Job: values.Get("job")}
	if text := values.Get("limit"); text != "" {
		var err error
		if q.Limit, err = strconv.Atoi(text); err != nil {
			return event.Invalid("limit", "use a number", "got %q", text)
		}
	}
	found, err := a.store.List(r.Context(), r.Tenant, q)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, deliveryList{found})
}

func (a webhookAPI) show(w http.ResponseWriter, r *web.Request) error {
	d, err := a.store.Get(r.Context(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return deliveryError(r, err)
	}
	return web.JSON(w, http.StatusOK, d)
}

func (a webhookAPI) redeliver(w http.ResponseWriter, r *web.Request) error {
	d, err := a.store.Redeliver(r.Context(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return deliveryError(r, err)
	}
	return web.JSON(w, http.StatusAccepted, d)
}

// test sends a test event; what becomes of it is shown by the delivery.
func (a webhookAPI) test(w http.ResponseWriter, r *web.Request) error {
	var body struct {
		To string `json:"to"`
	}
	data, err := r.JSON(maxTestBody)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return event.Invalid("body", `send {"to":"<endpoint or URL>"}`, "got %v", err)
	}
	d, err := a.store.Send(r.Context(), r.Tenant, body.To)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusAccepted, d)
}

func deliveryError(r *web.Request, err error) error {
	if errors.Is(err, webhook.ErrNone) {
		return web.NotFound("delivery", r.PathValue("id"))
	}
	return err
}
