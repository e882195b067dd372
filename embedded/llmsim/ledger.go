package llmsim

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// Entry is one request in the ledger.
type Entry struct {
	Seq              int    // from 1, in order of arrival
	Endpoint         string // chat or embeddings
	Model            string // "" when the request could not be read
	Stream           bool
	Status           int // HTTP status of the answer
	IdempotencyKey   string
	Traceparent      string
	PromptTokens     int
	CompletionTokens int // tokens sent, also to a client that left
}

// Ledger is a snapshot of what the server was asked and what it did.
type Ledger struct {
	Requests         int
	Chat             int
	Embeddings       int
	InFlight         int
	Statuses         map[int]int // answers by HTTP status
	PromptTokens     int
	CompletionTokens int
	// Last holds the newest finished requests, oldest first, at most
	// Config.LedgerSize.
	Last []Entry
}

// Requests is the number of chat and embeddings requests so far, those in
// flight included.
func (s *Server) Requests() int { return s.Ledger().Requests }

// Ledger returns a snapshot of the counters and the newest requests.
func (s *Server) Ledger() Ledger { return s.ledger.snapshot() }

// ledger counts requests.
type ledger struct {
	mu   sync.Mutex
	size int
	sum  Ledger
}

func newLedger(size int) *ledger {
	return &ledger{size: size, sum: Ledger{Statuses: map[int]int{}}}
}

func (l *ledger) snapshot() Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sum
	out.Statuses = maps.Clone(l.sum.Statuses)
	out.Last = slices.Clone(l.sum.Last)
	return out
}

// begin counts a request that arrived.
func (l *ledger) begin(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Requests++
	l.sum.InFlight++
	e.Seq = l.sum.Requests
	if e.Endpoint == "chat" {
		l.sum.Chat++
	} else {
		l.sum.Embeddings++
	}
}

// end adds a finished request.
func (l *ledger) end(e Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.InFlight--
	l.sum.Statuses[e.Status]++
	l.sum.PromptTokens += e.PromptTokens
	l.sum.CompletionTokens += e.CompletionTokens
	if l.size == 0 {
		return
	}
	if len(l.sum.Last) >= l.size {
		l.sum.Last = slices.Delete(l.sum.Last, 0, len(l.sum.Last)-l.size+1)
	}
	l.sum.Last = append(l.sum.Last, e)
}

// entryKey carries the request's *Entry in its context.
type entryKey struct{}

// entryOf returns the entry of a recorded request.
func entryOf(ctx context.Context) *Entry {
	if e, ok := ctx.Value(entryKey{}).(*Entry); ok {
		return e
	}
	return &Entry{}
}

// recorded puts the requests of an endpoint into the ledger.
func (s *Server) recorded(endpoint string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e := &Entry{Endpoint: endpoint, IdempotencyKey: r.Header.Get("Idempotency-Key"), Traceparent: r.Header.Get("traceparent")}
		s.ledger.begin(e)
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			e.Status = sw.status
			s.ledger.end(*e)
		}()
		next(sw, r.WithContext(context.WithValue(r.Context(), entryKey{}, e)))
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the flusher.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
