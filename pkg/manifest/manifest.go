// Package manifest says which chunks each document has: the truth that readers
// check what they found against, so that nobody ever sees a document half old and
// half new.
//
// A row per document holds its current version with the list of its chunks. A
// new version is first pending: its chunks are stored beside the old ones, in
// batches, each of which is marked when it is durable. The mark of the last one
// makes the version current, in the same compare-and-set. What is then no longer
// wanted is listed as stale until it is removed from the store. A process may
// die between any two steps: the row says what is left to do, and the message
// that is delivered again does it.
//
// Every change of a row is a pure function of this package (change.go); a row is
// read and written by [Rows].
package manifest

import (
	"slices"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
)

// BatchChunks is how many chunks are embedded and marked together.
const BatchChunks = 128

// MaxChunks bounds a document: its row, which holds two versions while one is
// pending, must fit into a message (bus.MaxMessage).
const MaxChunks = 65536

// Row is what is known of a document.
type Row struct {
	V int `json:"v"`
	// State is the current version; its Version is 0 before the first one is
	// complete.
	State
	// Deleted is a tombstone: versions up to State.Version are gone, and late
	// ones stay away.
	Deleted bool `json:"deleted,omitempty"`
	// Pending is the version that is being stored, nil without one.
	Pending *Pending `json:"pending,omitempty"`
	// Stale are points to remove when no version is pending, unless a later version
	// than State.Version wrote them.
	Stale IDs `json:"stale,omitempty"`
	// MetaStale says that stored chunks may have other metadata than State.
	MetaStale bool `json:"meta_stale,omitempty"`
	// MetaEpoch counts how often that came up by itself.
	MetaEpoch int `json:"meta_epoch,omitempty"`
}

// State is one version of a document.
type State struct {
	Version int64  `json:"version"`
	Job     string `json:"job"` // that made it
	// Outcome is what that did to the document.
	Outcome event.Outcome `json:"outcome,omitempty"`
	// Content and Config name what came in and how it is read and cut: when both
	// are equal, so are the chunks.
	Content   string      `json:"content,omitempty"`
	Config    string      `json:"config,omitempty"`
	Meta      vector.Meta `json:"meta"`
	MediaType string      `json:"media_type,omitempty"`
	// KeepsText says that the chunks hold the document's own text; otherwise they
	// hold what was made of it, which is Markdown.
	KeepsText bool `json:"keeps_text,omitempty"`
	// URL is what to fetch again, for documents that were fetched; ETag and
	// LastModified make that cheap.
	URL          string    `json:"url,omitempty"`
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Bytes        int       `json:"bytes"`
	Tokens       int       `json:"tokens"`
	Chunks       Refs      `json:"chunks,omitempty"`
	Created      time.Time `json:"created,omitzero"` // of the first version
	Updated      time.Time `json:"updated,omitzero"`
	// Removed counts the chunks of the version before that this one doesn't have.
	Removed int `json:"removed,omitempty"`
	// Work is what its batches took, one each.
	Work []Work `json:"work,omitempty"`
}

// Pending is a version that is being stored.
type Pending struct {
	State
	// Added are those of its chunks that the current version doesn't have, as
	// indexes in Chunks, in batches of BatchChunks.
	Added []int `json:"added,omitempty"`
}

// Work is what storing one batch took.
type Work struct {
	Done     bool `json:"done"`
	Embedded int  `json:"embedded,omitempty"` // chunks, by the model
	Reused   int  `json:"reused,omitempty"`   // chunks, with vectors that were stored
	// Attempts are the calls for it, those of unfinished deliveries included.
	Attempts []event.Attempt `json:"attempts,omitempty"`
	// WaitingMS is the time the batch's message waited.
	WaitingMS float64 `json:"waiting_ms,omitempty"`
}

// Ref is a chunk's place in its document.
type Ref struct {
	ID ID
	// Start and End are byte offsets in the document's text; the first Overlap
	// bytes are the chunk before's as well.
	Start, End, Overlap int
	// Page is the first page it is on, 0 without pages.
	Page int
}

// Batches returns how many batches the pending version has, at least one.
func (p *Pending) Batches() int { return max(1, (len(p.Added)+BatchChunks-1)/BatchChunks) }

// BatchOf returns the indexes in Chunks of one batch's chunks.
func (p *Pending) BatchOf(batch int) []int {
	from := min(batch*BatchChunks, len(p.Added))
	return p.Added[from:min(from+BatchChunks, len(p.Added))]
}

// Done returns how many chunks the marked batches hold.
func (p *Pending) Done() int {
	n := 0
	for i, w := range p.Work {
		if w.Done {
			n += len(p.BatchOf(i))
		}
	}
	return n
}

// Spent sums up what a version's batches took.
func (s *State) Spent() (embedded, reused int) {
	for _, w := range s.Work {
		embedded, reused = embedded+w.Embedded, reused+w.Reused
	}
	return embedded, reused
}

// Ingested is what the result of a job says of its version of the document.
func (r *Row) Ingested(collection, document string, version int64, outcome event.Outcome) *event.Ingested {
	in := &event.Ingested{Collection: collection, Document: document, Version: version, Outcome: outcome}
	if outcome == event.OutcomeSuperseded {
		return in
	}
	in.Chunks, in.Removed, in.Tokens, in.Bytes = len(r.Chunks), r.Removed, r.Tokens, r.Bytes
	in.Embedded, in.Reused = r.Spent()
	return in
}

// AddWork adds what batches took to a receipt.
func AddWork(r *event.Receipt, work ...Work) {
	for _, w := range work {
		r.WaitingMS += w.WaitingMS
		for _, a := range w.Attempts {
			r.Add(a)
		}
	}
}

// readable reports whether a reader who answers to the names may read the
// document.
func (r *Row) readable(readers []string) bool {
	return len(r.Meta.ACL) == 0 || slices.ContainsFunc(r.Meta.ACL, func(name string) bool { return slices.Contains(readers, name) })
}
