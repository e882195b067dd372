package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

// maxDocument is the largest document the shared systems take, in bytes.
const maxDocument = 2 << 20

// TestJobs runs the cases that share a system, each as a tenant of its own.
func TestJobs(t *testing.T) {
	cases := []struct {
		name string
		run  func(b *bundle)
	}{
		{"answers cite source and section", citedAnswer},
		{"what the documents do not hold is not answered", unanswerable},
		{"an ungrounded question is answered", ungrounded},
		{"a job is plain JSON on a subject", plainJSON},
		{"token pieces joined are the answer", tokenStream},
		{"a changed document replaces the old one", changedDocument},
		{"tenants are walls", tenants},
		{"the batch lane works", batchLane},
		{"one id is one job", sameID},
		{"a big document travels by claim check", bigDocument},
		{"a model calls tools", toolCalls},
		{"texts are embedded", embedTexts},
		{"health is served", health},
		{"bad input is refused with a reason", badInput},
	}
	forModes(t, func(t *testing.T, mode system.Mode) {
		sys := system.Start(t, system.Options{Mode: mode, Env: map[string]string{
			"WEIR_INGESTOR_MAX_DOCUMENT_BYTES": fmt.Sprint(maxDocument)}})
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.run(setup(t, sys))
			})
		}
	})
}

func citedAnswer(b *bundle) {
	stored := b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	if in := stored.Ingested; in == nil || in.Collection != "docs" || in.Chunks < 2 || in.Bytes != len(markdownDoc) || in.Tokens == 0 {
		b.t.Errorf("ingested %+v: want collection docs, chunks, tokens and %d bytes", stored.Ingested, len(markdownDoc))
	}
	b.ingest(document("docs", "notes/coast.txt", textDoc))

	hours := b.ask(question("docs", "When does the harbour office open?"))
	checkCited(b.t, hours, "seven in the morning", "guide/harbour.md", "Harbour handbook", "Opening hours")
	fees := b.ask(question("docs", "How much does a berth cost per night?"))
	checkCited(b.t, fees, "forty euros", "guide/harbour.md", "Harbour handbook", "Fees")
	seals := b.ask(question("docs", "Where do seals rest at low tide?"))
	checkCited(b.t, seals, "sandbank north of the breakwater", "notes/coast.txt")

	if r := seals.Receipt; len(r.Attempts) != 1 || r.PromptTokens == 0 || r.CompletionTokens == 0 || r.TotalMS <= 0 ||
		r.Retrieval == nil || len(r.Retrieval.Sources) == 0 {
		b.t.Errorf("receipt %+v: want one model call, tokens, a total, and what grounded it", r)
	}
}

func unanswerable(b *bundle) {
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	checkUnknown(b.t, b.ask(question("docs", "Who composed the opera Tosca?")))
}

func ungrounded(b *bundle) {
	job := question("", "Good morning, Weir")
	job.RAG = nil
	result := b.ask(job)
	if result.Answer.Text != "You said: Good morning, Weir" || len(result.Answer.Citations) != 0 {
		b.t.Errorf("answer %+v: want the simulator's echo without citations", result.Answer)
	}
}

// plainJSON uses nothing but NATS and JSON, as a client in any language would.
func plainJSON(b *bundle) {
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	results := b.subscribe("weir.results." + b.tenant + ".q-1")
	body := `{"v":1,"id":"q-1","messages":[{"role":"user","content":"When does the harbour office open?"}],` +
		`"rag":{"collection":"docs","top_k":3},"an_unknown_field":true}`
	if err := b.nc.Publish("weir.jobs.generate.interactive."+b.tenant, []byte(body)); err != nil {
		b.t.Fatalf("publishing: %v", err)
	}
	result := decode[struct {
		V      int
		ID     string
		Status string
		Answer struct {
			Text      string
			Citations []struct {
				Number  int
				Source  string
				Section []string
			}
		}
	}](b.t, b.next(results).Data)
	if result.V != 1 || result.ID != "q-1" || result.Status != "ok" || !strings.Contains(result.Answer.Text, "seven in the morning") ||
		len(result.Answer.Citations) == 0 || result.Answer.Citations[0].Source != "guide/harbour.md" {
		b.t.Errorf("result %+v: want q-1 ok with a cited answer", result)
	}
}

func tokenStream(b *bundle) {
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	job := question("docs", "When does the harbour office open?")
	job.ID, job.Stream = "streamed", true
	tokens := b.subscribe(event.TokenSubject(b.tenant, job.ID))
	answer := b.ask(job).Answer.Text
	var pieces strings.Builder
	for {
		token := decode[event.Token](b.t, b.next(tokens).Data)
		if token.Type == event.TokenDone {
			break
		}
		pieces.WriteString(token.Text)
	}
	if pieces.String() != answer {
		b.t.Errorf("pieces joined are %q, the answer is %q", pieces.String(), answer)
	}
	// A late follower is shown the same.
	var shown strings.Builder
	if _, err := b.Follow(b.ctx, b.tenant, job.ID, follower(&shown)); err != nil {
		b.t.Fatalf("following: %v", err)
	}
	if shown.String() != answer {
		b.t.Errorf("a follower is shown %q, the answer is %q", shown.String(), answer)
	}
}

func changedDocument(b *bundle) {
	const kept = "# Club\n\n## Sailing\n\nThe sailing club meets on Tuesday in the boat house.\n"
	b.ingest(document("docs", "club.md", kept+"\n## Keys\n\nThe deposit for a gate key is fifty euros.\n"))
	before := b.ask(question("docs", "How much is the deposit for a gate key?"))
	checkCited(b.t, before, "fifty euros", "club.md", "Club", "Keys")

	b.ingest(document("docs", "club.md", kept))
	checkUnknown(b.t, b.ask(question("docs", "How much is the deposit for a gate key?")))
	checkCited(b.t, b.ask(question("docs", "When does the sailing club meet?")), "Tuesday", "club.md", "Club", "Sailing")
}

