package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/tenant"
)

// TestOpenToNoPage: without keys, what a web page of another origin sends is refused,
// and what comes by a name that may be anybody's; with keys neither is looked at.
func TestOpenToNoPage(t *testing.T) {
	t.Parallel()
	handler := func(auth tenant.Authenticator) http.Handler {
		mux := NewMux(auth)
		ok := func(w http.ResponseWriter, _ *Request) error { return JSON(w, http.StatusOK, "done") }
		mux.Route("GET /ok", catalog.ScopeRead, Problem, ok)
		mux.Route("POST /ok", catalog.ScopeRead, plain, ok)
		return Edge(mux, EdgeConfig{Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Now: time.Now, BodyGrace: grace})
	}
	open, keyed := handler(tenant.Open{}), handler(reader{})
	const own = "127.0.0.1:8088"
	for _, tt := range []struct {
		host   string
		header []string
		status int
	}{
		{own, nil, 200},
		{"localhost:8088", nil, 200},
		{"LOCALHOST", nil, 200},
		{"[::1]:8088", nil, 200},
		{"[::1]", nil, 200},
		{own, []string{"Sec-Fetch-Site", "none"}, 200},
		{own, []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + own}, 200},
		{own, []string{"Origin", "http://" + own}, 200},
		{own, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{own, []string{"Sec-Fetch-Site", "same-site", "Origin", "http://127.0.0.1:3000"}, 403},
		{own, []string{"Origin", "https://evil.example"}, 403},
		{own, []string{"Origin", "http://127.0.0.1:3000"}, 403},
		{own, []string{"Origin", "null"}, 403},
		{"evil.example:8088", nil, 403},
		{"evil.example:8088", []string{"Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example:8088"}, 403},
		{"127.0.0.1.evil.example", nil, 403},
		{"localhost.evil.example:8088", nil, 403},
		{"", nil, 403},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			ask := func(h http.Handler) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, "/ok", nil)
				r.Host = tt.host
				r.Header.Set("Authorization", "Bearer secret")
				for i := 0; i < len(tt.header); i += 2 {
					r.Header.Set(tt.header[i], tt.header[i+1])
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			got := ask(open)
			if got.Code != tt.status || got.Code == http.StatusForbidden && !strings.Contains(got.Body.String(), "forbidden") {
				t.Errorf("%s by %q %q: %d %s, want %d", method, tt.host, tt.header, got.Code, got.Body, tt.status)
			}
			if got := ask(keyed); got.Code != http.StatusOK {
				t.Errorf("with a key, %s by %q %q: %d %s", method, tt.host, tt.header, got.Code, got.Body)
			}
		}
	}
}
