package manifest

import (
	"slices"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// Verdict is what may be done about a version of a document.
type Verdict int

// The verdicts.
const (
	// Proceed: the version is pending, and some of its batches are to be stored.
	Proceed Verdict = iota
	// Current: the version is the current one. What is left is to settle the store
	// ([Row.Unsettled]).
	Current
	// Superseded: a later version was there first. What the version stored is to be
	// removed.
	Superseded
)

// Begin makes next the pending version, unless it or a later one is there
// already. An earlier pending version is given up. The first of two different
// jobs with one version number stands.
func (r *Row) Begin(next Pending) Verdict {
	verdict, known := r.judge(next.Version, next.Job)
	if known && (verdict != Proceed || slices.Equal(r.Pending.Chunks, next.Chunks)) {
		return verdict
	}
	r.abandon() // also the same version when it was cut in another way
	next.Work = make([]Work, next.Batches())
	r.Pending = &next
	r.keep()
	return Proceed
}

// judge says what is known of a version of a job: whether it is current,
// superseded or pending already.
func (r *Row) judge(version int64, job string) (verdict Verdict, known bool) {
	switch {
	case version == r.Version && job == r.Job:
		return Current, true
	case version <= r.Version:
		return Superseded, true
	case r.Pending == nil || version > r.Pending.Version:
		return 0, false
	case version == r.Pending.Version && job == r.Pending.Job:
		return Proceed, true
	}
	return Superseded, true
}

// abandon gives up the pending version: its chunks become stale.
func (r *Row) abandon() {
	if r.Pending == nil {
		return
	}
	for _, i := range r.Pending.Added {
		r.Stale = append(r.Stale, r.Pending.Chunks[i].ID)
	}
	r.Pending = nil
}

// Refresh makes a version current that has the chunks of the current one: its
// content is the same, its meta may not be.
func (r *Row) Refresh(next State) Verdict {
	if verdict, known := r.judge(next.Version, next.Job); known && verdict != Proceed {
		return verdict
	}
	r.abandon()
	r.MetaStale = r.MetaStale || !SameMeta(r.Meta, next.Meta)
	next.Chunks, next.Bytes, next.Tokens, next.MediaType, next.KeepsText = r.Chunks, r.Bytes, r.Tokens, r.MediaType, r.KeepsText
	next.Created = r.Created
	r.State = next
	r.keep()
	return Current
}

// Delete makes a version current that has no chunks.
func (r *Row) Delete(next State) Verdict {
	if verdict, known := r.judge(next.Version, next.Job); known && verdict != Proceed {
		return verdict
	}
	r.abandon()
	r.Stale = append(r.Stale, r.Chunks.IDs()...)
	next.Removed = len(r.Chunks)
	next.Created = r.Created
	r.State, r.Deleted, r.MetaStale = next, true, false
	return Current
}

// Mark notes that a batch of a pending version, with the chunks ids, is stored.
// The last one makes the version current. A batch that is marked twice keeps its
// first mark; one of another cut of the document is superseded.
func (r *Row) Mark(version int64, job string, batch int, ids IDs, w Work) Verdict {
	if verdict := r.Wants(version, job, batch, ids); verdict != Proceed {
		return verdict
	}
	p := r.Pending
	if !p.Work[batch].Done {
		w.Done, w.Attempts = true, append(p.Work[batch].Attempts, w.Attempts...)
		p.Work[batch] = w
	}
	if slices.ContainsFunc(p.Work, func(w Work) bool { return !w.Done }) {
		return Proceed
	}
	r.flip()
	return Current
}

// Abandon gives up the pending version of a job that has ended without it. It
// returns bus.ErrKeep when that is not pending.
func (r *Row) Abandon(job string) error {
	if r.Pending == nil || r.Pending.Job != job {
		return bus.ErrKeep
	}
	r.abandon()
	r.keep()
	return nil
}

// Lose takes chunks that are gone from the store off the current version, so that
// the next ingest of the document stores them again. It returns bus.ErrKeep when the
// version is not the current one any more, or another one is pending.
func (r *Row) Lose(version int64, gone map[ID]bool) error {
	if r.Version != version || r.Deleted || r.Pending != nil {
		return bus.ErrKeep
	}
	r.Content, r.ETag, r.LastModified = "", "", ""
	r.Chunks = slices.DeleteFunc(r.Chunks, func(c Ref) bool { return gone[c.ID] })
	return nil
}

// Wants says whether a batch is to be stored: not when its version is current or
// superseded.
func (r *Row) Wants(version int64, job string, batch int, ids IDs) Verdict {
	verdict, known := r.judge(version, job)
	if !known || verdict == Proceed && !r.Pending.holds(batch, ids) { // not known: forgotten with the row
		return Superseded
	}
	return verdict
}

// Settles says whether a version is current, so that the store may be settled
// after it.
func (r *Row) Settles(version int64, job string) Verdict {
	if version == r.Version && job == r.Job {
		return Current
	}
	return Superseded
}

// Note adds calls of a delivery that didn't finish its batch. It returns bus.ErrKeep
// when the batch is not pending.
func (r *Row) Note(version int64, job string, batch int, attempts []event.Attempt) error {
	p := r.Pending
	if p == nil || p.Version != version || p.Job != job || batch < 0 || batch >= len(p.Work) || p.Work[batch].Done {
		return bus.ErrKeep
	}
	p.Work[batch].Attempts = append(p.Work[batch].Attempts, attempts...)
	return nil
}

// holds reports whether the batch consists of the chunks ids.
func (p *Pending) holds(batch int, ids IDs) bool {
	if batch < 0 || batch >= len(p.Work) {
		return false
	}
	of := p.BatchOf(batch)
	if len(of) != len(ids) {
		return false
	}
	for n, i := range of {
		if p.Chunks[i].ID != ids[n] {
			return false
		}
	}
	return true
}

// flip makes the pending version current.
func (r *Row) flip() {
	next := r.Pending.State
	wanted := next.Chunks.Set()
	for _, old := range r.Chunks {
		if !wanted[old.ID] {
			r.Stale = append(r.Stale, old.ID)
			next.Removed++
		}
	}
	// Those of the new chunks, too: the old meta may have been written to them.
	r.MetaStale = r.Version > 0 && (r.MetaStale || r.Deleted || !SameMeta(r.Meta, next.Meta))
	if !r.Created.IsZero() {
		next.Created = r.Created
	}
	r.State, r.Pending, r.Deleted = next, nil, false
	r.keep()
}

// keep takes the current chunks, and doubles, off the stale ones.
func (r *Row) keep() {
	if len(r.Stale) == 0 {
		return
	}
	seen := r.Chunks.Set()
	r.Stale = slices.DeleteFunc(r.Stale, func(id ID) bool {
		double := seen[id]
		seen[id] = true
		return double
	})
}

// Unsettled says that the store holds something that is to be removed or changed
// now. What is stale waits for a pending version: some of it may be wanted again.
func (r *Row) Unsettled() bool { return r.MetaStale || len(r.Stale) > 0 && r.Pending == nil }

// Before is the version from which on points are not stale: one that a later
// version wrote again is wanted.
func (r *Row) Before() int64 { return r.Version + 1 }

// Settled notes that the store was settled as the row had it when settle was
// read. It returns false when that has changed meanwhile: the store must then be
// settled again.
func (r *Row) Settled(settle Settle) bool {
	if settle != r.Settle() {
		return false
	}
	r.MetaStale = false
	if r.Pending == nil {
		r.Stale = nil
	}
	return true
}

// Settle names a state of what is unsettled: it changes whenever something is
// added to that.
type Settle struct {
	Version, Pending int64
	Meta             int
}

// Settle returns the present state.
func (r *Row) Settle() Settle {
	s := Settle{Version: r.Version, Meta: r.MetaEpoch}
	if r.Pending != nil {
		s.Pending = r.Pending.Version
	}
	return s
}

// MetaWritten notes that a meta was written to the stored chunks, late perhaps: if
// it is not the current one, that is to be written again.
func (r *Row) MetaWritten(meta vector.Meta) error {
	if r.Deleted || r.Version == 0 || SameMeta(meta, r.Meta) {
		return bus.ErrKeep
	}
	r.MetaStale = true
	r.MetaEpoch++
	return nil
}

// Holds reports whether a point is a chunk of the current version.
func (r *Row) Holds(id ID) bool {
	return slices.ContainsFunc(r.Chunks, func(c Ref) bool { return c.ID == id })
}

// Garbage returns those of a superseded version's points that no version in the
// row wants.
func (r *Row) Garbage(ids IDs) IDs {
	wanted := r.Chunks.Set()
	if r.Pending != nil {
		for _, c := range r.Pending.Chunks {
			wanted[c.ID] = true
		}
	}
	var out IDs
	for _, id := range ids {
		if !wanted[id] {
			out = append(out, id)
		}
	}
	return out
}
