package llmsim

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// keptBuckets bounds the seconds of which windows are kept: one hour.
const keptBuckets = 3600

// perMinute is the number of buckets of one minute of limits.
const perMinute = 60

// Tally counts the requests of a time.
type Tally struct {
	Requests int64 `json:"requests"`
	Admitted int64 `json:"admitted"`
	// Estimated are the tokens charged to admitted requests, Tokens those that
	// were really used, at the time of their end.
	Estimated int64 `json:"estimated_tokens"`
	Tokens    int64 `json:"tokens"`
	Rejected  int64 `json:"rejected"`
}

func (t *Tally) add(o Tally) {
	t.Requests += o.Requests
	t.Admitted += o.Admitted
	t.Estimated += o.Estimated
	t.Tokens += o.Tokens
	t.Rejected += o.Rejected
}

// second is one sixtieth of the minute of limits.
type second struct {
	start time.Time
	Tally
}

// traffic is what a group saw: by the second, and the most that it let in
// within any sliding window. Its group's lock covers it.
type traffic struct {
	unit     time.Duration // of a bucket
	seconds  []second
	admitted []moment  // of the last minute
	sliding  []sliding // by width
	tokens   int64     // limit per minute, 0 without one
	requests int64
	total    Tally
}

// moment is a request that was let in.
type moment struct {
	at  time.Time
	est int64
}

// sliding is the most in any window of one width.
type sliding struct {
	units    int // width in buckets
	first    int // index of the oldest moment inside
	sum, top Tally
}

func newTraffic(minute time.Duration) *traffic {
	t := &traffic{unit: max(1, minute/perMinute)}
	for _, units := range widths() {
		t.sliding = append(t.sliding, sliding{units: units})
	}
	return t
}

// widths are those of sliding windows, in seconds, the longest last.
func widths() []int { return []int{1, 10, perMinute} }

// setCaps remembers the limits that utilisation is of.
func (t *traffic) setCaps(dims []*dimension) {
	t.tokens, t.requests = 0, 0
	for _, d := range dims {
		switch d.Dim {
		case DimRPM:
			t.requests = d.Cap
		case DimTPM, DimITPM:
			if t.tokens == 0 || d.Cap < t.tokens {
				t.tokens = d.Cap
			}
		}
	}
}

// bucket returns the counts of now's second.
func (t *traffic) bucket(now time.Time) *second {
	start := now.Truncate(t.unit)
	if n := len(t.seconds); n == 0 || start.After(t.seconds[n-1].start) {
		if n >= keptBuckets {
			t.seconds = slices.Delete(t.seconds, 0, n-keptBuckets+1)
		}
		t.seconds = append(t.seconds, second{start: start})
	}
	return &t.seconds[len(t.seconds)-1]
}

// arrived counts a request and what it was charged.
func (t *traffic) arrived(now time.Time, ok bool, est int64) {
	one := Tally{Requests: 1, Rejected: 1}
	if ok {
		one = Tally{Requests: 1, Admitted: 1, Estimated: est}
		t.slide(now, est)
	}
	t.total.add(one)
	t.bucket(now).add(one)
}

// used counts tokens that were really used.
func (t *traffic) used(now time.Time, tokens int64) {
	t.total.Tokens += tokens
	t.bucket(now).Tokens += tokens
}

// slide moves the sliding windows to now.
func (t *traffic) slide(now time.Time, est int64) {
	t.admitted = append(t.admitted, moment{now, est})
	for i := range t.sliding {
		w := &t.sliding[i]
		w.sum.Admitted++
		w.sum.Estimated += est
		for oldest := now.Add(-time.Duration(w.units) * t.unit); !t.admitted[w.first].at.After(oldest); w.first++ {
			w.sum.Admitted--
			w.sum.Estimated -= t.admitted[w.first].est
		}
		w.top.Admitted = max(w.top.Admitted, w.sum.Admitted)
		w.top.Estimated = max(w.top.Estimated, w.sum.Estimated)
	}
	// What no window holds any more goes, in halves: so each is moved once.
	if out := t.sliding[len(t.sliding)-1].first; out > len(t.admitted)/2 {
		t.admitted = slices.Delete(t.admitted, 0, out)
		for i := range t.sliding {
			t.sliding[i].first -= out
		}
	}
}

