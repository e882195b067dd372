package ingestor

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/manifest"
)

const page = "https://example.com/handbook.md"

// site answers with a text, by conditions with "not modified" when it is the same.
type site struct{ text, etag string }

func (s *site) get(_ string, c fetch.Conditions) (fetch.Response, error) {
	if c.ETag != "" && c.ETag == s.etag {
		return fetch.Response{NotModified: true}, nil
	}
	return fetch.Response{Body: []byte(s.text), MediaType: "text/markdown; charset=utf-8", ETag: s.etag, LastModified: "Monday"}, nil
}

// TestURL: what is fetched is cut as if it had been sent.
func TestURL(t *testing.T) {
	t.Parallel()
	web := &fetcher{get: (&site{handbook, "e1"}).get}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: web})
	r := d.store(at(t, 0, "j1", event.Document{ID: "doc", URL: page}))
	row := d.row()
	if row.URL != page || row.ETag != "e1" || row.LastModified != "Monday" || row.Meta.Source != page || row.Meta.Title != "Handbook" || row.MediaType != "text/markdown" {
		t.Errorf("row %+v", row)
	}
	if len(r.chunkIDs()) == 0 || r.batches[0].Document.Source != page {
		t.Errorf("batches %+v", r.batches)
	}
	if web.asked[0] != (fetch.Conditions{}) {
		t.Errorf("the first fetch had the conditions %+v", web.asked[0])
	}
}

// TestNotModified: the source is asked with the conditions of the current version,
// and nothing is read when they hold.
func TestNotModified(t *testing.T) {
	t.Parallel()
	web := &fetcher{get: (&site{handbook, "e1"}).get}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: web})
	doc := event.Document{ID: "doc", URL: page}
	d.store(at(t, 0, "j1", doc))
	before := d.row()
	for n := range 2 { // the conditions outlive an unchanged version
		got := d.take(at(t, n+1, "j2", doc)).wantOutcome(t, event.OutcomeUnchanged)
		if got.Version != version(n+1) || got.Chunks != len(before.Chunks) || got.Bytes != len(handbook) {
			t.Errorf("ingested %+v", got)
		}
		if want := (fetch.Conditions{ETag: "e1", LastModified: "Monday"}); web.asked[n+1] != want {
			t.Errorf("asked with %+v, want %+v", web.asked[n+1], want)
		}
	}
	after := d.row()
	if after.Content != before.Content || after.Meta.Title != "Handbook" || !slices.Equal(after.Chunks, before.Chunks) || after.Unsettled() {
		t.Errorf("row %+v, want %+v", after, before)
	}
}

// TestModified: changed bytes are a new version, equal ones under a new tag are
// not.
func TestModified(t *testing.T) {
	t.Parallel()
	s := &site{handbook, "e1"}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: &fetcher{get: s.get}})
	doc := event.Document{ID: "doc", URL: page}
	d.store(at(t, 0, "j1", doc))
	s.etag = "e2"
	d.take(at(t, 1, "j2", doc)).wantOutcome(t, event.OutcomeUnchanged)
	if row := d.row(); row.ETag != "e2" {
		t.Errorf("tag %q, want that of the last fetch", row.ETag)
	}
	s.etag, s.text = "e3", handbook+"\nSundays are free.\n"
	if r := d.store(at(t, 2, "j3", doc)); len(r.chunkIDs()) == 0 {
		t.Error("the new text has no new chunk")
	}
}

// TestNoConditions: the source is asked for everything when the current version is
// another's, or would be read or cut in another way, or has lost chunks.
func TestNoConditions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *desk, doc *event.Document)
		cfg    func(*Config)
	}{
		"another URL":  {change: func(_ *desk, doc *event.Document) { doc.URL, doc.Source = doc.URL+"?page=2", "" }},
		"a title":      {change: func(_ *desk, doc *event.Document) { doc.Title = "Another" }},
		"a media type": {change: func(_ *desk, doc *event.Document) { doc.MediaType = "text/plain" }},
		"other chunks": {cfg: func(c *Config) { c.ChunkTokens = 100 }},
		"deleted":      {change: func(d *desk, _ *event.Document) { d.take(deletion(d.t, 1, "del")) }},
		"text since":   {change: func(d *desk, _ *event.Document) { d.store(at(d.t, 1, "j1", event.Document{ID: "doc", Text: "x"})) }},
		"chunks lost": {change: func(d *desk, _ *event.Document) {
			d.change(func(r *manifest.Row) error { return r.Lose(r.Version, nil) })
		}},
		"never a whole": {change: func(d *desk, _ *event.Document) {
			d.change(func(r *manifest.Row) error { *r = manifest.Row{V: 1}; return nil })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := &fetcher{get: (&site{handbook, "e1"}).get}
			d := newDesk(t, DefaultConfig(), Ports{Fetch: web})
			doc := event.Document{ID: "doc", URL: page, Source: page}
			d.store(at(t, 0, "j0", doc))
			if c.change != nil {
				c.change(d, &doc)
			}
			cfg := DefaultConfig()
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			r := open(t, d.b, cfg, Ports{Fetch: web}).take(at(t, 2, "j2", doc))
			if got := web.asked[len(web.asked)-1]; got != (fetch.Conditions{}) || len(web.asked) != 2 {
				t.Errorf("asked %d times, at last with %+v; want no conditions", len(web.asked), got)
			}
			if r.result != nil || d.row().Pending == nil {
				t.Errorf("the result is %+v, want a new version", r.result)
			}
		})
	}
}

