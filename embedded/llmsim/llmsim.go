// Package llmsim simulates an OpenAI-compatible provider of chat completions
// and embeddings: the API's shapes, streams and errors, with answers that come
// from the prompt alone. Given context blocks it answers with their best
// sentences and citations, or says that it doesn't know; its embeddings are
// hashed words and character grams. The same request gets the same answer from
// every server.
package llmsim

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"
)

// shutdownWait bounds the wait for requests in flight when Run ends.
const shutdownWait = 5 * time.Second

// Server is a simulated provider. It is an http.Handler and can also serve by
// itself with Run.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	embedder *embedder
	ledger   *ledger
	ready    chan struct{}
	addr     string // set before ready is closed
}

var _ http.Handler = (*Server)(nil)

// New returns a server for cfg; it does no I/O.
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.CountTokens == nil {
		cfg.CountTokens = quarterOfChars
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{
		cfg:      cfg,
		mux:      http.NewServeMux(),
		embedder: newEmbedder(),
		ledger:   newLedger(cfg.LedgerSize),
		ready:    make(chan struct{}),
	}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("GET /v1/models", s.authorised(s.models))
	s.mux.HandleFunc("POST /v1/chat/completions", s.recorded("chat", s.authorised(s.chat)))
	s.mux.HandleFunc("POST /v1/embeddings", s.recorded("embeddings", s.authorised(s.embeddings)))
	s.mux.HandleFunc("/", s.unknown)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Run listens on Config.Addr and serves until ctx ends; then it waits up to
// five seconds for the requests in flight. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.cfg.Addr)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", s.cfg.Addr, err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	s.addr = listener.Addr().String()
	close(s.ready)
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", s.addr, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer cancel()
	if server.Shutdown(stop) != nil {
		// What is left: slow calls, and connections opened but not used yet.
		server.Close() //nolint:errcheck // stopping
	}
	<-served //nolint:errcheck // it only says that the server is closed
	return nil
}

// Ready is closed when Run accepts connections.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address Run listens on, host:port; "" before Ready.
func (s *Server) Addr() string {
	select {
	case <-s.ready:
		return s.addr
	default:
		return ""
	}
}

// URL is the base URL for clients, ending in /v1; "" before Ready.
func (s *Server) URL() string {
	if addr := s.Addr(); addr != "" {
		return "http://" + addr + "/v1"
	}
	return ""
}

// models lists the model ids.
func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	type model struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}
	list := []model{}
	for _, id := range slices.Concat(s.cfg.ChatModels, s.cfg.EmbeddingModels) {
		list = append(list, model{ID: id, Object: "model", OwnedBy: "llmsim"})
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list})
}

// unknown answers requests for paths and methods that are not served.
func (s *Server) unknown(w http.ResponseWriter, r *http.Request) {
	for _, known := range []struct{ path, method string }{
		{"/v1/chat/completions", http.MethodPost}, {"/v1/embeddings", http.MethodPost},
		{"/v1/models", http.MethodGet}, {"/healthz", http.MethodGet},
	} {
		if r.URL.Path == known.path {
			w.Header().Set("Allow", known.method)
			writeError(w, &apiError{status: http.StatusMethodNotAllowed, Type: typeInvalid, Code: "method_not_supported",
				Message: fmt.Sprintf("Not allowed to %s on %s.", r.Method, r.URL.Path)})
			return
		}
	}
	writeError(w, &apiError{status: http.StatusNotFound, Type: typeInvalid, Code: "unknown_url",
		Message: fmt.Sprintf("Unknown request URL: %s %s. Please check the URL for typos.", r.Method, r.URL.Path)})
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
