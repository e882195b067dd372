package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
)

// png is the beginning of a PNG image.
var png = []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x06")

// bad is a message that must not be carried out.
type bad struct {
	name   string
	kind   event.Kind
	body   string
	header nats.Header
	// What becomes of it: a failed result, a dead letter, or both.
	class  event.Class
	field  string
	result bool
	dead   bool
}

// generate and ingest return a bad job; the fields are JSON members beside
// version and id.
func generate(name, fields, field string) bad {
	return bad{name: name, kind: event.KindGenerate, body: `{"v":1,"id":"bad",` + fields + `}`,
		class: event.ClassInvalid, field: field, result: true}
}

func ingest(name, fields, field string) bad {
	b := generate(name, fields, field)
	b.kind = event.KindIngest
	return b
}

// letter returns a message without a usable job id: it becomes a dead letter.
func letter(name, body string) bad {
	return bad{name: name, kind: event.KindGenerate, body: body, class: event.ClassInvalid, dead: true}
}

const hello = `"messages":[{"role":"user","content":"hello"}]`

// doc is the members of an ingest job with a document of these members.
func doc(fields string) string { return `"collection":"docs","document":{"id":"d",` + fields + `}` }

func badInputs() []bad {
	quoted := func(data []byte) string {
		text, _ := json.Marshal(data) // base64; cannot fail
		return string(text)
	}
	version := func(b bad) bad {
		b.class, b.dead = event.ClassUnsupported, true
		return b
	}
	class := func(c event.Class, b bad) bad {
		b.class = c
		return b
	}
	inputs := []bad{
		letter("no JSON", `{"v":1,"id":"bad",`),
		letter("text", "When does the harbour office open?"),
		letter("nothing", ""),
		letter("JSON array", `[{"v":1,"id":"bad"}]`),
		letter("JSON number", `42`),
		letter("binary", string(png)),
		letter("deep nesting", strings.Repeat("[", 100_000)),
		letter("id with a dot", `{"v":1,"id":"a.b",`+hello+`}`),
		letter("id with a wildcard", `{"v":1,"id":"*",`+hello+`}`),
		letter("id too long", `{"v":1,"id":"`+strings.Repeat("x", 65)+`",`+hello+`}`),
		letter("id of another type", `{"v":1,"id":7,`+hello+`}`),
		{name: "object missing in the bucket", kind: event.KindIngest, class: event.ClassInvalid, dead: true,
			header: nats.Header{bus.HeaderPayload: {"no-such-object"}}},

		{name: "version missing", kind: event.KindGenerate, body: `{"id":"bad",` + hello + `}`,
			class: event.ClassInvalid, field: "v", result: true},
		{name: "id and version missing", kind: event.KindIngest, body: `{}`, class: event.ClassInvalid, field: "v", result: true},
		version(bad{name: "version unknown", kind: event.KindGenerate, body: `{"v":2,"id":"bad",` + hello + `}`, field: "v", result: true}),
		version(bad{name: "version unknown of a document", kind: event.KindIngest, body: `{"v":9,"id":"bad","document":7}`, field: "v", result: true}),

		generate("messages of another type", `"messages":"hello"`, "messages"),
		generate("stream of another type", hello+`,"stream":"yes"`, "stream"),
		generate("tenant of another subject", `"tenant":"somebody-else",`+hello, "tenant"),
		generate("lane of another subject", `"lane":"batch",`+hello, "lane"),
		generate("messages missing", `"stream":true`, "messages"),
		generate("messages empty", `"messages":[]`, "messages"),
		generate("content empty", `"messages":[{"role":"user","content":" \n"}]`, "messages[0].content"),
		generate("role unknown", `"messages":[{"role":"user","content":"a"},{"role":"wizard","content":"b"}]`, "messages[1].role"),
		generate("question not the user's", `"messages":[{"role":"assistant","content":"a"}],"rag":{"collection":"docs"}`, "messages[0].role"),
		generate("model unknown", `"model":"gargantua",`+hello, "model"),
		generate("model with a dot", `"model":"a.b",`+hello, "model"),
		generate("collection unknown", hello+`,"rag":{"collection":"nowhere"}`, "rag.collection"),
		generate("collection missing", hello+`,"rag":{}`, "rag.collection"),
		generate("max_attempts negative", hello+`,"max_attempts":-1`, "max_attempts"),
		generate("max_cost_nano_usd negative", hello+`,"max_cost_nano_usd":-1`, "max_cost_nano_usd"),
		generate("max_tokens negative", hello+`,"max_tokens":-1`, "max_tokens"),
		generate("temperature too high", hello+`,"temperature":3`, "temperature"),
		generate("top_k negative", hello+`,"rag":{"collection":"docs","top_k":-1}`, "rag.top_k"),
		generate("top_k too large", hello+`,"rag":{"collection":"docs","top_k":101}`, "rag.top_k"),
		generate("deadline no time", `"deadline":"tomorrow",`+hello, "deadline"),
		class(event.ClassDeadline, generate("deadline in the past", `"deadline":"2020-01-02T03:04:05Z",`+hello, "deadline")),

		ingest("collection missing", `"document":{"id":"d","text":"hello"}`, "collection"),
		ingest("document missing", `"collection":"docs"`, "document.id"),
		ingest("document id with a slash", `"collection":"docs","document":{"id":"a/b","text":"hello"}`, "document.id"),
		ingest("document empty", doc(`"text":""`), "document"),
		ingest("document of white space", doc(`"text":" \n\t "`), "document"),
		ingest("document with text and data", doc(`"text":"hello","data":"aGVsbG8="`), "document"),
		ingest("data no base64", doc(`"data":"?"`), "document.data"),
		ingest("PNG image", doc(`"data":`+quoted(png)), "document"),
		ingest("PNG image as text", doc(`"media_type":"text/plain","data":`+quoted(png)), "document"),
		ingest("NUL in the text", doc(`"text":"hello\u0000world"`), "document"),
		ingest("broken PDF", doc(`"data":`+quoted([]byte("%PDF-1.7\nnothing more"))), "document"),
		ingest("broken docx", doc(`"source":"a.docx","data":`+quoted([]byte("PK\x03\x04 and then nothing"))), "document"),
		ingest("HTML without text", doc(`"media_type":"text/html","text":"<p style='display:none'>hello"`), "document"),
		ingest("URL of this machine", doc(`"url":"http://127.0.0.1:80/secret"`), "document.url"),
		ingest("access list with a wildcard", doc(`"acl":["*"],"text":"hello"`), "document.acl[0]"),
		class(event.ClassTooLarge, ingest("document too large", doc(`"text":"`+strings.Repeat("long text ", maxDocument/10+1)+`"`), "document")),
	}
	return inputs
}

