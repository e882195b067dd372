package bus_test

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// noise returns n bytes that do not compress.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // test data
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// TestLargePayloadTravelsByClaimCheck: over the size, and only over it, the
// message carries a name, and Resolve gives the same bytes.
func TestLargePayloadTravelsByClaimCheck(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	p, stop := pull(t, b, consumer, 1)
	defer stop()
	for _, c := range []struct {
		size    int
		claimed bool
	}{{bus.ClaimOver, false}, {bus.ClaimOver + 1, true}, {9 << 20, true}} {
		want := noise(1, c.size)
		if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: strconv.Itoa(c.size), Data: want}); err != nil {
			t.Fatal(err)
		}
		m := receive(t, p)
		if claimed := m.Header.Get(bus.HeaderPayload) != ""; claimed != c.claimed || claimed != (len(m.Data) == 0) {
			t.Errorf("%d bytes: claimed %t, body of %d bytes", c.size, claimed, len(m.Data))
		}
		if err := b.Resolve(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.Data, want) {
			t.Errorf("%d bytes: resolved to %d other bytes", c.size, len(m.Data))
		}
		m.Ack() //nolint:errcheck // the next receive tells
		p.Done()
	}
}

// TestPayloadsAreNotReplaced: a message waits with the payload it was stored
// with, whatever else is published to its subject.
func TestPayloadsAreNotReplaced(t *testing.T) {
	t.Parallel()
	for name, id := range map[string]string{"no id": "", "the same id": "j1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := bustest.New(t)
			first, second := noise(1, bus.ClaimOver+1), noise(2, bus.ClaimOver+1)
			for _, data := range [][]byte{first, second} {
				if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: id, Data: data}); err != nil {
					t.Fatal(err)
				}
			}
			p, stop := pull(t, b, consumer, 1)
			defer stop()
			m := receive(t, p)
			if err := b.Resolve(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m.Data, first) {
				t.Error("the first message has another payload now")
			}
		})
	}
}

// TestLargeResult: a result travels the same way, and the first one wins with
// its payload.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	first, second := noise(1, bus.ClaimOver+1), noise(2, bus.ClaimOver+1)
	for _, data := range [][]byte{first, second} {
		if err := b.Publish(t.Context(), bus.Out{Subject: event.StoreSubject("acme", "j1"), ID: "acme.j1", Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	m, err := b.Result(t.Context(), "acme", "j1")
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get(bus.HeaderPayload) == "" {
		t.Error("the result is in the message")
	}
	if !bytes.Equal(m.Data, first) {
		t.Error("the result is not the first one")
	}
	if done, err := b.Finished(t.Context(), "acme", "j1"); err != nil || !done {
		t.Errorf("finished: %t, %v", done, err)
	}
}

func TestMissingPayload(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	m := &bus.Message{Header: nats.Header{bus.HeaderPayload: {"gone"}}}
	err := b.Resolve(t.Context(), m)
	wantError(t, err, event.ClassInvalid, "gone", "put the object before the message")
	if field := event.AsError(err).Field; field != bus.HeaderPayload {
		t.Errorf("field %q, want %q", field, bus.HeaderPayload)
	}
	if err := b.Resolve(t.Context(), &bus.Message{Data: []byte("x")}); err != nil {
		t.Errorf("without the header: %v", err)
	}
}

func TestPayloadTooLarge(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "1", Data: make([]byte, bus.MaxPayload+1)})
	wantError(t, err, event.ClassTooLarge, subject, "")
}

// TestNoBucket: without the bucket the message is refused whole.
func TestNoBucket(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	if err := b.JetStream().DeleteObjectStore(t.Context(), bus.PayloadBucket); err != nil {
		t.Fatal(err)
	}
	err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "1", Data: noise(1, bus.ClaimOver+1)})
	wantError(t, err, event.ClassUnavailable, bus.PayloadBucket, "")
	if n := count(t, b, bus.StreamJobs); n != 0 {
		t.Errorf("%d messages, want none", n)
	}
	wantError(t, b.Resolve(t.Context(), &bus.Message{Header: nats.Header{bus.HeaderPayload: {"x"}}}),
		event.ClassUnavailable, bus.PayloadBucket, "")
}

// TestForeignPayload: a client may put an object itself, and claim those of its
// tenant alone.
func TestForeignPayload(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	js, err := jetstream.New(server.Connect())
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore(t.Context(), bus.PayloadBucket)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutString(t.Context(), "acme.mine", `{"v":1}`); err != nil {
		t.Fatal(err)
	}
	p, stop := pull(t, b, consumer, 1)
	defer stop()
	for name, ok := range map[string]bool{"acme.mine": true, "other.mine": false, "acme": false, "mine": false, "acmex.mine": false} {
		msg := nats.NewMsg(subject)
		msg.Header.Set(bus.HeaderPayload, name)
		if _, err := js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		m := receive(t, p)
		err := b.Resolve(t.Context(), m)
		if ok && (err != nil || string(m.Data) != `{"v":1}` || m.Payload() != name) {
			t.Errorf("%s: got %q, %v", name, m.Data, err)
		}
		if !ok {
			wantError(t, err, event.ClassInvalid, name, "name the object acme.")
			if m.Payload() != "" || len(m.Data) != 0 {
				t.Errorf("%s: claimed %q", name, m.Payload())
			}
		}
		m.Ack() //nolint:errcheck // the next receive tells
		p.Done()
	}
}

// TestDeadLetterClaimsNothingForeign: a job that names another tenant's object and was
// given up does not read it as a dead letter either.
func TestDeadLetterClaimsNothingForeign(t *testing.T) {
	t.Parallel()
	for subject, want := range map[string]string{
		event.DeadSubject("router", "mallory"): "",
		event.DeadSubject("router", "acme"):    "acme.object",
		"weir.jobs.generate.batch.mallory":     "",
	} {
		m := &bus.Message{Subject: subject, Header: nats.Header{bus.HeaderPayload: {"acme.object"}}}
		if got := m.Payload(); got != want {
			t.Errorf("%s claims %q, want %q", subject, got, want)
		}
	}
}