func tenants(b *bundle) {
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	other := setup(b.t, b.sys)
	id := other.submit(question("docs", "When does the harbour office open?"))
	other.failed(id, event.ClassInvalid, "rag.collection")
	if _, err := other.Result(other.ctx, b.tenant, id); err == nil {
		b.t.Errorf("the result of tenant %s's job is stored for tenant %s", other.tenant, b.tenant)
	}
	// With a collection of that name of its own, it still sees only that.
	other.ingest(document("docs", "notes/coast.txt", textDoc))
	checkUnknown(b.t, other.ask(question("docs", "When does the harbour office open?")))
	checkCited(b.t, b.ask(question("docs", "When does the harbour office open?")), "seven in the morning",
		"guide/harbour.md", "Harbour handbook", "Opening hours")
}

func batchLane(b *bundle) {
	doc := document("docs", "guide/harbour.md", markdownDoc)
	doc.Lane = event.LaneBatch
	b.ingest(doc)
	job := question("docs", "How much does a berth cost per night?")
	job.Lane = event.LaneBatch
	checkCited(b.t, b.ask(job), "forty euros", "guide/harbour.md", "Harbour handbook", "Fees")
}

// sameID publishes one id again and again, with and without the dedupe header,
// before and after the job is done.
func sameID(b *bundle) {
	results := b.subscribe(event.ResultSubject(b.tenant, "twice"))
	subject := event.Address{Kind: event.KindGenerate, Lane: event.LaneInteractive, Tenant: b.tenant}.Subject()
	body := func(text string) []byte {
		return []byte(`{"v":1,"id":"twice","messages":[{"role":"user","content":"` + text + `"}]}`)
	}
	job := question("", "first")
	job.ID, job.RAG = "twice", nil
	b.submit(job)
	b.submit(job)
	first := b.ok("twice")
	job.Messages[0].Content = "second"
	b.submit(job) // the stream knows the id
	// The stream does not know what comes without the header: the result does.
	if _, err := b.js.Publish(b.ctx, subject, body("third")); err != nil {
		b.t.Fatalf("publishing: %v", err)
	}
	b.settled(subject)
	if again := b.ok("twice"); again.Answer.Text != first.Answer.Text || again.FinishedAt != first.FinishedAt {
		b.t.Errorf("the result became %+v, was %+v", again, first)
	}
	if n := b.stored(bus.StreamResults, event.ResultSubject(b.tenant, "twice")); n != 1 {
		b.t.Errorf("%d results are stored, want 1", n)
	}
	b.next(results)
	select {
	case msg := <-results:
		b.t.Errorf("a second result was delivered: %s", msg.Data)
	default:
	}
}

func bigDocument(b *bundle) {
	text := bigMarkdown(1 << 20)
	stored := b.ingest(document("big", "big.md", text))
	if stored.Ingested.Bytes != len(text) || stored.Ingested.Chunks < 100 {
		b.t.Errorf("ingested %+v: want %d bytes in many chunks", stored.Ingested, len(text))
	}
	checkCited(b.t, b.ask(question("big", "Which password opens the signal cabinet?")), "marmalade", "big.md",
		"Register", "Signal cabinet")
}

// bigMarkdown is a document of about size bytes with one fact in its middle.
func bigMarkdown(size int) string {
	var b strings.Builder
	b.WriteString("# Register\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "\n## Entry %d\n\n", i)
		if b.Len() > size/2 && !strings.Contains(b.String(), "marmalade") {
			b.WriteString("\n## Signal cabinet\n\nThe password that opens the signal cabinet is marmalade.\n\n## More\n\n")
		}
		for j := range 24 {
			fmt.Fprintf(&b, "Vessel %d-%d carried %d crates of cargo to pier %d and left again on day %d. ", i, j, i*j, j%9, i%365)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func health(b *bundle) {
	b.ingest(document("docs", "guide/harbour.md", markdownDoc))
	b.ask(question("docs", "When does the harbour office open?"))
	var metrics strings.Builder
	for name, url := range b.sys.Health {
		for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
			reply, err := proc.Get(url + path)
			if err != nil || reply.Status != http.StatusOK || reply.Body != want {
				b.t.Errorf("%s%s: %+v, %v; want 200 %q", name, path, reply, err, want)
			}
		}
		reply, err := proc.Get(url + "/metrics")
		if err != nil || reply.Status != http.StatusOK {
			b.t.Fatalf("%s/metrics: %d, %v", name, reply.Status, err)
		}
		metrics.WriteString(reply.Body)
	}
	for _, stage := range system.Services() {
		if stage == "generator" {
			stage += "-small" // one for each model
		}
		for _, sample := range []string{
			`weir_stage_handled_total{class="ok",stage="` + stage + `"} `, `weir_stage_in_flight{stage="` + stage + `"} `,
			`weir_stage_duration_seconds_count{stage="` + stage + `"} `, `weir_stage_redeliveries_total{stage="` + stage + `"} `,
		} {
			if !strings.Contains(metrics.String(), "\n"+sample) {
				b.t.Errorf("metrics lack %s", sample)
			}
		}
	}
	for _, sample := range []string{
		`weir_stage_backlog{consumer="router-interactive",stage="router"} `,
		`weir_stage_backlog{consumer="router-batch",stage="router"} `,
		`weir_generator_tokens_total{kind="completion"} `, "weir_ingestor_chunks_total ", "weir_embedder_tokens_total ",
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(metrics.String(), "\n"+sample) {
			b.t.Errorf("metrics lack %s", sample)
		}
	}
}
