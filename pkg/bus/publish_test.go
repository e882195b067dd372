package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

// wantError checks an error's class and that its message and hint contain text.
func wantError(t *testing.T, err error, class event.Class, message, hint string) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an event.Error", err)
	}
	if e.Class != class || !strings.Contains(e.Message, message) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got %v; want class %s, message with %q, hint with %q", e, class, message, hint)
	}
}

func result(t *testing.T, b *bus.Bus, job string) string {
	t.Helper()
	msg, err := b.Result(t.Context(), "acme", job)
	if err != nil {
		t.Fatal(err)
	}
	if msg == nil {
		return ""
	}
	return string(msg.Data)
}

// TestFirstResultWins: a second one is no error and changes nothing, with the
// same dedupe id, another or none, and after a restart, which forgets the ids.
func TestFirstResultWins(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	subject := event.StoreSubject("acme", "j1")
	if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "a", Data: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	second := func() {
		t.Helper()
		for _, id := range []string{"a", "b", ""} {
			if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: id, Data: []byte("second")}); err != nil {
				t.Errorf("id %q: %v", id, err)
			}
		}
		if got := result(t, b, "j1"); got != "first" {
			t.Errorf("got %q, want the first result", got)
		}
	}
	second()
	server.Restart()
	retry(t, func() error { _, err := b.Finished(t.Context(), "acme", "j1"); return err })
	second()
	if n := count(t, b, bus.StreamResults); n != 1 {
		t.Errorf("%d results, want 1", n)
	}
}

func TestFinishedAndResult(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	if err := b.Publish(t.Context(), bus.Out{Subject: event.StoreSubject("acme", "j1"), Data: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tenant, job string
		want        bool
	}{{"acme", "j1", true}, {"acme", "j2", false}, {"zeta", "j1", false}} {
		got, err := b.Finished(t.Context(), c.tenant, c.job)
		if err != nil || got != c.want {
			t.Errorf("%s %s: got %t, %v; want %t", c.tenant, c.job, got, err, c.want)
		}
		msg, err := b.Result(t.Context(), c.tenant, c.job)
		if err != nil || (msg != nil) != c.want {
			t.Errorf("%s %s: got %v, %v; want one: %t", c.tenant, c.job, msg, err, c.want)
		}
	}
}

// TestResultsOutOfReach: no answer is no "not finished".
func TestResultsOutOfReach(t *testing.T) {
	t.Parallel()
	b, err := bus.New(bustest.Start(t).Connect()) // no streams
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Finished(t.Context(), "acme", "j1")
	wantError(t, err, event.ClassUnavailable, "looking for a result", "")
	_, err = b.Result(t.Context(), "acme", "j1")
	wantError(t, err, event.ClassUnavailable, "reading results", "")
}

// TestNoAnswer: a question that the server took along when it went down ends
// after some seconds, not with the caller's context.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	nc := bustest.Start(t).Connect()
	if _, err := nc.SubscribeSync("$JS.API.DIRECT.GET.>"); err != nil { // and it never answers
		t.Fatal(err)
	}
	b, err := bus.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = b.Finished(ctx, "acme", "j1")
	wantError(t, err, event.ClassUnavailable, "looking for a result", "")
	if ctx.Err() != nil {
		t.Error("waited for the caller's context")
	}
}

func TestUnknownSubjectIsRefused(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	for _, subject := range []string{"weir.jobs.genrate.batch.acme", "weir.jobs.generate.express.acme", "weir.jobs.generate.batch", "weir.results.acme"} {
		err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "1", Data: []byte(`{}`)})
		wantError(t, err, event.ClassUnavailable, subject, "check kind, lane and tenant")
	}
}

// TestFullQueueRefuses: what is over the limit is refused with a way out, what
// was stored stays, and there is room again when a job has ended.
func TestFullQueueRefuses(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	limits := bus.DefaultLimits()
	limits.TenantJobs, limits.Jobs = 3, 5
	if err := b.Ensure(t.Context(), limits); err != nil {
		t.Fatal(err)
	}
	job := func(tenant string, n int) bus.Out {
		return bus.Out{Subject: "weir.jobs.generate.batch." + tenant, ID: fmt.Sprint(tenant, n), Data: []byte(`{"v":1}`)}
	}
	if err := b.Publish(t.Context(), job("acme", 0), job("acme", 1), job("acme", 2)); err != nil {
		t.Fatal(err)
	}
	err := b.Publish(t.Context(), job("acme", 3))
	wantError(t, err, event.ClassUnavailable, "weir.jobs.generate.batch.acme", "queue is full")
	if !errors.Is(err, bus.ErrFull) {
		t.Errorf("%v is not ErrFull", err)
	}
	// Another tenant has its own share, up to the limit of all.
	if err := b.Publish(t.Context(), job("zeta", 0), job("zeta", 1)); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Publish(t.Context(), job("zeta", 2)), event.ClassUnavailable, "zeta", "queue is full")
	// A large one that is refused leaves no message that names its payload.
	large := job("acme", 4)
	large.Data = make([]byte, bus.ClaimOver+1)
	wantError(t, b.Publish(t.Context(), large), event.ClassUnavailable, "acme", "queue is full")
	if n := count(t, b, bus.StreamJobs); n != 5 {
		t.Errorf("%d jobs, want 5", n)
	}
	p, stop := pull(t, b, consumer, 1)
	defer stop()
	if err := receive(t, p).Ack(); err != nil {
		t.Fatal(err)
	}
	retry(t, func() error { return b.Publish(t.Context(), job("acme", 3)) })
}

