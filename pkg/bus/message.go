package bus

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/event"
)

// ClaimOver is the payload size in bytes above which a message only carries
// the name of an object in the payload bucket (claim-check).
const ClaimOver = 256 << 10

// HeaderPayload names the object that holds the payload; the body is empty then. See
// [Message.Payload].
const HeaderPayload = "Weir-Payload"

// HeaderJob is the id of the job a message belongs to. A message that travels
// by claim-check should carry it: its body can't be read without the object.
const HeaderJob = "Weir-Job"

// MaxPayload bounds a payload in the bucket, in bytes.
const MaxPayload = 256 << 20

// fetchTimeout bounds the storing or fetching of a payload, as askTimeout does a question.
const fetchTimeout = time.Minute

// Message is a stored message as it was delivered.
type Message struct {
	Subject string
	Header  nats.Header
	Data    []byte
	// Stream and Sequence name the stored message.
	Stream   string
	Sequence uint64
	// Stored is when the stream took it (the server's clock).
	Stored time.Time
	// Deliveries counts this one and the earlier ones, from 1.
	Deliveries int
	// Pending is how many more the consumer had waiting at this delivery.
	Pending uint64

	raw *nats.Msg
}

// newMessage reads the delivery's metadata.
func newMessage(raw *nats.Msg) (*Message, error) {
	meta, err := raw.Metadata()
	if err != nil {
		return nil, fmt.Errorf("reading message metadata: %w", err)
	}
	return &Message{
		Subject: raw.Subject, Header: raw.Header, Data: raw.Data,
		Stream: meta.Stream, Sequence: meta.Sequence.Stream, Stored: meta.Timestamp,
		Deliveries: int(meta.NumDelivered), //nolint:gosec // a delivery count
		Pending:    meta.NumPending,
		raw:        raw,
	}, nil
}

// Epoch numbers the deliveries of a step's messages: it grows with each delivery,
// and with each message, should a crash of the queue have let the same one in
// twice.
func (m *Message) Epoch() int64 {
	return int64(m.Sequence)<<8 + int64(min(m.Deliveries, 255)) //nolint:gosec // a stream's sequence is far below 2^55
}

// Ack ends the message: it leaves the work queue.
func (m *Message) Ack() error { return m.raw.Ack() }

// InProgress tells the server that the message is still being worked on.
func (m *Message) InProgress() error { return m.raw.InProgress() }

// Retry hands the message back for another delivery after delay.
func (m *Message) Retry(delay time.Duration) error {
	if delay <= 0 {
		return m.raw.Nak()
	}
	return m.raw.NakWithDelay(delay)
}

// message builds the wire message, putting a large payload into the bucket.
func (b *Bus) message(ctx context.Context, out Out) (*nats.Msg, error) {
	msg := &nats.Msg{Subject: out.Subject, Data: out.Data, Header: nats.Header{}}
	for key, values := range out.Header {
		msg.Header[key] = values
	}
	if len(out.Data) <= ClaimOver || out.Whole {
		return msg, nil
	}
	if len(out.Data) > MaxPayload {
		return nil, event.Errorf(event.ClassTooLarge, "payload for %s has %d bytes, more than %d", out.Subject, len(out.Data), MaxPayload)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	name := objectName(out)
	store, err := b.js.ObjectStore(ctx, PayloadBucket)
	if err != nil {
		return nil, unavailable(fmt.Errorf("opening bucket %s: %w", PayloadBucket, err))
	}
	if _, err := store.Put(ctx, jetstream.ObjectMeta{Name: name}, bytes.NewReader(out.Data)); err != nil {
		e := unavailable(fmt.Errorf("storing payload for %s: %w", out.Subject, err))
		e.Hint = "the bucket " + PayloadBucket + " may be full: see WEIR_STREAM_PAYLOAD_BYTES"
		return nil, e
	}
	msg.Data = nil
	msg.Header.Set(HeaderPayload, name)
	return msg, nil
}

// objectName is that of a payload in the bucket. The content is part of it:
// another message of the same id, or one without an id, must not replace the
// payload of a message that is already stored.
func objectName(out Out) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00", out.Subject, out.ID)
	h.Write(out.Data)
	return fmt.Sprintf("%s.%x", ownerOf(out.Subject), h.Sum(nil))
}

// ownerOf is the tenant that a payload published to subject belongs to.
func ownerOf(subject string) string {
	parts := strings.Split(subject, ".")
	switch {
	case event.IsStoreSubject(subject) && len(parts) > 2:
		return parts[2]
	case strings.HasPrefix(subject, "weir.delay.") && len(parts) > 3:
		return parts[3]
	}
	return event.TenantOf(subject)
}

// Payload is the object that holds the message's payload, "" when it holds it
// itself. What a tenant publishes, and a dead letter made of it, can only claim an
// object of the tenant's own, named <tenant>.<any>: another's would be read, and freed,
// for it.
func (m *Message) Payload() string {
	name := m.Header.Get(HeaderPayload)
	foreign := strings.HasPrefix(m.Subject, "weir.jobs.") || strings.HasPrefix(m.Subject, "weir.dead.")
	if foreign && !strings.HasPrefix(name, ownerOf(m.Subject)+".") {
		return ""
	}
	return name
}

// Resolve fetches a payload that travelled by claim-check into m.Data.
func (b *Bus) Resolve(ctx context.Context, m *Message) error {
	name := m.Payload()
	if named := m.Header.Get(HeaderPayload); named != name {
		return event.Invalid(HeaderPayload, "name the object "+ownerOf(m.Subject)+".<any name>", "%q is not an object of the tenant", named)
	}
	if name == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	store, err := b.js.ObjectStore(ctx, PayloadBucket)
	if err != nil {
		return unavailable(fmt.Errorf("opening bucket %s: %w", PayloadBucket, err))
	}
	object, err := store.Get(ctx, name)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return event.Invalid(HeaderPayload, "put the object before the message; objects expire with the results",
			"no object %q in bucket %s", name, PayloadBucket)
	}
	if err != nil {
		return unavailable(fmt.Errorf("fetching payload %s: %w", name, err))
	}
	defer object.Close() //nolint:errcheck // read only
	info, err := object.Info()
	if err != nil {
		return unavailable(fmt.Errorf("fetching payload %s: %w", name, err))
	}
	if info.Size > MaxPayload {
		return &event.Error{Class: event.ClassTooLarge, Field: HeaderPayload,
			Message: fmt.Sprintf("object %q has %d bytes, more than %d", name, info.Size, MaxPayload),
			Hint:    "split the document"}
	}
	data, err := io.ReadAll(object)
	if err != nil {
		return unavailable(fmt.Errorf("fetching payload %s: %w", name, err))
	}
	m.Data = data
	return nil
}

// JobID returns the job's own id, or, when it has none, the one this stored
// message gives it.
func (m *Message) JobID(own string) string {
	if own != "" {
		return own
	}
	return event.DeliveryID(m.Stored, m.Stream, m.Sequence)
}

// Release removes payloads from the bucket; one that is not there is no error.
func (b *Bus) Release(ctx context.Context, names ...string) error {
	store, err := b.js.ObjectStore(ctx, PayloadBucket)
	if err != nil {
		return unavailable(fmt.Errorf("opening bucket %s: %w", PayloadBucket, err))
	}
	var errs []error
	for _, name := range names {
		if err := store.Delete(ctx, name); err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
			errs = append(errs, unavailable(fmt.Errorf("removing payload %s: %w", name, err)))
		}
	}
	return errors.Join(errs...)
}
