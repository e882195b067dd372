package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
		part, more, err := b.page(ctx, p, p.Limit-len(all), p.MaxBytes-bytes)
		if err != nil {
			return nil, unavailable(fmt.Errorf("reading %s: %w", p.Subject, err))
		}
		all = append(all, part...)
		for _, m := range part {
			bytes += len(m.Data)
		}
		if !more || len(part) == 0 {
			break
		}
		p.From, p.Since = part[len(part)-1].Sequence+1, time.Time{}
	}
	return all, nil
}

// page asks once; more says that the server has others, which it did not send.
func (b *Bus) page(ctx context.Context, p Page, limit, maxBytes int) (part []*Message, more bool, err error) {
	ask := map[string]any{"batch": min(limit, MaxPage), "next_by_subj": p.Subject}
	if p.Since.IsZero() {
		ask["seq"] = max(p.From, 1)
	} else {
		ask["start_time"] = p.Since.UTC()
	}
	if p.MaxBytes > 0 {
		ask["max_bytes"] = max(maxBytes, 1) // one comes all the same
	}
	request, err := json.Marshal(ask)
	if err != nil {
		return nil, false, err
	}
	inbox := b.nc.NewInbox()
	sub, err := b.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, false, err
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	if err := b.nc.PublishRequest("$JS.API.DIRECT.GET."+p.Stream, inbox, request); err != nil {
		return nil, false, err
	}
	for {
		msg, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return nil, false, err
		}
		switch status := msg.Header.Get("Status"); status {
		case "":
			m, err := stored(msg, p.Stream)
			if err != nil {
				return nil, false, err
			}
			part = append(part, m)
		case "204": // the end of the batch
			return part, msg.Header.Get("Nats-Num-Pending") != "0", nil
		case "404":
			return part, false, nil
		default:
			return nil, false, fmt.Errorf("status %s %s", status, msg.Header.Get("Description"))
		}
	}
}

// stored is a message as a direct get returns it.
func stored(raw *nats.Msg, stream string) (*Message, error) {
	m := &Message{Subject: raw.Header.Get(jetstream.SubjectHeader), Header: raw.Header, Data: raw.Data, Stream: stream}
	var err error
	if m.Sequence, err = strconv.ParseUint(raw.Header.Get(jetstream.SequenceHeader), 10, 64); err != nil {
		return nil, err
	}
	m.Stored, err = time.Parse(time.RFC3339Nano, raw.Header.Get(jetstream.TimeStampHeaer))
	return m, err
}
