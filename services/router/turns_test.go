package router

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// job is a waiter in a test: stored and due so many seconds after the beginning.
func (q *testTurns) job(id string, stored, due float64) *waiter {
	w := &waiter{id: id, stored: q.at(stored), sequence: uint64(q.len()), turn: make(chan struct{})}
	if due > 0 {
		w.deadline = q.at(due)
	}
	q.add(w)
	return w
}

type testTurns struct {
	turns
	began time.Time
	flow  flow
}

func newTurns(rate float64) *testTurns {
	return &testTurns{began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), flow: flow{served: 4 * rate, over: 4}}
}

func (q *testTurns) at(seconds float64) time.Time {
	return q.began.Add(time.Duration(seconds * float64(time.Second)))
}

// order are the ids in the order of their turns, all at one time.
func (q *testTurns) order(seconds float64, ahead int) (ids []string) {
	for w := q.next(q.at(seconds), ahead, &q.flow); w != nil; w = q.next(q.at(seconds), ahead, &q.flow) {
		ids = append(ids, w.id)
	}
	return ids
}

func TestTurns(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rate  float64
		jobs  func(q *testTurns)
		now   float64
		ahead int
		want  string
	}{
		"by deadline, then by age": {0, func(q *testTurns) {
			q.job("new", 2, 0)
			q.job("late", 1, 90)
			q.job("old", 1, 0)
			q.job("soon", 3, 80)
		}, 5, 0, "[soon late old new]"},
		"of one age by the place in the stream": {0, func(q *testTurns) { q.job("a", 1, 0); q.job("b", 1, 0); q.job("c", 1, 0) }, 5, 0, "[a b c]"},
		"what would be too late makes way": {1, func(q *testTurns) { // one a second
			q.job("hopeless", 1, 11)
			q.job("possible", 1, 20)
			q.job("any", 1, 0)
		}, 5, 5, "[possible any hopeless]"},
		"as long as no rate is known all may be in time": {0, func(q *testTurns) { q.job("b", 1, 20); q.job("a", 1, 6) }, 5, 1000, "[a b]"},
		"an aged job has one turn of four": {0, func(q *testTurns) {
			q.job("u1", 0, 0)
			q.job("u2", 0, 0)
			for i := range 8 {
				q.job(fmt.Sprint("d", i), 1, float64(100+i))
			}
		}, 50, 0, "[d0 d1 d2 u1 d3 d4 d5 u2 d6 d7]"},
	} {
		q := newTurns(c.rate)
		c.jobs(q)
		if got := fmt.Sprint(q.order(c.now, c.ahead)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestLateMayBeInTimeAfterAll: when the queue gets faster.
func TestLateMayBeInTimeAfterAll(t *testing.T) {
	t.Parallel()
	q := newTurns(1)
	q.job("first", 0, 20)
	q.job("second", 0, 30)
	if w := q.next(q.at(0), 25, &q.flow); w == nil || w.id != "second" {
		t.Fatalf("got %+v, want the one that can be in time", w)
	}
	q.job("third", 0, 40)
	q.flow.served = 40
	q.judge(q.at(0), 25, &q.flow)
	if got := fmt.Sprint(q.order(0, 25)); got != "[first third]" {
		t.Errorf("got %s", got)
	}
}

// TestNoJobStarves: while a job with a deadline comes for every turn, one without is
// served within agedAfter and four turns for each that is older.
func TestNoJobStarves(t *testing.T) {
	t.Parallel()
	const perSecond, before = 100, 50
	q := newTurns(perSecond)
	for i := range 500 {
		q.job("dated", 0, 3600+float64(i))
	}
	for range before {
		q.job("undated", 0, 0)
	}
	q.job("last", 0, 0)
	for i := range 100_000 {
		now := float64(i) / perSecond
		q.job("dated", now, now+5)
		if w := q.next(q.at(now), 10, &q.flow); w.id == "last" {
			if most := agedAfter.Seconds() + float64(agedTurns*(before+2))/perSecond; now > most {
				t.Errorf("its turn came after %g s, want %g at most", now, most)
			}
			return
		}
	}
	t.Error("its turn never came")
}

// TestOverloadMissesTheFewest: at a rate that can serve half of what comes, as many
// are in time as the queue can serve, although there is always one whose deadline is
// earlier and can't be met.
func TestOverloadMissesTheFewest(t *testing.T) {
	t.Parallel()
	const rate, seconds = 50, 40
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // of a test
	q := newTurns(rate)
	met := 0
	for tick := range rate * seconds {
		now := float64(tick) / rate
		for range 2 {
			q.job("j", now, now+0.5+3*random.Float64())
		}
		for len(q.late) > 0 && q.at(now).After(q.late[0].deadline) { // its time is over: it leaves
			q.remove(q.late[0])
		}
		w := q.next(q.at(now), 5, &q.flow)
		if w != nil && !q.at(now+6.0/rate).After(w.deadline) {
			met++
		}
	}
	if met < rate*seconds*95/100 {
		t.Errorf("%d of %d turns were in time", met, rate*seconds)
	}
}

// TestRemove takes out a job of any kind, once.
func TestRemove(t *testing.T) {
	t.Parallel()
	q := newTurns(1)
	late, dated, undated := q.job("late", 0, 1), q.job("dated", 0, 1000), q.job("undated", 0, 0)
	q.next(q.at(0), 10, &q.flow) // the dated one; the late one is set aside
	if !q.remove(late) || q.remove(late) || q.remove(dated) || !q.remove(undated) || q.len() != 0 {
		t.Errorf("%d wait", q.len())
	}
}

// TestFlow: the rate of a queue that is never empty is learned, that of an empty one
// says nothing, and a durable that was made anew begins anew.
func TestFlow(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var f flow
	look := func(ms, pending int, served uint64) {
		f.observe(seen{at: began.Add(time.Duration(ms) * time.Millisecond), pending: pending, served: served})
	}
	look(-100, 10, 0)
	look(0, 10, 1)
	look(100, 10, 21)
	if f.rate() != 0 || f.time(100) != 0 {
		t.Errorf("rate %g, known too soon", f.rate())
	}
	look(1200, 10, 241)
	if math.Abs(f.rate()-200) > 1e-6 || f.time(100).Round(time.Millisecond) != 500*time.Millisecond {
		t.Errorf("rate %g, want 200", f.rate())
	}
	look(1300, 0, 242)
	look(1400, 5, 243)
	if math.Abs(f.rate()-200) > 1e-6 {
		t.Errorf("rate %g, learned from an empty queue", f.rate())
	}
	look(1500, 5, 2)
	look(1600, 5, 12)
	if rate := f.rate(); rate >= 200 || rate < 150 {
		t.Errorf("rate %g, want it to fall slowly", rate)
	}
}
