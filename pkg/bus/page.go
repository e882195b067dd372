package bus

import (
	"context"
	"time"
)

// Page names stored messages to read: those of a subject, which may have wildcards,
// in the order in which they were stored.
type Page struct {
	Stream  string
	Subject string
	// From is where to begin: the sequence, or the first message stored at Since or
	// later; the stream's first one when both are zero.
	From  uint64
	Since time.Time
	// Limit bounds the messages, 1 to MaxPage.
	Limit int
	// MaxBytes ends the page with the message that goes over it; 0 is no bound.
	MaxBytes int
}

// MaxPage bounds the messages of a page.
const MaxPage = 1000

// Page returns the messages of a page; fewer than its limit when there are no more,
// or when they are large.
// Only their Subject, Header, Data, Stream, Sequence and Stored are set. Data is
// still in the bucket when a message went by claim-check; see Resolve.
func (b *Bus) Page(ctx context.Context, p Page) ([]*Message, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var all []*Message
	bytes := 0
	for len(all) < p.Limit && (p.MaxBytes == 0 || bytes <= p.MaxBytes) {
		pending, next, err := b.readBatch(ctx, p.request(p.Limit-len(all), p.MaxBytes-bytes), func(m *Message) error {
			all = append(all, m)
			bytes += len(m.Data)
			return nil
		})
		if err != nil {
			return nil, err
		}
		if pending == 0 {
			break
		}
		p.From, p.Since = next, time.Time{}
	}
	return all, nil
}

// request asks for what is left of the page.
func (p Page) request(limit, maxBytes int) batchRequest {
	r := batchRequest{stream: p.Stream, Subject: p.Subject, Batch: min(limit, MaxPage)}
	if p.Since.IsZero() {
		r.From = max(p.From, 1)
	} else {
		since := p.Since.UTC()
		r.Since = &since
	}
	if p.MaxBytes > 0 {
		r.MaxBytes = max(maxBytes, 1) // one comes all the same
	}
	return r
}
