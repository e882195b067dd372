package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/services/gateway/internal/batch"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}]}
  - {id: vec, provider: sim, upstream: v, mode: embedding, dimensions: 2, price: [{input: 1}]}
tenants:
  - {id: bounded, queue: 3}
  - {id: interactive, lanes: [interactive]}
  - {id: narrow, models: [small], tasks: [faq], collections: [docs]}
`

// fixed is a catalog that never changes.
type fixed struct{ c *catalog.Catalog }

func (f fixed) Current() *catalog.Catalog { return f.c }

// rig is the batch service on a NATS server of its own, with a pipeline that answers
// jobs. Any failure ends the test.
type rig struct {
	*stagetest.Kit
	catalog fixed
	url     string
	// stop stops the running service; see restart.
	stop func()
	// handled counts the jobs that the pipeline worked on.
	handled atomic.Int64
	// hold, when set, has the pipeline wait until it is closed.
	hold atomic.Pointer[chan struct{}]
}

const window = 100

func setup(t *testing.T) *rig {
	t.Helper()
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Kit: stagetest.New(t), catalog: fixed{c}}
	r.start()
	return r
}

// start runs a gateway's part of batches.
func (r *rig) start() {
	r.T.Helper()
	p := platform.Platform{NATS: r.Bus.Conn()}.WithDefaults()
	in := intake.New(intake.Config{Bus: r.Bus, Catalog: r.catalog, Now: time.Now})
	s, err := batch.New(p, batch.Config{Bus: r.Bus, Catalog: r.catalog, Intake: in, Jobs: r.Client, MaxBodyBytes: 1 << 20, MaxFileBytes: 20 << 20,
		Slots: 4, TenantSlots: 4, Window: window, Dir: r.T.TempDir(), Every: 10 * time.Millisecond})
	if err != nil {
		r.T.Fatal(err)
	}
	mux := web.NewMux(tenant.Open{})
	s.Routes(mux)
	server := httptest.NewServer(web.Edge(mux, web.EdgeConfig{Logger: p.Logger, Registerer: p.Registerer, Now: time.Now}))
	stop := r.Start(s)
	r.url, r.stop = server.URL, sync.OnceFunc(func() { stop(); server.Close() })
	r.T.Cleanup(r.stop)
}

// restart stops the running service as it is, and starts another one.
func (r *rig) restart() {
	r.T.Helper()
	r.stop()
	r.start()
}

// pipeline answers generate and embed jobs of the batch lane until the test ends.
func (r *rig) pipeline(slots int) {
	r.T.Helper()
	for _, kind := range []event.Kind{event.KindGenerate, event.KindEmbed} {
		runner, err := stage.New(stage.Config{Name: "test", Sources: []stage.Source{{
			Consumer: bus.JobConsumer("test-"+string(kind), kind, event.LaneBatch, 100_000), Slots: slots}}, DrainTimeout: time.Millisecond},
			r.Bus, stage.HandlerFunc(r.answer), platform.Platform{})
		if err != nil {
			r.T.Fatal(err)
		}
		r.Start(runner)
	}
}

// answer echoes the question; "fail" fails.
func (r *rig) answer(ctx context.Context, in *bus.Message) ([]bus.Out, error) {
	if hold := r.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	r.handled.Add(1)
	kind := event.KindOf(in.Subject)
	if strings.HasPrefix(in.Subject, "weir.jobs.embed.") {
		job, err := event.DecodeEmbedJob(in.Subject, in.Data)
		if err != nil {
			return nil, err
		}
		result := job.ResultOf(kind, time.Now())
		result.Embedded = &event.Embedded{Model: "vec", Dimensions: 2, Tokens: 3, Vectors: [][]byte{{0, 0, 128, 63, 0, 0, 0, 64}}}
		out, err := stage.ResultOut(result)
		return []bus.Out{out}, err
	}
	job, err := event.DecodeGenerateJob(in.Subject, in.Data)
	if err != nil {
		return nil, err
	}
	question := job.Messages[len(job.Messages)-1].Content
	if question == "fail" {
		return nil, event.Errorf(event.ClassContent, "the filter said no")
	}
	result := job.ResultOf(kind, time.Now())
	result.Answer = &event.Answer{Text: "re: " + question, FinishReason: "stop", Model: "small"}
	result.Receipt = event.Receipt{PromptTokens: 2, CompletionTokens: 3, CostNanoUSD: 5}
	out, err := stage.ResultOut(result)
	return []bus.Out{out}, err
}

// reply is the answer to a call.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// call is a request of a tenant, of acme when it is "". More of its header is in pairs.
func (r *rig) call(as, method, path, contentType string, body io.Reader, header ...string) reply {
	r.T.Helper()
	req, err := http.NewRequestWithContext(r.T.Context(), method, r.url+path, body)
	if err != nil {
		r.T.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if as == "" {
		as = stagetest.Tenant
	}
	req.Header.Set("Weir-Tenant", as)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.T.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.T.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, data}
}

// form is an upload: fields in pairs, of which "file" is a file.
func form(t *testing.T, fields ...string) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for i := 0; i+1 < len(fields); i += 2 {
		var part io.Writer
		var err error
		if fields[i] == "file" {
			part, err = w.CreateFormFile("file", "in.jsonl")
		} else {
			part, err = w.CreateFormField(fields[i])
		}
		if err == nil {
			_, err = io.WriteString(part, fields[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), body
}

// upload stores a file of a tenant and returns its id.
func (r *rig) upload(as, content string) string {
	r.T.Helper()
	contentType, body := form(r.T, "purpose", "batch", "file", content)
	out := r.call(as, http.MethodPost, "/v1/files", contentType, body)
	if out.status != http.StatusOK {
		r.T.Fatalf("uploading: got %d %s", out.status, out.body)
	}
	return decode[struct{ ID string }](r.T, out.body).ID
}

// object is a batch as the API shows it.
type object struct {
	ID, Object, Endpoint, Status string
	InputFileID                  string                                 `json:"input_file_id"`
	CompletionWindow             string                                 `json:"completion_window"`
	OutputFileID                 string                                 `json:"output_file_id"`
	ErrorFileID                  string                                 `json:"error_file_id"`
	InProgressAt                 int64                                  `json:"in_progress_at"`
	FinalizingAt                 int64                                  `json:"finalizing_at"`
	CompletedAt                  int64                                  `json:"completed_at"`
	FailedAt                     int64                                  `json:"failed_at"`
	ExpiredAt                    int64                                  `json:"expired_at"`
	CancelledAt                  int64                                  `json:"cancelled_at"`
	RequestCounts                struct{ Total, Completed, Failed int } `json:"request_counts"`
	Metadata                     map[string]string
	Errors                       *struct {
		Data []struct {
			Code, Message, Param string
			Line                 int
		}
	}
	Weir struct {
		PromptTokens int   `json:"prompt_tokens"`
		CostNanoUSD  int64 `json:"cost_nano_usd"`
	}
}

// create submits a batch of a tenant.
func (r *rig) create(as, file, more string) object {
	r.T.Helper()
	body := fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"%s}`, file, more)
	out := r.call(as, http.MethodPost, "/v1/batches", "application/json", strings.NewReader(body))
	if out.status != http.StatusOK {
		r.T.Fatalf("creating a batch: got %d %s", out.status, out.body)
	}
	return decode[object](r.T, out.body)
}

