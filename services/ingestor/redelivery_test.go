package ingestor

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
)

// TestRedelivery: a message that comes again, wherever the one before got to,
// gives the same messages, less those that are not needed any more.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"j1", ""} {
		t.Run("job "+id, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, small(), Ports{})
			in := at(t, 0, id, event.Document{ID: "doc", Source: "a.md", Text: article(150)})
			first := d.take(in)
			if len(first.outs) < 2 || len(slices.Compact(slices.Sorted(slices.Values(first.ids())))) != len(first.outs) {
				t.Fatalf("dedupe ids %q, want some, each once", first.ids())
			}
			same(t, d.take(in).outs, first.outs) // died before it published
			d.mark(first.batches[0])
			same(t, d.take(in).outs, first.outs[1:]) // died before its ack
			for _, b := range first.batches[1:] {
				d.mark(b)
			}
			job := first.batches[0].ID
			d.take(in).wantSettle(t, job, version(0)) // current: the embedder ends the job
			d.settle()
			d.take(in).wantSettle(t, job, version(0))
		})
	}
}

func same[T any](t *testing.T, got, want []T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %d messages, want the same %d:\n%+v\n%+v", len(got), len(want), got, want)
	}
}

// TestRedeliveryOfLessWork: jobs that end here end in the same way again.
func TestRedeliveryOfLessWork(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	doc := event.Document{ID: "doc", Source: "h.md", Text: handbook}
	d.store(at(t, 5, "j1", doc))
	for outcome, in := range map[event.Outcome]func() reply{
		event.OutcomeSuperseded: func() reply { return d.take(at(t, 4, "j0", doc)) },
		event.OutcomeUnchanged:  func() reply { return d.take(at(t, 6, "j2", doc)) },
	} {
		first, second := in(), in()
		first.wantOutcome(t, outcome)
		same(t, second.outs, first.outs)
	}
}

// TestJobsDiffer: what makes ids equal is the same message, not the same kind.
func TestJobsDiffer(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	one := d.take(at(t, 0, "j1", event.Document{ID: "doc", Text: "one"}))
	two := d.take(at(t, 0, "j2", event.Document{ID: "other", Text: "one"}))
	if one.outs[0].ID == two.outs[0].ID {
		t.Errorf("two jobs share the dedupe id %q", one.outs[0].ID)
	}
	if one.chunkIDs()[0] == two.chunkIDs()[0] {
		t.Errorf("two documents share the chunk id %q", one.chunkIDs()[0])
	}
}

// TestAnotherCut: after a restart with other settings the same job replaces its
// pending version, by messages that are not taken for the first ones.
func TestAnotherCut(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	in := at(t, 0, "j1", event.Document{ID: "doc", Source: "a.md", Text: article(8)})
	first := d.take(in)
	again := open(t, d.b, DefaultConfig(), Ports{})
	second := again.take(in)
	for _, id := range second.ids() {
		if slices.Contains(first.ids(), id) {
			t.Errorf("both cuts have the dedupe id %q", id)
		}
	}
	row := d.row()
	if row.Pending.Job != "j1" || !slices.Equal(row.Pending.Chunks.IDs().Strings(), second.chunkIDs()) {
		t.Errorf("pending %+v, want the second cut", row.Pending)
	}
	if d.mark(first.batches[0]) == manifest.Current || d.row().Version != 0 {
		t.Error("a batch of the first cut was taken for one of the second")
	}
	if d.mark(second.batches[0]) != manifest.Current {
		t.Error("the second cut is not current")
	}
	for _, id := range d.row().Stale.Strings() {
		if !slices.Contains(first.chunkIDs(), id) {
			t.Errorf("%s is stale", id)
		}
	}
}

// TestAnotherCutOfTheCurrent: other settings make other chunks of the same bytes
// at the next ingest, not before.
func TestAnotherCutOfTheCurrent(t *testing.T) {
	t.Parallel()
	d := newDesk(t, small(), Ports{})
	doc := event.Document{ID: "doc", Source: "a.md", Text: article(8)}
	d.store(at(t, 0, "j1", doc))
	again := open(t, d.b, DefaultConfig(), Ports{})
	again.take(at(t, 0, "j1", doc)).wantSettle(t, "j1", version(0))
	if r := again.take(at(t, 1, "j2", doc)); len(r.chunkIDs()) == 0 {
		t.Error("nothing was cut anew")
	}
}

// TestWhatChunksAreMadeOf: the title, the name and the type are part of them, so
// none of these is unchanged.
func TestWhatChunksAreMadeOf(t *testing.T) {
	t.Parallel()
	d := newDesk(t, DefaultConfig(), Ports{})
	doc := event.Document{ID: "doc", Source: "h.md", Text: handbook}
	d.store(at(t, 0, "j1", doc))
	for n, change := range []func(*event.Document){
		func(d *event.Document) { d.Title = "Another" },
		func(d *event.Document) { d.Source = "h.txt" },
		func(d *event.Document) { d.MediaType = "text/html" },
		func(d *event.Document) { d.Text = strings.ToUpper(handbook) },
	} {
		next := doc
		change(&next)
		if r := d.take(at(t, n+1, "j2", next)); r.result != nil || r.batches[0].Batch == event.SettleOnly {
			t.Errorf("change %d: got the result %+v, want it cut", n, r.result)
		}
	}
}
