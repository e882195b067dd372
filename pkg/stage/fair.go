package stage

import "time"

// fair is a weighted fair queue over tenants. Each has a virtual time: the
// tokens it was served, divided by its share. The message of the one with the
// least goes next, so over any stretch in which two tenants wait, what they are
// served differs by their shares and by one message at most. A tenant that comes
// to wait starts at the least time of those that do: having been idle earns
// nothing.
type fair struct {
	flows  map[*flow]struct{}
	inHand int     // messages that can be served
	clock  float64 // the latest virtual time at which one was
}

// flow is a tenant's place in the queue.
type flow struct {
	share float64
	time  float64
	hand  []*held
	// more says that the tenant has messages waiting at the server, the next of
	// them on its way since asked.
	more  bool
	asked time.Time
	late  bool // and no longer awaited
	gone  bool // no longer in the queue when its hand is empty
	// blocked says that it may have no more for now, see source.fit.
	blocked bool
}

// awaitFor is how long the tenant whose turn it is may have its next message on
// its way while others have theirs in hand: much longer than a round trip, and
// short beside a call. Without it, slots that get free together would go by what
// is in hand, and not by the shares.
const awaitFor = 20 * time.Millisecond

// maxLag is how many messages a tenant may be behind when its own came late. It
// catches up on those; the rest is lost to one whose consumer gives no more.
const maxLag = 16

// waits reports whether the tenant has something to be served, as far as known.
func (f *flow) waits() bool { return !f.blocked && (len(f.hand) > 0 || f.more) }

// charge moves the virtual time on, or back when tokens are negative.
func (f *flow) charge(tokens float64) { f.time += tokens / f.share }

// add makes room for a tenant of a share above 0.
func (q *fair) add(f *flow, share float64) {
	f.share = share
	q.flows[f] = struct{}{}
}

// remove takes a tenant out; what it has in hand is served all the same.
func (q *fair) remove(f *flow) {
	f.more, f.gone = false, true
	if len(f.hand) == 0 {
		delete(q.flows, f)
	}
}

// push queues a message that f has in hand; more says whether others wait.
func (q *fair) push(f *flow, h *held, more bool) {
	switch {
	case !f.waits():
		f.time = max(f.time, q.start())
	case f.late:
		f.time = max(f.time, q.clock-maxLag*h.tokens/f.share)
	}
	f.late = false
	f.more = more && !f.gone
	f.hand = append(f.hand, h)
	q.inHand++
	q.flows[f] = struct{}{}
}

// start is the time of a tenant that comes to wait.
func (q *fair) start() float64 {
	if first := q.first(); first != nil {
		return first.time
	}
	return q.clock
}

// block has a tenant not served for now, or again. Nor does it earn anything
// meanwhile.
func (q *fair) block(f *flow, blocked bool) {
	if f.blocked && !blocked {
		f.time = max(f.time, q.start())
	}
	f.blocked = blocked
}

// discard takes what a tenant has in hand.
func (q *fair) discard(f *flow) []*held {
	hand := f.hand
	f.hand = nil
	q.inHand -= len(hand)
	return hand
}

// first is the waiting tenant whose turn it is.
func (q *fair) first() *flow {
	var first *flow
	for f := range q.flows {
		if f.waits() && !f.late && (first == nil || f.time < first.time) {
			first = f
		}
	}
	return first
}

// pop takes the message to be served next, and charges its tokens; nil when none
// is in hand, or that one is still on its way.
func (q *fair) pop(now time.Time) *held {
	if q.inHand == 0 {
		return nil
	}
	f := q.first()
	for f != nil && len(f.hand) == 0 {
		if now.Sub(f.asked) < awaitFor {
			return nil
		}
		f.late = true // others took it, or its consumer gives no more
		f = q.first()
	}
	if f == nil {
		return nil // all that have something in hand are blocked
	}
	h := f.hand[0]
	f.hand = f.hand[1:]
	f.asked = now
	q.inHand--
	if f.gone {
		q.remove(f)
	}
	q.clock = max(q.clock, f.time)
	f.charge(h.tokens)
	return h
}

// drain takes all messages in hand.
func (q *fair) drain() []*held {
	var all []*held
	for f := range q.flows {
		all = append(all, f.hand...)
		f.hand = nil
	}
	q.inHand = 0
	return all
}