// TestNotModifiedSinceAnother: another version became current while the source
// was asked. That the source has what was current before says nothing about it.
func TestNotModifiedSinceAnother(t *testing.T) {
	t.Parallel()
	s := &site{handbook, "e1"}
	web := &fetcher{get: s.get}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: web})
	doc := event.Document{ID: "doc", URL: page}
	d.store(at(t, 0, "j1", doc))
	s.text, s.etag = "# Other\n\nAnother text altogether.\n", "e2"
	other := d.take(at(t, 1, "j2", doc))
	s.text, s.etag = handbook, "e1" // as it was
	web.get = func(url string, c fetch.Conditions) (fetch.Response, error) {
		r, err := s.get(url, c)
		if r.NotModified {
			d.mark(other.batches[0])
		}
		return r, err
	}
	r := d.take(at(t, 2, "j3", doc))
	if row := d.row(); row.Job != "j2" || row.Pending == nil || row.Pending.Job != "j3" || len(r.batches) != 1 {
		t.Fatalf("row %+v, want j2 current and j3 pending with the text as it was", row)
	}
	for _, c := range r.batches[0].Chunks {
		if !strings.Contains(handbook, strings.TrimSpace(c.Text)) {
			t.Errorf("chunk %q is not of the text as it was", c.Text)
		}
	}
	if want := (fetch.Conditions{ETag: "e2", LastModified: "Monday"}); web.asked[len(web.asked)-1] != want {
		t.Errorf("asked at last with %+v, want %+v", web.asked[len(web.asked)-1], want)
	}
}

// TestURLChangesBetweenDeliveries: the second cut of the job is other messages,
// or they would be taken for those of the first.
func TestURLChangesBetweenDeliveries(t *testing.T) {
	t.Parallel()
	s := &site{handbook, "e1"}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: &fetcher{get: s.get}})
	in := at(t, 0, "j1", event.Document{ID: "doc", URL: page})
	first := d.take(in)
	same(t, d.take(in).ids(), first.ids())
	s.text, s.etag = article(2), "e2"
	second := d.take(in)
	if second.outs[0].ID == first.outs[0].ID {
		t.Errorf("two texts share the dedupe id %q", first.outs[0].ID)
	}
	if d.mark(second.batches[0]) != manifest.Current {
		t.Error("the second text is not current")
	}
}

// TestFetchFails: the class of the trouble decides what becomes of the job.
func TestFetchFails(t *testing.T) {
	t.Parallel()
	for _, want := range []*event.Error{
		event.Errorf(event.ClassUnavailable, "the host is away"),
		event.Invalid("document.url", "use a public address", "10.0.0.1 is private"),
		{Class: event.ClassTooLarge, Field: "document.url", Message: "it never ends", Hint: "split it"},
	} {
		d := newDesk(t, DefaultConfig(), Ports{Fetch: &fetcher{get: func(string, fetch.Conditions) (fetch.Response, error) {
			return fetch.Response{}, want
		}}})
		if got := d.fails(at(t, 0, "j1", event.Document{ID: "doc", URL: page})); !errors.Is(got, want) {
			t.Errorf("error %v, want %v", got, want)
		}
		if row := d.row(); row.Version != 0 || row.Pending != nil {
			t.Errorf("row %+v, want none", row)
		}
	}
}

// TestSupersededIsNotFetched: a late job costs the source nothing.
func TestSupersededIsNotFetched(t *testing.T) {
	t.Parallel()
	web := &fetcher{get: (&site{handbook, "e1"}).get}
	d := newDesk(t, DefaultConfig(), Ports{Fetch: web})
	doc := event.Document{ID: "doc", URL: page}
	d.store(at(t, 1, "j1", doc))
	d.take(at(t, 0, "late", doc)).wantOutcome(t, event.OutcomeSuperseded)
	if len(web.asked) != 1 {
		t.Errorf("fetched %d times, want once", len(web.asked))
	}
}
