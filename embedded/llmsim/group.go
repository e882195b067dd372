package llmsim

import (
	"context"
	"slices"
	"sync"
	"time"
)

// maxGroups bounds the groups with limits and windows of their own; the keys
// that come after share one.
const maxGroups = 4096

// groupID names what limits are counted for.
type groupID struct{ key, group string }

// dimension is a limit with its state.
type dimension struct {
	Limit
	law law
	cap int64 // Limit.Cap as a brownout leaves it
}

// group is a key's share of a group of models. Its lock covers the check and
// the charge of all dimensions.
type group struct {
	id      groupID
	profile *profile

	mu      sync.Mutex
	dims    []*dimension
	slots   int64 // places, 0 without a limit
	queue   int64 // who may wait for one, -1 without a limit
	running int64
	waiting []chan struct{}
	traffic *traffic
}

// dimState is a limit as headers show it.
type dimState struct {
	Dim       string        `json:"dim"`
	Law       string        `json:"law"`
	Cap       int64         `json:"cap"`
	Used      int64         `json:"used"`
	Remaining int64         `json:"remaining"`
	Reset     time.Duration `json:"-"`
	ResetIn   Duration      `json:"reset"`
}

// charge is what a request was charged: by dimension, and by the provider's
// estimate for the windows.
type charge struct {
	est   int64
	taken map[*dimension]int64
}

// verdict is what a limiter says about a request.
type verdict struct {
	ok            bool
	states        []dimState // after the charge
	before, after int64      // tokens left of the tightest limit of tokens
	taken         charge
	turn          chan struct{} // of the queue; closed when there is a place

	// Of a rejected request:
	dim       *dimension
	cap, used int64
	requested int64
	wait      time.Duration
	tooLarge  bool
}

// newGroup returns the group with those of the limits that are for it.
func newGroup(id groupID, p *profile, limits []Limit, scale float64) *group {
	g := &group{id: id, profile: p, queue: p.queue}
	minute := max(1, time.Duration(float64(minute)*scale))
	g.traffic = newTraffic(minute)
	g.setLimits(limits, scale)
	return g
}

// setLimits replaces the limits; what is used of one that stays, stays used.
func (g *group) setLimits(limits []Limit, scale float64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := slices.Clone(g.dims)
	g.dims, g.slots, g.queue = nil, 0, g.profile.queue
	for _, l := range limits {
		if !matches(l.Key, g.id.key) || !matches(l.Group, g.id.group) {
			continue
		}
		l = l.resolved(g.profile)
		switch l.Dim {
		case DimConcurrency:
			g.slots = l.Cap
			continue
		case DimQueue:
			g.queue = l.Cap
			continue
		}
		d := &dimension{Limit: l, law: l.newLaw(scale), cap: l.Cap}
		same := slices.IndexFunc(old, func(was *dimension) bool {
			return was.Dim == l.Dim && was.Law == l.Law && was.Window == l.Window && was.Sub == l.Sub && was.Key == l.Key && was.Group == l.Group
		})
		if same >= 0 {
			d.law, d.cap = old[same].law, old[same].cap
		}
		g.dims = append(g.dims, d)
	}
	g.traffic.setCaps(g.dims)
	for len(g.waiting) > 0 && (g.slots == 0 || g.running < g.slots) {
		g.running++
		g.next()
	}
}

// next gives a place to who waits longest.
func (g *group) next() {
	close(g.waiting[0])
	g.waiting = g.waiting[1:]
}

// admit checks all dimensions, then charges all. factor is what a brownout
// leaves of the limits.
func (g *group) admit(now time.Time, load workload, factor float64) (v verdict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v.ok, v.before = true, g.tokensLeft(now)
	v.taken.est = estimate(load, 0)
	for _, d := range g.dims {
		need, _ := d.amounts(load)
		d.resize(now, factor)
		if d.Charge == chargeEst || d.Charge == "" && !d.isRequests() {
			v.taken.est = need
		}
		ok, wait, tooLarge := d.law.room(now, need)
		if ok || v.tooLarge || !tooLarge && !v.ok && wait <= v.wait {
			continue
		}
		used, _ := d.law.level(now)
		v.ok, v.dim, v.cap, v.used, v.requested, v.wait, v.tooLarge = false, d, d.cap, used, need, wait, tooLarge
	}
	full := g.slots > 0 && g.running >= g.slots
	if v.ok && full && g.queue >= 0 && int64(len(g.waiting)) >= g.queue {
		v.ok, v.cap, v.used, v.requested, v.wait = false, g.slots, g.running, 1, time.Second
	}
	if v.ok {
		g.charge(now, load, &v)
		if full {
			v.turn = make(chan struct{})
			g.waiting = append(g.waiting, v.turn)
		} else {
			g.running++
		}
	} else {
		g.countRejected(now, load)
	}
	g.traffic.arrived(now, v.ok, v.taken.est)
	v.states, v.after = g.states(now), g.tokensLeft(now)
	return v
}

