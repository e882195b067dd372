package router

import (
	"cmp"
	"slices"
	"time"
)

// turns are the jobs of a tenant that wait for one queue, and say whose turn it is:
// that with the earliest deadline of those whose deadline can be met; then those
// without a deadline, by age; then those that would be too late, for the guess may be
// wrong. Of four turns one is that of the oldest job without a deadline once it is
// agedAfter old, however many deadlines there are.
type turns struct {
	dated, undated, late []*waiter // each in the order of its turns
	given                int       // turns, while both dated and aged jobs waited
}

const (
	agedAfter = 10 * time.Second
	agedTurns = 4
)

// waiter is a job that waits.
type waiter struct {
	id       string
	deadline time.Time // zero for none
	stored   time.Time // by the intake
	sequence uint64
	since    time.Time // here
	told     time.Time // when it was told of, or since
	turn     chan struct{}
}

// before orders jobs of one kind: by deadline, if they have one, then by age.
func before(a, b *waiter) int {
	return cmp.Or(a.deadline.Compare(b.deadline), a.stored.Compare(b.stored), cmp.Compare(a.sequence, b.sequence))
}

func insert(list *[]*waiter, w *waiter) {
	i, _ := slices.BinarySearchFunc(*list, w, before)
	*list = slices.Insert(*list, i, w)
}

// pop takes the first of a list that is not empty.
func pop(list *[]*waiter) *waiter {
	w := (*list)[0]
	*list = slices.Delete(*list, 0, 1)
	return w
}

func (t *turns) len() int { return len(t.dated) + len(t.undated) + len(t.late) }

func (t *turns) add(w *waiter) {
	if w.deadline.IsZero() {
		insert(&t.undated, w)
		return
	}
	insert(&t.dated, w)
}

// remove takes a job out; false when it is not there any more.
func (t *turns) remove(w *waiter) bool {
	for _, list := range []*[]*waiter{&t.dated, &t.undated, &t.late} {
		if i := slices.Index(*list, w); i >= 0 {
			*list = slices.Delete(*list, i, i+1)
			return true
		}
	}
	return false
}

// each calls do with the jobs, about in the order of their turns, until it returns
// false.
func (t *turns) each(do func(*waiter) bool) {
	for _, list := range [][]*waiter{t.dated, t.undated, t.late} {
		for _, w := range list {
			if !do(w) {
				return
			}
		}
	}
}

// next takes the job whose turn it is, nil when none waits. ahead is how many tasks
// are served before it.
func (t *turns) next(now time.Time, ahead int, f *flow) *waiter {
	if len(t.dated) > 0 && len(t.undated) > 0 && now.Sub(t.undated[0].stored) > agedAfter {
		if t.given++; t.given%agedTurns == 0 {
			return pop(&t.undated)
		}
	}
	for len(t.dated) > 0 {
		w := pop(&t.dated)
		if inTime(w, now, ahead, f) {
			return w
		}
		insert(&t.late, w)
	}
	switch {
	case len(t.undated) > 0:
		return pop(&t.undated)
	case len(t.late) > 0:
		return pop(&t.late)
	}
	return nil
}

// judge takes those back that may be in time after all.
func (t *turns) judge(now time.Time, ahead int, f *flow) {
	t.late = slices.DeleteFunc(t.late, func(w *waiter) bool {
		ok := inTime(w, now, ahead, f)
		if ok {
			insert(&t.dated, w)
		}
		return ok
	})
}

// inTime guesses whether a job can be done before its deadline if its turn is now. In
// doubt it can't: while there is too much to do, what is just late takes the place of
// what is not, turn for turn.
func inTime(w *waiter, now time.Time, ahead int, f *flow) bool {
	return !now.Add(f.time(ahead+1) * 11 / 10).After(w.deadline)
}
