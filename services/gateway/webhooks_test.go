package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/pkg/webhook"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// scoped lets callers in with the scope that their credential names.
type scoped struct{}

func (scoped) Authenticate(_ context.Context, bearer, as string) (tenant.Principal, error) {
	return tenant.Principal{Tenant: as, Scopes: []catalog.Scope{catalog.Scope(bearer)}}, nil
}

func TestWebhookAPI(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	store := webhook.NewStore(b, time.Now)
	mux := web.NewMux(scoped{})
	webhookAPI{store}.routes(mux)
	r := event.Result{V: 1, ID: "j1", Tenant: "acme", Status: event.StatusOK, FinishedAt: time.Now().UTC()}
	d, err := store.Create(t.Context(), webhook.NewDelivery(&r, "ops", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	out, err := stage.ResultOut(r)
	if err == nil {
		err = b.Publish(t.Context(), out)
	}
	if err != nil {
		t.Fatal(err)
	}
	const list, one, again, test = "GET /v1/webhooks/deliveries", "GET /v1/webhooks/deliveries/", "/redeliver", "POST /v1/webhooks/test"
	for name, tc := range map[string]struct {
		call, as, scope, body string
		status                int
		want                  string
	}{
		"list":                      {list, "acme", "admin", "", 200, d.ID},
		"list by state":             {list + "?state=dead", "acme", "admin", "", 200, `{"deliveries":[]}`},
		"list by a state unknown":   {list + "?state=x", "acme", "admin", "", 400, `"field":"state"`},
		"list too many":             {list + "?limit=100000", "acme", "admin", "", 400, `"field":"limit"`},
		"list with words":           {list + "?limit=all", "acme", "admin", "", 400, `"field":"limit"`},
		"list of another":           {list, "other", "admin", "", 200, `{"deliveries":[]}`},
		"list without the scope":    {list, "acme", "read", "", 403, "admin"},
		"show":                      {one + d.ID, "acme", "admin", "", 200, `"to":"ops"`},
		"show another's":            {one + d.ID, "other", "admin", "", 404, "there is no delivery"},
		"show none":                 {one + "msg_x", "acme", "admin", "", 404, "there is no delivery"},
		"show all":                  {one + "*", "acme", "admin", "", 404, "there is no delivery"},
		"redeliver":                 {"POST /v1/webhooks/deliveries/" + d.ID + again, "acme", "admin", "", 202, d.ID},
		"redeliver another's":       {"POST /v1/webhooks/deliveries/" + d.ID + again, "other", "admin", "", 404, "there is no delivery"},
		"redeliver with less scope": {"POST /v1/webhooks/deliveries/" + d.ID + again, "acme", "submit", "", 403, "admin"},
		"test":                      {test, "acme", "admin", `{"to":"ops"}`, 202, webhook.Test},
		"test nobody":               {test, "acme", "admin", `{}`, 400, `"field":"to"`},
		"test without JSON":         {test, "acme", "admin", `x`, 400, `"field":"body"`},
		"test at length":            {test, "acme", "admin", `{"to":"` + strings.Repeat("x", maxTestBody) + `"}`, 413, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.call, " ")
			req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(tc.body))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+tc.scope)
			req.Header.Set(web.HeaderTenant, tc.as)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, req)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("got %d %s, want %d with %s", w.Code, w.Body, tc.status, tc.want)
			}
		})
	}
	s, err := b.JetStream().Stream(t.Context(), bus.StreamDelay)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 2 {
		t.Errorf("%d messages for the notifier, want those of the redelivery and the test", n)
	}
}

// TestWebhookRoutes: the gateway serves them.
func TestWebhookRoutes(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	s := &Service{bus: b, ports: Ports{Auth: tenant.Open{}}}
	s.p = s.p.WithDefaults()
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/v1/webhooks/deliveries", nil))
	if w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