// TestDedupe: the same id is stored once.
func TestDedupe(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	out := bus.Out{Subject: subject, ID: "same", Data: []byte(`{"v":1}`)}
	if err := b.Publish(t.Context(), out, out); err != nil {
		t.Fatal(err)
	}
	out.ID = ""
	if err := b.Publish(t.Context(), out, out); err != nil {
		t.Fatal(err)
	}
	if n := count(t, b, bus.StreamJobs); n != 3 {
		t.Errorf("%d messages, want one with the id and two without", n)
	}
}

// TestHeadersTravel: and the caller's map stays as it was.
func TestHeadersTravel(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	header := nats.Header{"traceparent": {"00-x"}}
	if err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "1", Data: []byte(`{}`), Header: header}); err != nil {
		t.Fatal(err)
	}
	if len(header) != 1 {
		t.Errorf("Publish added to the caller's header: %v", header)
	}
	p, stop := pull(t, b, consumer, 1)
	defer stop()
	m := receive(t, p)
	if got := m.Header.Get("traceparent"); got != "00-x" {
		t.Errorf("got %q", got)
	}
	if m.Subject != subject || m.Stream != bus.StreamJobs || m.Sequence != 1 || m.Deliveries != 1 || time.Since(m.Stored).Abs() > time.Minute {
		t.Errorf("got %+v", m)
	}
	if id := m.JobID("own"); id != "own" {
		t.Errorf("got id %q, want its own", id)
	}
	if id := m.JobID(""); id != event.DeliveryID(m.Stored, bus.StreamJobs, 1) {
		t.Errorf("got id %q, want that of the delivery", id)
	}
}

// TestViewsDoNotWait: a view returns while the server does not answer at all;
// any other message waits, until its context ends.
func TestViewsDoNotWait(t *testing.T) {
	t.Parallel()
	b, server := bustest.New(t)
	server.Stop()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := b.Publish(ctx, bus.Out{Subject: event.LifeSubject("acme", "j1"), Data: []byte(`{}`), View: true}); err != nil {
		t.Errorf("view: %v", err)
	}
	err := b.Publish(ctx, bus.Out{Subject: subject, ID: "1", Data: []byte(`{}`)})
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the context's cause", err)
	}
}

// TestViewIsStored: nobody waits, but it arrives.
func TestViewIsStored(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	if err := b.Publish(t.Context(), bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: []byte(`{}`), View: true}); err != nil {
		t.Fatal(err)
	}
	retry(t, func() error {
		if n := count(t, b, bus.StreamTokens); n != 1 {
			return fmt.Errorf("%d tokens, want 1", n)
		}
		return nil
	})
}

func TestPublishOnAClosedConnection(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	b.Conn().Close()
	for _, view := range []bool{true, false} {
		err := b.Publish(t.Context(), bus.Out{Subject: subject, ID: "1", Data: []byte(`{}`), View: view})
		wantError(t, err, event.ClassUnavailable, nats.ErrConnectionClosed.Error(), "")
	}
}

// TestViewTooLargeForTheServer: a view has no claim-check.
func TestViewTooLargeForTheServer(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	err := b.Publish(t.Context(), bus.Out{Subject: event.TokenSubject("acme", "j1"), Data: make([]byte, bus.MaxMessage+1), View: true})
	wantError(t, err, event.ClassTooLarge, "weir.tokens.acme.j1", bus.PayloadBucket)
}

// TestGuessedJobID: another tenant's message with the id of a job does not keep the
// job out; the job itself does.
func TestGuessedJobID(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	guess := nats.NewMsg("weir.jobs.generate.batch.mallory")
	guess.Header.Set(nats.MsgIdHdr, "acme.order-1")
	guess.Data = []byte(`{"v":1}`)
	if _, err := b.Conn().RequestMsg(guess, time.Minute); err != nil {
		t.Fatal(err)
	}
	out := bus.Out{Subject: "weir.jobs.generate.batch.acme", ID: "acme.order-1", Data: []byte(`{"v":1,"id":"order-1"}`)}
	for range 2 {
		if err := b.Publish(t.Context(), out); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := b.JetStream().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	if err != nil {
		t.Fatal(err)
	}
	if n := info.State.Subjects[out.Subject]; n != 1 {
		t.Errorf("%d jobs of acme are stored, want 1", n)
	}
}
