package llmsim

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// sameWork is how long a request with the same body, and without a key of
	// its own, is taken for another attempt.
	sameWork = 10 * time.Minute
	// maxWorks bounds the requests whose attempts are known.
	maxWorks = 1 << 20
)

// Entry is one request in the ledger.
type Entry struct {
	Seq            int       `json:"seq"` // from 1, in order of arrival
	Received       time.Time `json:"received"`
	First          time.Time `json:"first,omitzero"` // of the answer
	Done           time.Time `json:"done"`
	Key            string    `json:"key"`      // without its middle
	Endpoint       string    `json:"endpoint"` // chat, embeddings, rerank, moderations or responses
	Model          string    `json:"model"`    // "" when the request could not be read
	Stream         bool      `json:"stream"`
	Batch          bool      `json:"batch,omitempty"` // a line of a batch: no limits, no faults
	Status         int       `json:"status"`          // HTTP status of the answer, 0 for none
	Code           string    `json:"code,omitempty"`
	PromptHash     string    `json:"prompt_hash"`
	IdempotencyKey string    `json:"idempotency_key,omitempty"`
	// Attempt is the X-Request-Attempt header, else the number of requests with
	// the same idempotency key or body, from 1.
	Attempt     int    `json:"attempt"`
	Traceparent string `json:"traceparent,omitempty"`
	// Estimated are the tokens that the limits charged, Admitted whether they
	// had room, LevelBefore and LevelAfter what the tightest limit of tokens
	// had left.
	Estimated        int64 `json:"estimated_tokens"`
	Admitted         bool  `json:"admitted"`
	TooLarge         bool  `json:"too_large,omitempty"` // for the whole limit
	LevelBefore      int64 `json:"level_before"`
	LevelAfter       int64 `json:"level_after"`
	PromptTokens     int   `json:"prompt_tokens"`
	CachedTokens     int   `json:"cached_tokens"`
	CompletionTokens int   `json:"completion_tokens"` // tokens made, also for a client that left
	Paid             bool  `json:"paid"`
	CostNanoUSD      int64 `json:"cost_nano_usd"`
	// Fault is the rule that was applied; Lost that the answer was made but
	// not sent, Truncated that a part was, ClientGone that the client left.
	Fault      string `json:"fault,omitempty"`
	Lost       bool   `json:"lost,omitempty"`
	Truncated  bool   `json:"truncated,omitempty"`
	ClientGone bool   `json:"client_gone,omitempty"`
}

// Ledger is a snapshot of what the server was asked and what it did.
type Ledger struct {
	Requests         int         `json:"requests"`
	Chat             int         `json:"chat"`
	Embeddings       int         `json:"embeddings"`
	InFlight         int         `json:"in_flight"`
	Statuses         map[int]int `json:"statuses"` // answers by HTTP status
	PromptTokens     int         `json:"prompt_tokens"`
	CachedTokens     int         `json:"cached_tokens"`
	CompletionTokens int         `json:"completion_tokens"`
	CostNanoUSD      int64       `json:"cost_nano_usd"`
	Paid             int         `json:"paid"`
	Lost             int         `json:"lost"`
	Truncated        int         `json:"truncated"`
	ClientGone       int         `json:"client_gone"`
	// TruncatedAccepted are the truncated or lost answers after which the same
	// request did not come again.
	TruncatedAccepted int `json:"truncated_accepted"`
	// ForbiddenRetries are the requests that came again although their answer
	// said that they can't succeed.
	ForbiddenRetries int `json:"forbidden_retries"`
	MaxAttempts      int `json:"max_attempts"`
	// DuplicatesPaid counts payments for what was paid before;
	// DuplicatesUnexplained those where no fault had spoilt the answer before.
	DuplicatesPaid        int   `json:"duplicates_paid"`
	DuplicatesUnexplained int   `json:"duplicates_unexplained"`
	DuplicateTokens       int   `json:"duplicate_tokens"`
	DuplicateCostNanoUSD  int64 `json:"duplicate_cost_nano_usd"`
	// Last holds the newest finished requests, oldest first, at most
	// Config.LedgerSize.
	Last []Entry `json:"-"`
}

// Duplicate is work that was paid more than once.
type Duplicate struct {
	IdempotencyKey string `json:"idempotency_key,omitempty"`
	PromptHash     string `json:"prompt_hash"`
	Model          string `json:"model"`
	Paid           int    `json:"paid"`        // times
	Unexplained    int    `json:"unexplained"` // times after an answer that no fault spoilt
	Tokens         int    `json:"tokens"`      // of all but the first
	CostNanoUSD    int64  `json:"cost_nano_usd"`
}

// Requests is the number of requests that do work so far, those in flight
// included.
func (s *Server) Requests() int { return s.Ledger().Requests }

// Ledger returns a snapshot of the counters and the newest requests.
func (s *Server) Ledger() Ledger { return s.ledger.snapshot() }

// Duplicates lists what was paid more than once, under one idempotency key or,
// without a key, for the same body within ten minutes.
func (s *Server) Duplicates() []Duplicate { return s.ledger.duplicates() }

// Reset forgets all requests, windows and what is used of limits.
func (s *Server) Reset() {
	s.ledger.reset()
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	clear(s.control.groups)
	for _, r := range s.control.faults.rules {
		r.seen = 0
	}
	s.cache.reset()
}

// work is a piece of work with all its attempts.
type work struct {
	Duplicate
	attempts int
	last     time.Time
	open     bool // the last answer did not arrive whole
	final    bool // the last answer said that no attempt can succeed
	clean    int  // payments for answers that no fault spoilt
}

// metricKey is what requests are counted by for metrics.
type metricKey struct {
	model  string
	status int
}

