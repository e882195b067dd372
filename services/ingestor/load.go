package ingestor

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/fetch"
	"github.com/weir-dev/weir/pkg/manifest"
)

// Fetcher gets what is at a URL; pkg/fetch is one.
type Fetcher interface {
	Get(ctx context.Context, url string, c fetch.Conditions) (fetch.Response, error)
}

// loaded is a document's bytes.
type loaded struct {
	data      []byte
	mediaType string
	content   string // names the bytes and their type
	unchanged bool   // the source says that content is the current version's; there are no bytes
	etag      string
	modified  string
}

// load returns the bytes of the document. A URL is only asked whether it changed
// when the current version came from it and was read and cut as this one would be.
func (s *Service) load(ctx context.Context, w *work, row *manifest.Row) (*loaded, error) {
	d := &w.document
	switch {
	case d.Text != "":
		return newLoaded([]byte(d.Text), d.MediaType), nil
	case d.URL == "":
		return newLoaded(d.Data, d.MediaType), nil
	case s.ports.Fetch == nil:
		return nil, event.Invalid("document.url", "send the content in document.data", "this ingestor fetches nothing")
	}
	var known fetch.Conditions
	if row.URL == d.URL && row.Config == s.config(w) && !row.Deleted {
		known = fetch.Conditions{ETag: row.ETag, LastModified: row.LastModified}
	}
	r, err := s.ports.Fetch.Get(ctx, d.URL, known)
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetching document %s: %w", d.ID, err)
	case r.NotModified:
		return &loaded{content: row.Content, unchanged: true}, nil
	}
	l := newLoaded(r.Body, cmp.Or(d.MediaType, r.MediaType))
	l.etag, l.modified = r.ETag, r.LastModified
	return l, nil
}

func newLoaded(data []byte, mediaType string) *loaded {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", mediaType)
	h.Write(data)
	return &loaded{data: data, mediaType: mediaType, content: fmt.Sprintf("%x", h.Sum(nil)[:16])}
}

// nameOf is what tells the format and, in the end, the title.
func nameOf(d *event.Document) string {
	if d.Source != "" {
		return d.Source
	}
	return d.ID
}
