package ingestor

import (
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
	unchanged bool // the source says so; there are no bytes
	etag      string
	modified  string
}

// load returns the bytes of the document. A URL is only asked whether it changed
// when the current version came from it.
func (s *Service) load(ctx context.Context, w *work, row *manifest.Row) (*loaded, error) {
	d := &w.document
	switch {
	case d.Text != "":
		return &loaded{data: []byte(d.Text), mediaType: d.MediaType}, nil
	case d.URL == "":
		return &loaded{data: d.Data, mediaType: d.MediaType}, nil
	case s.ports.Fetch == nil:
		return nil, event.Invalid("document.url", "send the content in document.data", "this ingestor fetches nothing")
	}
	var known fetch.Conditions
	if row.URL == d.URL && row.Config == s.config(w) && !row.Deleted && row.Meta.Title == d.Title {
		known = fetch.Conditions{ETag: row.ETag, LastModified: row.LastModified}
	}
	r, err := s.ports.Fetch.Get(ctx, d.URL, known)
	if err != nil {
		return nil, fmt.Errorf("fetching document %s: %w", d.ID, err)
	}
	l := &loaded{data: r.Body, mediaType: d.MediaType, unchanged: r.NotModified, etag: r.ETag, modified: r.LastModified}
	if l.mediaType == "" {
		l.mediaType = r.MediaType
	}
	return l, nil
}

// hash names the bytes and all else that the chunks are made of.
func (l *loaded) hash(d *event.Document) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q\n", l.mediaType, d.Title, nameOf(d))
	h.Write(l.data)
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// nameOf is what tells the format and, in the end, the title.
func nameOf(d *event.Document) string {
	if d.Source != "" {
		return d.Source
	}
	return d.ID
}