// ledger counts requests.
type ledger struct {
	mu       sync.Mutex
	size     int
	inFlight int
	sum      Ledger
	works    map[string]*work
	byModel  map[metricKey]int
}

func newLedger(size int) *ledger {
	l := &ledger{size: size}
	l.reset()
	return l
}

func (l *ledger) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum = Ledger{Statuses: map[int]int{}}
	l.works, l.byModel = map[string]*work{}, map[metricKey]int{}
}

func (l *ledger) snapshot() Ledger {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.sum
	out.InFlight = l.inFlight
	out.Statuses = maps.Clone(l.sum.Statuses)
	out.Last = slices.Clone(l.sum.Last)
	return out
}

func (l *ledger) duplicates() []Duplicate {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := []Duplicate{}
	for _, w := range l.works {
		if w.Paid > 1 {
			out = append(out, w.Duplicate)
		}
	}
	slices.SortFunc(out, func(a, b Duplicate) int {
		return cmp.Or(cmp.Compare(b.CostNanoUSD, a.CostNanoUSD), cmp.Compare(a.PromptHash, b.PromptHash), cmp.Compare(a.IdempotencyKey, b.IdempotencyKey))
	})
	return out
}

// begin counts a request that arrived.
func (l *ledger) begin(e *Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sum.Requests++
	l.inFlight++
	e.Seq = l.sum.Requests
	switch e.Endpoint {
	case "chat":
		l.sum.Chat++
	case "embeddings":
		l.sum.Embeddings++
	}
}

// attempt notes which work a request is another attempt of.
func (l *ledger) attempt(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := c.entry
	w, ok := l.works[c.identity]
	if !ok || e.IdempotencyKey == "" && e.Received.Sub(w.last) > sameWork {
		l.makeRoom(e.Received)
		w = &work{Duplicate: Duplicate{IdempotencyKey: e.IdempotencyKey, PromptHash: e.PromptHash}}
		l.works[c.identity] = w
	}
	w.attempts++
	w.last = e.Received
	if w.open {
		w.open = false
		l.sum.TruncatedAccepted--
	}
	if w.final {
		l.sum.ForbiddenRetries++
	}
	if e.Attempt == 0 {
		e.Attempt = w.attempts
	}
	l.sum.MaxAttempts = max(l.sum.MaxAttempts, w.attempts)
}

// makeRoom forgets old work when there is too much, or all of it when none is
// old.
func (l *ledger) makeRoom(now time.Time) {
	if len(l.works) < maxWorks {
		return
	}
	maps.DeleteFunc(l.works, func(_ string, w *work) bool { return now.Sub(w.last) > sameWork })
	if len(l.works) >= maxWorks {
		clear(l.works)
	}
}

// end adds a finished request.
func (l *ledger) end(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := c.entry
	l.inFlight--
	l.sum.Statuses[e.Status]++
	l.byModel[metricKey{c.modelLabel(), e.Status}]++
	l.sum.PromptTokens += e.PromptTokens
	l.sum.CachedTokens += e.CachedTokens
	l.sum.CompletionTokens += e.CompletionTokens
	l.sum.CostNanoUSD += e.CostNanoUSD
	for _, n := range []struct {
		count *int
		is    bool
	}{{&l.sum.Paid, e.Paid}, {&l.sum.Lost, e.Lost}, {&l.sum.Truncated, e.Truncated}, {&l.sum.ClientGone, e.ClientGone}} {
		if n.is {
			*n.count++
		}
	}
	if w := l.works[c.identity]; w != nil {
		l.settle(w, e)
	}
	if l.size == 0 {
		return
	}
	if len(l.sum.Last) >= l.size {
		l.sum.Last = slices.Delete(l.sum.Last, 0, len(l.sum.Last)-l.size+1)
	}
	l.sum.Last = append(l.sum.Last, *e)
}

// settle adds a finished attempt to its work.
func (l *ledger) settle(w *work, e *Entry) {
	w.Model = e.Model
	w.final = e.isFinal()
	if e.Truncated || e.Lost {
		w.open = true
		l.sum.TruncatedAccepted++
	}
	if !e.Paid {
		return
	}
	if w.Paid++; w.Paid > 1 {
		tokens := e.PromptTokens + e.CompletionTokens
		w.Tokens += tokens
		w.CostNanoUSD += e.CostNanoUSD
		l.sum.DuplicatesPaid++
		l.sum.DuplicateTokens += tokens
		l.sum.DuplicateCostNanoUSD += e.CostNanoUSD
		if w.clean > 0 {
			w.Unexplained++
			l.sum.DuplicatesUnexplained++
		}
	}
	if e.Fault == "" {
		w.clean++
	}
}

// isFinal reports whether the answer says that the same request can't succeed
// here soon.
func (e *Entry) isFinal() bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	case http.StatusTooManyRequests:
		return e.TooLarge || e.Code == "insufficient_quota" || e.Code == "credit_balance_exhausted"
	}
	return false
}

// modelLabel is the model for metrics; all that are not served are "other".
func (c *call) modelLabel() string {
	cfg := &c.server.cfg
	if slices.Contains(cfg.ChatModels, c.entry.Model) || slices.Contains(cfg.EmbeddingModels, c.entry.Model) {
		return c.entry.Model
	}
	return "other"
}

// Price is what a token costs, in nano-USD.
type Price struct {
	Input, Cached, Output int64
}

// price sets the cost of a request that was paid.
func (s *Server) price(e *Entry) {
	if !e.Paid {
		return
	}
	p := s.cfg.Prices[e.Model]
	e.CostNanoUSD = int64(e.PromptTokens-e.CachedTokens)*p.Input + int64(e.CachedTokens)*p.Cached + int64(e.CompletionTokens)*p.Output
}
