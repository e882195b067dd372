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
	"sync"
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
	known    *knowledge
	*stored
	ledger      *ledger
	clock       *clock
	cache       *promptCache
	control     control
	profiles    map[string]*profile
	keyPrefixes map[string]string
	ready       chan struct{}
	addr        string // set before ready is closed
	adminAddr   string
}

// control is what the admin API changes while the server runs.
type control struct {
	mu      sync.Mutex
	profile *profile
	limits  []Limit
	groups  map[groupID]*group
	faults  *faultSet
	seed    uint64
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
	clock := &clock{base: cfg.Now}
	cfg.Now = clock.now
	faults, err := cfg.Faults.compile(clock.now())
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:         cfg,
		mux:         http.NewServeMux(),
		embedder:    newEmbedder(),
		known:       newKnowledge(cfg.Answers),
		stored:      newStored(cfg.Answers),
		ledger:      newLedger(cfg.LedgerSize),
		clock:       clock,
		cache:       &promptCache{until: map[uint64]time.Time{}},
		control:     control{limits: cfg.Limits, groups: map[groupID]*group{}, faults: faults, seed: cfg.Answers.Seed},
		profiles:    profiles(),
		keyPrefixes: keyPrefixes(),
		ready:       make(chan struct{}),
	}
	if s.control.profile, err = s.findProfile(cfg.Profile); err != nil {
		return nil, err
	}
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("GET /v1/models", s.authorised(s.models))
	s.mux.HandleFunc("POST /v1/chat/completions", s.recorded("chat", s.authorised(s.chat)))
	s.mux.HandleFunc("POST /v1/embeddings", s.recorded("embeddings", s.authorised(s.embeddings)))
	s.answerRoutes(s.mux)
	s.mux.HandleFunc("/", s.unknown)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, err := s.routed(r)
	if err != nil {
		writeError(w, err)
		return
	}
	s.mux.ServeHTTP(w, to)
}

// Run listens on Config.Addr, and on Config.AdminAddr for the admin API, and
// serves until ctx ends; then it waits up to five seconds for the requests in
// flight. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listeners := []*served{{handler: s, addr: s.cfg.Addr}}
	if s.cfg.AdminAddr != "" {
		listeners = append(listeners, &served{handler: s.Admin(), addr: s.cfg.AdminAddr})
	}
	for _, l := range listeners {
		if err := l.listen(ctx); err != nil {
			for _, other := range listeners {
				other.close()
			}
			return err
		}
	}
	s.addr = listeners[0].addr
	if len(listeners) > 1 {
		s.adminAddr = listeners[1].addr
	}
	group.Go(func() { s.Work(ctx) })
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		group.Go(func() { ended <- l.serve(ctx) })
	}
	close(s.ready)
	return <-ended // the first to end, by an error or with ctx, ends all
}

// served is one listener with its handler.
type served struct {
	handler  http.Handler
	addr     string
	listener net.Listener
}

// listen opens the port; then addr is the real one.
func (l *served) listen(ctx context.Context) (err error) {
	if l.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", l.addr); err != nil {
		return fmt.Errorf("listening on %s: %w", l.addr, err)
	}
	l.addr = l.listener.Addr().String()
	return nil
}

func (l *served) close() {
	if l.listener != nil {
		l.listener.Close() //nolint:errcheck // nothing was accepted
	}
}

// serve serves until ctx ends, and the requests in flight a while longer.
func (l *served) serve(ctx context.Context) error {
	server := &http.Server{Handler: l.handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving on %s: %w", l.addr, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWait)
	defer cancel()
	if server.Shutdown(stop) != nil {
		// What is left: slow calls, and connections opened but not used yet.
		server.Close() //nolint:errcheck // stopping
	}
	<-ended //nolint:errcheck // it only says that the server is closed
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

// AdminAddr is the address of the admin API, host:port; "" before Ready or
// without one.
func (s *Server) AdminAddr() string {
	select {
	case <-s.ready:
		return s.adminAddr
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