func (r *rig) show(as, id string) object {
	r.T.Helper()
	out := r.call(as, http.MethodGet, "/v1/batches/"+id, "", nil)
	if out.status != http.StatusOK {
		r.T.Fatalf("batch %s: got %d %s", id, out.status, out.body)
	}
	return decode[object](r.T, out.body)
}

// ended waits until a batch has a status that is an end, and wants that one.
func (r *rig) ended(as, id, status string) object {
	r.T.Helper()
	var o object
	r.eventually(func() string {
		o = r.show(as, id)
		switch o.Status {
		case "completed", "failed", "expired", "cancelled":
			return ""
		}
		return fmt.Sprintf("the batch is %s: %+v", o.Status, o.RequestCounts)
	})
	if o.Status != status {
		r.T.Fatalf("got %+v, want the status %s", o, status)
	}
	return o
}

// row is a line of an output or error file.
type row struct {
	ID       string
	CustomID string `json:"custom_id"`
	Response *struct {
		StatusCode int    `json:"status_code"`
		RequestID  string `json:"request_id"`
		Body       json.RawMessage
	}
	Error *struct{ Code, Message string }
}

// rows reads a file of a batch; none is no rows.
func (r *rig) rows(as, file string) []row {
	r.T.Helper()
	if file == "" {
		return nil
	}
	out := r.call(as, http.MethodGet, "/v1/files/"+file+"/content", "", nil)
	if out.status != http.StatusOK {
		r.T.Fatalf("file %s: got %d %s", file, out.status, out.body)
	}
	var rows []row
	for l := range bytes.Lines(out.body) {
		rows = append(rows, decode[row](r.T, l))
	}
	return rows
}

// chatLine is a line that asks a question.
func chatLine(custom, question string) string {
	return fmt.Sprintf(`{"custom_id":%q,"method":"POST","url":"/v1/chat/completions","body":{"model":"small","messages":[{"role":"user","content":%q}]}}`, custom, question) + "\n"
}

func chatLines(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(chatLine(fmt.Sprintf("c%d", i), fmt.Sprintf("q%d", i)))
	}
	return b.String()
}

// wantRows checks that a batch of chatLines was answered, in order.
func (r *rig) wantRows(as string, o object, n int) {
	r.T.Helper()
	rows := r.rows(as, o.OutputFileID)
	if len(rows) != n || o.RequestCounts.Completed != n || o.RequestCounts.Failed != 0 || o.ErrorFileID != "" {
		r.T.Fatalf("got %d rows, %+v, want %d", len(rows), o, n)
	}
	for i, row := range rows {
		if want := fmt.Sprintf("c%d", i); row.CustomID != want || !bytes.Contains(row.Response.Body, fmt.Appendf(nil, `"re: q%d"`, i)) {
			r.T.Fatalf("row %d is %s %s", i, row.CustomID, row.Response.Body)
		}
	}
}

// queued is how many generate jobs a tenant has in its queue.
func (r *rig) queued(as string) uint64 {
	r.T.Helper()
	stream, err := r.Bus.JetStream().Stream(r.T.Context(), bus.StreamJobs)
	if err != nil {
		r.T.Fatal(err)
	}
	tenants, err := bus.JobConsumer("test", event.KindGenerate, event.LaneBatch, 1).Tenants(r.T.Context(), stream)
	if err != nil {
		r.T.Fatal(err)
	}
	return tenants[as]
}

func (r *rig) eventually(f func() string) {
	r.T.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	missing := f()
	for deadline := time.Now().Add(stagetest.Patience); missing != ""; missing = f() {
		if time.Now().After(deadline) {
			r.T.Fatal(missing)
		}
		<-tick.C
	}
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}
