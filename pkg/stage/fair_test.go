package stage

import (
	"math"
	"testing"
	"time"
)

// newFair is a fair queue with tenants of the given shares.
func newFair(shares ...float64) (*fair, []*flow) {
	q := &fair{flows: map[*flow]struct{}{}}
	flows := make([]*flow, len(shares))
	for i, share := range shares {
		flows[i] = &flow{}
		q.add(flows[i], share)
	}
	return q, flows
}

// serve pops n messages of tenants that always have more, with a message of
// size(i) tokens of tenant i in hand, and returns what each was served.
func serve(q *fair, flows []*flow, n int, size func(i, n int) float64) []float64 {
	served := make([]float64, len(flows))
	at := map[*held]int{}
	push := func(i, n int) {
		h := &held{tokens: size(i, n)}
		at[h] = i
		q.push(flows[i], h, true)
	}
	for i := range flows {
		push(i, 0)
	}
	for n := range n {
		h := q.pop(time.Time{})
		i := at[h]
		served[i] += h.tokens
		push(i, n+1)
	}
	return served
}

// TestFairServesByShares: in tokens, whatever the sizes of the messages.
func TestFairServesByShares(t *testing.T) {
	t.Parallel()
	q, flows := newFair(3, 1, 0.5)
	served := serve(q, flows, 10_000, func(i, n int) float64 { return float64(100 + 37*(i+1)*n%1900) })
	for i, share := range []float64{3, 1, 0.5} {
		if got := served[i] / served[1]; math.Abs(got-share) > 0.02*share {
			t.Errorf("tenant %d was served %.3f times what tenant 1 was, want %g", i, got, share)
		}
	}
}

// TestFairGivesNoCreditForIdleness: one that comes late, or comes back, is
// served by turns from then on.
func TestFairGivesNoCreditForIdleness(t *testing.T) {
	t.Parallel()
	q, flows := newFair(1, 1)
	same := func(int, int) float64 { return 10 }
	serve(q, flows[:1], 1000, same)
	served := serve(q, flows, 100, same)
	if math.Abs(served[0]-served[1]) > 20 {
		t.Errorf("the old tenant was served %g, the new one %g; want the same", served[0], served[1])
	}
	q.drain()
	flows[0].more, flows[1].more = false, false
	serve(q, flows[:1], 1000, same) // the other rests
	served = serve(q, flows, 100, same)
	if math.Abs(served[0]-served[1]) > 20 {
		t.Errorf("the busy tenant was served %g, the one that came back %g; want the same", served[0], served[1])
	}
}

// TestFairAwaitsTheOneWhoseTurnItIs while its next message is on its way; when it
// does not come, the others go on, and it catches up later.
func TestFairAwaitsTheOneWhoseTurnItIs(t *testing.T) {
	t.Parallel()
	q, flows := newFair(3, 1)
	a, b := flows[0], flows[1]
	now := time.Now()
	q.push(a, &held{tokens: 3}, true)
	q.pop(now) // a is at 1
	for range 3 {
		q.push(b, &held{tokens: 1}, false)
	}
	second := &held{tokens: 3}
	b.time = 1.5
	if h := q.pop(now.Add(time.Millisecond)); h != nil {
		t.Errorf("served %+v before its turn", h)
	}
	q.push(a, second, true)
	if q.pop(now.Add(2*time.Millisecond)) != second { // a is at 2
		t.Error("another was served when it had come")
	}
	if h := q.pop(now.Add(3 * time.Millisecond)); h == nil { // b is at 2.5
		t.Error("b was not served on its turn")
	}
	if h := q.pop(now.Add(4 * time.Millisecond)); h != nil {
		t.Errorf("served %+v before a's turn", h)
	}
	if h := q.pop(now.Add(time.Second)); h == nil {
		t.Error("b was not served when a's did not come")
	}
	q.push(b, &held{tokens: 1}, false)
	q.push(a, second, true)
	if q.pop(now.Add(time.Second)) != second {
		t.Error("a has lost its place")
	}
}

// TestFairForgetsALongAbsence: one whose messages don't come, as its consumer has
// enough of them in work, can't catch up on all it missed.
func TestFairForgetsALongAbsence(t *testing.T) {
	t.Parallel()
	q, flows := newFair(1, 1)
	a, b := flows[0], flows[1]
	now := time.Now()
	q.push(a, &held{tokens: 1}, true)
	q.pop(now)
	for range 1000 {
		q.push(b, &held{tokens: 1}, true)
		q.pop(now.Add(time.Second))
	}
	q.push(a, &held{tokens: 1}, true)
	if lag := b.time - a.time; lag < 1 || lag > maxLag+1 {
		t.Errorf("a is %g behind, want at most about %d messages", lag, maxLag)
	}
}

// TestFairStartsWithTheFirst: in the order of arrival within a tenant, and empty
// when all were taken.
func TestFairStartsWithTheFirst(t *testing.T) {
	t.Parallel()
	q, flows := newFair(1)
	first, second := &held{tokens: 1}, &held{tokens: 1}
	q.push(flows[0], first, false)
	q.push(flows[0], second, false)
	if q.pop(time.Time{}) != first || q.pop(time.Time{}) != second || q.pop(time.Time{}) != nil {
		t.Error("not in the order of arrival")
	}
	q.push(flows[0], first, false)
	q.remove(flows[0])
	if got := q.drain(); len(got) != 1 || got[0] != first || q.pop(time.Time{}) != nil {
		t.Errorf("drained %v, want the one in hand", got)
	}
}