// resize applies what a brownout leaves of a limit.
func (d *dimension) resize(now time.Time, factor float64) {
	if limit := max(1, int64(float64(d.Cap)*factor)); limit != d.cap {
		d.cap = limit
		d.law.resize(now, limit)
	}
}

// charge takes a request's amounts from all dimensions.
func (g *group) charge(now time.Time, load workload, v *verdict) {
	v.taken.taken = make(map[*dimension]int64, len(g.dims))
	for _, d := range g.dims {
		_, take := d.amounts(load)
		d.law.take(now, take)
		v.taken.taken[d] = take
	}
}

// countRejected charges a rejected request where they count, as long as there
// is room.
func (g *group) countRejected(now time.Time, load workload) {
	for _, d := range g.dims {
		if d.CountRejected == nil || !*d.CountRejected {
			continue
		}
		_, take := d.amounts(load)
		if ok, _, _ := d.law.room(now, take); ok {
			d.law.take(now, take)
		}
	}
}

// states lists the limits as headers show them.
func (g *group) states(now time.Time) []dimState {
	out := make([]dimState, len(g.dims))
	for i, d := range g.dims {
		used, reset := d.law.level(now)
		out[i] = dimState{Dim: d.Dim, Law: d.Law, Cap: d.cap, Used: used, Remaining: max(0, d.cap-used), Reset: reset, ResetIn: Duration(reset)}
	}
	return out
}

// tokensLeft is what the tightest limit of tokens leaves, 0 without one.
func (g *group) tokensLeft(now time.Time) int64 {
	left := int64(-1)
	for _, d := range g.dims {
		if d.isRequests() {
			continue
		}
		used, _ := d.law.level(now)
		if free := max(0, d.cap-used); left < 0 || free < left {
			left = free
		}
	}
	return max(0, left)
}

// await waits for the place of a turn; false when ctx ends before.
func (g *group) await(ctx context.Context, turn chan struct{}) bool {
	select {
	case <-turn:
		return true
	case <-ctx.Done():
	}
	g.mu.Lock()
	at := slices.Index(g.waiting, turn)
	if at >= 0 {
		g.waiting = slices.Delete(g.waiting, at, at+1)
	}
	g.mu.Unlock()
	if at < 0 { // it got the place just now
		g.release()
	}
	return false
}

// release gives a place back, to who waits longest.
func (g *group) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) > 0 && (g.slots == 0 || g.running <= g.slots) {
		g.next()
		return
	}
	g.running--
}

// load is the number of requests in work, and the places they share.
func (g *group) load() load {
	if g == nil {
		return load{}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return load{running: g.running, slots: g.slots}
}

// produced charges output tokens where they count as they come.
func (g *group) produced(now time.Time, n int) {
	if n == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, d := range g.dims {
		if d.Charge == chargeStreamOut {
			d.law.take(now, int64(n))
		}
	}
}

// settle corrects the charges by what was used, where the law does so: cached
// input is free there.
func (g *group) settle(now time.Time, taken charge, e *Entry) {
	g.mu.Lock()
	defer g.mu.Unlock()
	input := int64(e.PromptTokens - e.CachedTokens)
	for _, d := range g.dims {
		was, ok := taken.taken[d]
		if !ok || d.Refund != refundActual || d.isRequests() || d.Charge == chargeStreamOut {
			continue
		}
		actual := input
		if d.Charge != chargeInput {
			actual += int64(e.CompletionTokens)
		}
		d.law.take(now, actual-was)
	}
	g.traffic.used(now, int64(e.PromptTokens+e.CompletionTokens))
}

// groupFor returns the group of a key and a model, new with the first request.
func (s *Server) groupFor(key, model string, p *profile) *group {
	id := groupID{key, model}
	if name, ok := s.cfg.ModelGroups[model]; ok {
		id.group = name
	}
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	g, ok := s.control.groups[id]
	if !ok && len(s.control.groups) >= maxGroups {
		id = groupID{"other", "other"}
		g, ok = s.control.groups[id]
	}
	if !ok {
		g = newGroup(id, p, s.control.limits, s.cfg.timeScale())
		s.control.groups[id] = g
	}
	return g
}