// badInput sends everything a pipeline should refuse, and then a good job.
func badInput(b *bundle) {
	b.t.Run("refused by the pipeline", func(t *testing.T) {
		for _, in := range badInputs() {
			t.Run(in.name, func(t *testing.T) {
				t.Parallel()
				refused(setup(t, b.sys), in)
			})
		}
	})
	b.t.Run("refused at publish", func(t *testing.T) { refusedAtPublish(setup(t, b.sys)) })
	for name, p := range b.sys.Processes {
		if !p.Running() {
			b.t.Errorf("%s is gone", name)
		}
	}
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	checkCited(b.t, b.ask(question("docs", "When does the harbour office open?")), "seven in the morning",
		"guide/harbour.md", "Harbour handbook", "Opening hours")
}

func refused(b *bundle, in bad) {
	addr := event.Address{Kind: in.kind, Lane: event.LaneInteractive, Tenant: b.tenant}
	dead := b.subscribe("weir.dead.*." + b.tenant)
	results := b.subscribe("weir.results." + b.tenant + ".*")
	b.publish(addr.Subject(), in)
	if in.result {
		result := decode[event.Result](b.t, b.next(results).Data)
		checkFailure(b.t, result, in.class, in.field)
		if strings.Contains(in.body, `"id":"bad"`) && result.ID != "bad" || result.Tenant != b.tenant || result.Kind != in.kind {
			b.t.Errorf("result of %s job %q of tenant %q: want that of the %s job", result.Kind, result.ID, result.Tenant, in.kind)
		}
	}
	if in.dead {
		checkLetter(b.t, b.next(dead), addr.Subject(), in)
	}
	b.settled(addr.Subject()) // acked: all there will be is stored
	wantResults, wantDead := uint64(0), uint64(0)
	if in.result {
		wantResults = 1
	}
	if in.dead {
		wantDead = 1
	}
	if n := b.stored(bus.StreamResults, "weir.results."+b.tenant+".*"); n != wantResults {
		b.t.Errorf("%d results are stored, want %d", n, wantResults)
	}
	if n := b.stored(bus.StreamDead, "weir.dead.*."+b.tenant); n != wantDead {
		b.t.Errorf("%d dead letters are stored, want %d", n, wantDead)
	}
}

