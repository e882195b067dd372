package llmsim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is a request in work: its entry of the ledger and what happens to it.
type call struct {
	server   *Server // nil for a request that no ledger has
	entry    *Entry
	profile  *profile
	key      string
	header   http.Header
	body     []byte
	identity string // of all attempts of the same work
	action   *Action
	seed     uint64
	latencyX float64
	delay    time.Duration // before the first token, beside the latency
	random   *rand.Rand    // of latencies, made when needed
}

// callKey carries the request's *call in its context, profileKey the profile
// its path names, deploymentKey the deployment.
type (
	callKey       struct{}
	profileKey    struct{}
	deploymentKey struct{}
)

// callOf returns the call of a recorded request.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{entry: &Entry{}, latencyX: 1}
}

// entryOf returns the entry of a recorded request.
func entryOf(ctx context.Context) *Entry { return callOf(ctx).entry }

// describe notes what a request wants.
func (c *call) describe(load workload) {
	c.entry.Model, c.entry.Stream = load.model, load.stream
	if c.server != nil {
		c.server.choose(c)
	}
}

// failure is what the profile's error bodies may tell.
func (c *call) failure(wait time.Duration) failure {
	return failure{wait: wait, requestID: fmt.Sprintf("req_%d", c.entry.Seq)}
}

// reject answers a request that a limit has no room for.
func (c *call) reject(w http.ResponseWriter, v verdict) {
	e := v.limitError(c.entry.Model, c.profile)
	f := c.failure(v.wait)
	if v.dim != nil {
		f.quota = v.dim.Dim
	}
	if !v.tooLarge {
		c.profile.retryHeaders(w.Header(), v.wait)
	}
	c.entry.Code = e.Code
	c.entry.TooLarge = v.tooLarge
	writeJSON(w, e.status, c.profile.body(e, f))
}

// routed finds the profile in a path: /azure/v1/..., /anthropic/v1/..., or
// Azure's /openai/deployments/{deployment}/... .
func (s *Server) routed(r *http.Request) (*http.Request, error) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	first, rest, _ := strings.Cut(path, "/")
	ctx := r.Context()
	switch {
	case strings.HasPrefix(path, "openai/deployments/"):
		deployment, call, _ := strings.Cut(strings.TrimPrefix(path, "openai/deployments/"), "/")
		if r.URL.Query().Get("api-version") == "" {
			return nil, &apiError{status: http.StatusNotFound, Type: typeInvalid, Code: "404", Message: "Resource not found: the query has no api-version."}
		}
		ctx = context.WithValue(ctx, deploymentKey{}, deployment)
		first, rest = ProfileAzure, "v1/"+call
	case s.profiles[first] == nil:
		return r, nil
	}
	r = r.WithContext(context.WithValue(ctx, profileKey{}, first))
	url := *r.URL
	url.Path, url.RawPath = "/"+rest, ""
	r.URL = &url
	return r, nil
}

// recorded puts the requests of an endpoint into the ledger and reads their
// bodies.
func (s *Server) recorded(endpoint string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := keyOf(r.Header)
		c := &call{server: s, key: key, header: r.Header, profile: s.profileOf(r, key), latencyX: 1,
			entry: &Entry{Endpoint: endpoint, Key: masked(key), Batch: isOffline(r.Context()), IdempotencyKey: r.Header.Get("Idempotency-Key"), Traceparent: r.Header.Get("traceparent"), Received: s.clock.now()}}
		s.ledger.begin(c.entry)
		out := &answer{ResponseWriter: w, call: c, ctx: r.Context(), status: http.StatusOK}
		out.Header().Set("X-Request-Id", fmt.Sprintf("req_%d", c.entry.Seq))
		defer out.end(r)
		if err := c.read(w, r); err != nil {
			writeError(out, err)
			return
		}
		next(out, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	}
}

// read reads the body, up to the bound, and finds out which work this is.
func (c *call) read(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.server.cfg.MaxBodyBytes))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &apiError{status: http.StatusRequestEntityTooLarge, Type: typeInvalid,
			Message: fmt.Sprintf("The request body is larger than %d bytes.", tooLarge.Limit)}
	case err != nil:
		return invalid("", "", "We could not read the body of your request: %v.", err)
	}
	if deployment, ok := r.Context().Value(deploymentKey{}).(string); ok {
		body = withModel(body, deployment)
	}
	c.body = body
	r.Body = io.NopCloser(bytes.NewReader(body))
	hash := sha256.New()
	_, _ = hash.Write([]byte(r.URL.Path + "\x00"))
	_, _ = hash.Write(body)
	e := c.entry
	const hashBytes = 12
	e.PromptHash = hex.EncodeToString(hash.Sum(nil)[:hashBytes])
	c.identity = e.PromptHash
	if e.IdempotencyKey != "" {
		c.identity = "key " + e.IdempotencyKey
	}
	if n, err := strconv.Atoi(r.Header.Get("X-Request-Attempt")); err == nil && n > 0 {
		e.Attempt = n
	}
	if e.Batch { // its lines share the headers of the batch
		c.identity, e.Attempt, e.IdempotencyKey = "", 1, ""
		return nil
	}
	c.server.ledger.attempt(c)
	return nil
}

// withModel names the model of a body that says none: Azure's is in the path.
func withModel(body []byte, model string) []byte {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields == nil {
		return body
	}
	name, err := json.Marshal(model)
	if err != nil {
		return body
	}
	fields["model"] = name
	if out, err := json.Marshal(fields); err == nil {
		return out
	}
	return body
}

// disturb does what comes before the headers; false when the request ends
// there.
func (c *call) disturb(w http.ResponseWriter, r *http.Request) bool {
	if wait(r.Context(), c.delay) != nil {
		return false
	}
	a := c.action
	switch {
	case a == nil:
		return true
	case a.Hang == hangBeforeHeaders && !c.hang(r.Context()):
		return false
	case a.Reset:
		resetConnection(w)
		return false
	case a.Close:
		closeConnection(w)
		return false
	case a.answers():
		c.answerFault(w, a)
		return false
	}
	return true
}

// beforeBody does what comes after the headers of an answer.
func (c *call) beforeBody(w http.ResponseWriter, r *http.Request) bool {
	if c.action == nil || c.action.Hang != hangAfterHeaders {
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	if c.entry.Stream {
		w.Header().Set("Content-Type", contentEvents)
	}
	w.WriteHeader(http.StatusOK)
	return http.NewResponseController(w).Flush() == nil && c.hang(r.Context())
}

// hang waits as long as the action says; false when the client left.
func (c *call) hang(ctx context.Context) bool {
	if c.action.HangFor > 0 {
		return wait(ctx, c.server.scaled(c.action.HangFor)) == nil
	}
	<-ctx.Done()
	return false
}

// resetConnection ends a connection with an RST, or just ends it where that
// can't be.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		closeConnection(w)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // then Close resets
	}
	_ = conn.Close()
}

// closeConnection ends a connection when the handler returns.
func closeConnection(w http.ResponseWriter) {
	if out, ok := w.(*answer); ok {
		out.abort, out.mute = true, true
	}
}