// utilisation is the larger share used of the limits on requests and tokens
// in units of a sixtieth of a minute; 0 without limits.
func (t *traffic) utilisation(sum Tally, units float64) float64 {
	share := 0.0
	if t.requests > 0 {
		share = float64(sum.Admitted) / (float64(t.requests) * units / perMinute)
	}
	if t.tokens > 0 {
		share = max(share, float64(sum.Estimated)/(float64(t.tokens)*units/perMinute))
	}
	return share
}

// Window is what one key and group saw in one aligned window.
type Window struct {
	Start time.Time `json:"start"`
	Tally
	// Utilisation is the share of the limit on tokens or on requests, the
	// larger one, that was let in.
	Utilisation float64 `json:"utilisation"`
}

// Windows are the windows of one key and group of models.
type Windows struct {
	Key   string `json:"key"`
	Group string `json:"group"`
	// Total are the sums since the start or the last reset.
	Total Tally `json:"total"`
	// Utilisation is that of all complete windows together, without the first
	// and the last, or of all if there are fewer than three.
	Utilisation float64 `json:"utilisation"`
	// MaxAligned is the largest utilisation of an aligned window, MaxSliding
	// that of any window of the width, wherever it begins.
	MaxAligned float64  `json:"max_aligned_utilisation"`
	MaxSliding float64  `json:"max_sliding_utilisation"`
	List       []Window `json:"windows"`
}

// Windows returns what each key and group saw in windows of a width of 1 s,
// 10 s or 1 min, divided by the server's time scale like the limits' own.
func (s *Server) Windows(width time.Duration) ([]Windows, error) {
	units := int(width / time.Second)
	if width%time.Second != 0 || !slices.Contains(widths(), units) {
		return nil, fmt.Errorf("llmsim windows: width is %s, want 1s, 10s or 60s", width)
	}
	groups := s.allGroups()
	out := make([]Windows, len(groups))
	for i, g := range groups {
		out[i] = g.windows(units)
	}
	return out, nil
}

// allGroups lists the groups in order of their names.
func (s *Server) allGroups() []*group {
	s.control.mu.Lock()
	defer s.control.mu.Unlock()
	out := make([]*group, 0, len(s.control.groups))
	for _, g := range s.control.groups {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.id.key, b.id.key), cmp.Compare(a.id.group, b.id.group))
	})
	return out
}

// windows cuts the group's seconds into windows.
func (g *group) windows(units int) Windows {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := g.traffic
	out := Windows{Key: masked(g.id.key), Group: g.id.group, Total: t.total, List: []Window{}}
	width := time.Duration(units) * t.unit
	for _, sec := range t.seconds {
		start := sec.start.Truncate(width)
		if n := len(out.List); n == 0 || start.After(out.List[n-1].Start) {
			out.List = append(out.List, Window{Start: start})
		}
		out.List[len(out.List)-1].add(sec.Tally)
	}
	for i := range out.List {
		out.List[i].Utilisation = t.utilisation(out.List[i].Tally, float64(units))
		out.MaxAligned = max(out.MaxAligned, out.List[i].Utilisation)
	}
	for _, w := range t.sliding {
		if w.units == units {
			out.MaxSliding = t.utilisation(w.top, float64(units))
		}
	}
	out.Utilisation = t.overall(out.List, units)
	return out
}

// overall is the utilisation from the first to the last window, counting those
// without requests.
func (t *traffic) overall(list []Window, units int) float64 {
	if len(list) == 0 {
		return 0
	}
	inner := list
	if len(list) > 2 {
		inner = list[1 : len(list)-1]
	}
	width := time.Duration(units) * t.unit
	span := inner[len(inner)-1].Start.Sub(inner[0].Start) + width
	if len(list) > 2 {
		span = list[len(list)-1].Start.Sub(list[0].Start) - width
	}
	var sum Tally
	for _, w := range inner {
		sum.add(w.Tally)
	}
	return t.utilisation(sum, float64(span)/float64(t.unit))
}