// publish sends a message as it is; what is over the claim-check limit goes by
// the client, as any client would have to.
func (b *bundle) publish(subject string, in bad) {
	b.t.Helper()
	var err error
	if len(in.body) > bus.ClaimOver && json.Valid([]byte(in.body)) {
		addr, _ := event.ParseAddress(subject)
		err = b.Submit(b.ctx, addr, "bad", json.RawMessage(in.body))
	} else {
		_, err = b.js.PublishMsg(b.ctx, &nats.Msg{Subject: subject, Header: in.header, Data: []byte(in.body)})
	}
	if err != nil {
		b.t.Fatalf("publishing: %v", err)
	}
}

// checkLetter checks a dead letter: the message as it was, and why.
func checkLetter(t *testing.T, msg *nats.Msg, subject string, in bad) {
	t.Helper()
	room := "router"
	if in.kind == event.KindIngest {
		room = "ingestor"
	}
	if want := event.DeadSubject(room, event.TenantOf(subject)); msg.Subject != want {
		t.Errorf("dead letter on %s, want %s", msg.Subject, want)
	}
	if string(msg.Data) != in.body {
		t.Errorf("dead letter holds %.100q, want the message: %.100q", msg.Data, in.body)
	}
	if class, from := msg.Header.Get(stage.HeaderErrorClass), msg.Header.Get(stage.HeaderSubject); class != string(in.class) || from != subject {
		t.Errorf("dead letter of class %q from %q, want %q from %q", class, from, in.class, subject)
	}
	if text := msg.Header.Get(stage.HeaderError); !strings.HasSuffix(text, ")") {
		t.Errorf("dead letter's error %q: want a hint in parentheses at its end", text)
	}
}

// refusedAtPublish publishes where nobody listens, and what no stream takes.
func refusedAtPublish(b *bundle) {
	good := `{"v":1,"id":"lost",` + hello + `}`
	for _, subject := range []string{
		"weir.jobs.generate.interactive",
		"weir.jobs.generate.interactive." + b.tenant + ".more",
		"weir.jobs.generate.urgent." + b.tenant,
		"weir.jobs.frobnicate.interactive." + b.tenant,
		"weir.job.generate.interactive." + b.tenant,
	} {
		_, err := b.nc.RequestWithContext(b.ctx, subject, []byte(good))
		if !errors.Is(err, nats.ErrNoResponders) {
			b.t.Errorf("publishing to %s: %v, want %v", subject, err, nats.ErrNoResponders)
		}
	}
	for _, addr := range []event.Address{
		{Kind: "frobnicate", Lane: event.LaneBatch, Tenant: b.tenant}, {Kind: event.KindGenerate, Lane: "urgent", Tenant: b.tenant},
		{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: "a.b"}, {Kind: event.KindGenerate, Lane: event.LaneBatch},
	} {
		err := b.Submit(b.ctx, addr, "lost", json.RawMessage(good))
		if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field == "" || e.Hint == "" {
			b.t.Errorf("submitting to %+v: %v, want an invalid field with a hint", addr, err)
		}
	}
	subject := event.Address{Kind: event.KindGenerate, Lane: event.LaneBatch, Tenant: b.tenant}.Subject()
	if _, err := b.js.Publish(b.ctx, subject, bytes.Repeat([]byte("x"), 9<<20)); !errors.Is(err, nats.ErrMaxPayload) {
		b.t.Errorf("publishing 9 MiB: %v, want %v", err, nats.ErrMaxPayload)
	}
	if n := b.stored(bus.StreamJobs, "weir.jobs.*.*."+b.tenant); n != 0 {
		b.t.Errorf("%d refused jobs are stored", n)
	}
}
