package llmsim

import (
	"errors"
	"net/http"
)

// workload is what a request wants of the provider.
type workload struct {
	endpoint  string
	model     string
	prompt    int // tokens
	chars     int // of all texts, counted as runes
	maxTokens int // most tokens of the answer, 0 when the request has no limit
	stream    bool
}

// visit is a request that was let in.
type visit struct {
	call  *call
	group *group
	taken charge
	slot  bool // holds a place of the group
}

// enter lets a request in and waits for the provider's latency; false means
// that it is answered already, by a limit or a fault, or that the client is
// gone. Lines of a batch pass without: batches have a quota of their own.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, load workload) (*visit, bool) {
	c := callOf(r.Context())
	c.describe(load)
	v := &visit{call: c}
	if isOffline(r.Context()) || c.server == nil {
		return v, r.Context().Err() == nil
	}
	if early := c.early(); early != nil {
		c.answerFault(w, early)
		return v, false
	}
	if !v.admit(w, r, load) || !c.disturb(w, r) {
		v.leave()
		return v, false
	}
	if wait(r.Context(), c.firstToken(load.prompt, v.group.load())) != nil || !c.beforeBody(w, r) {
		v.leave()
		return v, false
	}
	return v, true
}

// refuse answers a request that is wrong. One that is longer than the context
// is charged like any other, as the API does it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, load workload, err error) {
	c := callOf(r.Context())
	c.describe(load)
	var api *apiError
	if errors.As(err, &api) && api.Code == codeContextLength && c.server != nil && !isOffline(r.Context()) {
		v := &visit{call: c}
		defer v.leave()
		if !v.admit(w, r, load) {
			return
		}
	}
	writeError(w, err)
}

// admit charges the limits and waits for a place; when they have no room it
// answers and returns false.
func (v *visit) admit(w http.ResponseWriter, r *http.Request, load workload) bool {
	c := v.call
	v.group = c.server.groupFor(c.key, load.model, c.profile)
	now := c.server.clock.now()
	verdict := v.group.admit(now, load, c.server.limitFactor(now))
	c.entry.LevelBefore, c.entry.LevelAfter = verdict.before, verdict.after
	c.entry.Estimated, c.entry.Admitted = verdict.taken.est, verdict.ok
	c.profile.limitHeaders(w.Header(), verdict.states, now)
	if !verdict.ok {
		c.reject(w, verdict)
		return false
	}
	v.taken, v.slot = verdict.taken, true
	if verdict.turn != nil && !v.group.await(r.Context(), verdict.turn) {
		v.slot = false
		return false
	}
	return true
}

// generate waits as long as n tokens take and counts those produced; false
// when the client left before the last.
func (v *visit) generate(r *http.Request, n int) bool {
	c := v.call
	produced, ok := c.produce(r.Context(), n, v.group.load())
	c.entry.CompletionTokens += produced
	if v.group != nil {
		v.group.produced(c.server.clock.now(), produced)
	}
	return ok
}

// done records what the request used and gives its place back. A client that
// left pays what was produced for it.
func (v *visit) done(u usage) {
	e := v.call.entry
	e.PromptTokens, e.Paid = u.PromptTokens, true
	if u.Details != nil {
		e.CachedTokens = u.Details.CachedTokens
	}
	if v.group != nil && v.slot {
		v.group.settle(v.call.server.clock.now(), v.taken, e)
	}
	v.leave()
}

// leave gives the place back; the second time it does nothing.
func (v *visit) leave() {
	if v.slot {
		v.slot = false
		v.group.release()
	}
}
