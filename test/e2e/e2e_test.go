// Package e2e runs one set of cases against Weir in all its modes: whatever a
// client can see must not depend on how the parts are spread over processes.
package e2e

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

// unknown is the whole answer to a question the documents do not answer.
const unknown = "I don't know."

// caseTimeout bounds the wait for one job.
const caseTimeout = 60 * time.Second

// forModes runs test once per mode.
func forModes(t *testing.T, test func(t *testing.T, mode system.Mode)) {
	t.Parallel()
	for _, mode := range system.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			test(t, mode)
		})
	}
}

// bundle is what one case works with: a client of a running Weir and a tenant
// nobody else uses.
type bundle struct {
	*client.Client
	t      *testing.T
	ctx    context.Context //nolint:containedctx // bounds the case
	sys    *system.System
	nc     *nats.Conn
	js     jetstream.JetStream
	tenant string
}

func setup(t *testing.T, sys *system.System) *bundle {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	t.Cleanup(cancel)
	nc := sys.Connect(t)
	c, err := client.New(nc)
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("opening jetstream: %v", err)
	}
	return &bundle{Client: c, t: t, ctx: ctx, sys: sys, nc: nc, js: js, tenant: "t-" + event.NewID(time.Now())}
}

// markdownDoc and textDoc are the documents of most cases.
const markdownDoc = `# Harbour handbook

## Opening hours

The harbour office opens at seven in the morning and closes at nine in the evening.

## Fees

A berth costs forty euros per night for boats up to ten metres.
`

const textDoc = `The lighthouse keeper paints the lantern room every spring.

Seals rest on the sandbank north of the breakwater at low tide.
`

// document is an ingest job of one text.
func document(collection, source, text string) event.IngestJob {
	return event.IngestJob{Collection: collection,
		Document: event.Document{ID: event.DocumentID(source), Source: source, Text: text}}
}

// question is a generate job grounded in a collection.
func question(collection, text string) event.GenerateJob {
	return event.GenerateJob{Messages: []event.Message{{Role: "user", Content: text}},
		RAG: &event.RAG{Collection: collection}}
}

// ingest stores a document and returns the result, which must be ok.
func (b *bundle) ingest(job event.IngestJob) event.Result {
	b.t.Helper()
	id, err := b.Ingest(b.ctx, b.tenant, job)
	if err != nil {
		b.t.Fatalf("submitting document %s: %v", job.Document.ID, err)
	}
	return b.ok(id)
}

// ask submits a question and returns the result, which must be ok.
func (b *bundle) ask(job event.GenerateJob) event.Result {
	b.t.Helper()
	return b.ok(b.submit(job))
}

func (b *bundle) submit(job event.GenerateJob) string {
	b.t.Helper()
	id, err := b.Generate(b.ctx, b.tenant, job)
	if err != nil {
		b.t.Fatalf("submitting question: %v", err)
	}
	return id
}

// await returns the result of a job, whatever it is.
func (b *bundle) await(id string) event.Result {
	b.t.Helper()
	result, err := b.Await(b.ctx, b.tenant, id)
	if err != nil {
		b.t.Fatalf("awaiting: %v", err)
	}
	if result.ID != id || result.Tenant != b.tenant || result.V != event.Version || result.FinishedAt.IsZero() {
		b.t.Errorf("result %+v: want id %q, tenant %q, version 1 and an end", result, id, b.tenant)
	}
	return result
}

// ok awaits a result that must be ok.
func (b *bundle) ok(id string) event.Result {
	b.t.Helper()
	result := b.await(id)
	if result.Status != event.StatusOK {
		b.t.Fatalf("job %s: status %q, error %v; want ok", id, result.Status, result.Error)
	}
	return result
}

// failed awaits a result that must be a failure of the class, with a hint.
func (b *bundle) failed(id string, class event.Class, field string) event.Result {
	b.t.Helper()
	result := b.await(id)
	checkFailure(b.t, result, class, field)
	return result
}

func checkFailure(t *testing.T, result event.Result, class event.Class, field string) {
	t.Helper()
	if result.Status != event.StatusFailed || result.Error == nil {
		t.Fatalf("result %+v: want failed with an error", result)
	}
	e := result.Error
	if e.Class != class || e.Field != field || e.Message == "" {
		t.Errorf("error %+v: want class %q, field %q and a message", *e, class, field)
	}
	if e.Hint == "" {
		t.Errorf("error %+v: want a hint", *e)
	}
	if result.Answer != nil || result.Ingested != nil {
		t.Errorf("failed result has an answer or a document: %+v", result)
	}
}

// checkUnknown checks that nothing was answered and nothing cited.
func checkUnknown(t *testing.T, result event.Result) {
	t.Helper()
	if result.Answer == nil || result.Answer.Text != unknown || len(result.Answer.Citations) != 0 {
		t.Errorf("answer %+v: want %q and no citations", result.Answer, unknown)
	}
}

// checkCited checks that the answer holds text and cites the source, in the
// section.
func checkCited(t *testing.T, result event.Result, text, source string, section ...string) {
	t.Helper()
	if result.Answer == nil || !strings.Contains(result.Answer.Text, text) {
		t.Fatalf("answer %+v: want it to hold %q", result.Answer, text)
	}
	for _, c := range result.Answer.Citations {
		if c.Source == source && slices.Equal(c.Section, section) {
			return
		}
	}
	t.Errorf("citations %+v: want source %q, section %q", result.Answer.Citations, source, section)
}

// subscribe collects what is published to a subject from now on.
func (b *bundle) subscribe(subject string) chan *nats.Msg {
	b.t.Helper()
	messages := make(chan *nats.Msg, 1024)
	if _, err := b.nc.ChanSubscribe(subject, messages); err != nil {
		b.t.Fatalf("subscribing to %s: %v", subject, err)
	}
	if err := b.nc.FlushWithContext(b.ctx); err != nil {
		b.t.Fatalf("subscribing to %s: %v", subject, err)
	}
	return messages
}

// next returns the next message that was published.
func (b *bundle) next(messages chan *nats.Msg) *nats.Msg {
	b.t.Helper()
	select {
	case msg := <-messages:
		return msg
	case <-b.ctx.Done():
		b.t.Fatalf("no message: %v", context.Cause(b.ctx))
		return nil
	}
}

// stored counts the messages of a stream on the subjects of a filter.
func (b *bundle) stored(stream, filter string) uint64 {
	b.t.Helper()
	s, err := b.js.Stream(b.ctx, stream)
	if err != nil {
		b.t.Fatalf("opening stream %s: %v", stream, err)
	}
	info, err := s.Info(b.ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		b.t.Fatalf("reading stream %s: %v", stream, err)
	}
	var n uint64
	for _, count := range info.State.Subjects {
		n += count
	}
	return n
}

// decode reads a JSON message.
func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatalf("decoding %q: %v", data, err)
	}
	return value
}
