package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// text is the catalog of the tests: acme may do everything; the others have their bounds.
const text = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models:
  - {id: small, provider: sim, upstream: s, mode: chat, price: [{input: 1, output: 1}]}
  - {id: large, provider: sim, upstream: l, mode: chat, price: [{input: 1, output: 1}]}
  - {id: embed, provider: sim, upstream: e, mode: embedding, dimensions: 8, price: [{input: 1}]}
tenants:
  - {id: narrow, lanes: [batch], models: [small], collections: [docs]}
  - {id: slow, rate: {per_second: 0.5, burst: 2}}
  - {id: bounded, queue: 3}
`

// fixed is a catalog that never changes.
type fixed struct{ c *catalog.Catalog }

func (f fixed) Current() *catalog.Catalog { return f.c }

// rig is a gateway on a NATS server of its own. Any failure ends the test.
type rig struct {
	*stagetest.Kit
	s   *Service
	url string
}

func setup(t *testing.T) *rig {
	t.Helper()
	r := &rig{Kit: stagetest.New(t)}
	r.s, r.url = r.gateway()
	return r
}

// gateway starts another one on the same server.
func (r *rig) gateway() (*Service, string) {
	r.T.Helper()
	c, err := catalog.Parse([]byte(text), time.Now())
	if err != nil {
		r.T.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Addr, cfg.DrainTimeout, cfg.MaxBodyBytes, cfg.HeaderTimeout = "127.0.0.1:0", time.Second, 4<<20, 2*time.Second
	s, err := New(platform.Platform{NATS: r.Bus.Conn()}, cfg, Ports{Catalog: fixed{c}})
	if err != nil {
		r.T.Fatal(err)
	}
	r.Start(s)
	return s, "http://" + s.Addr()
}

// call is a request. Its header is in pairs.
type call struct {
	method, path, body string
	tenant             string // acme when ""
	header             []string
}

// reply is the answer to a call.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do makes a call to a gateway.
func (r *rig) do(url string, c call) reply {
	r.T.Helper()
	out, err := send(r.T.Context(), url, c)
	if err != nil {
		r.T.Fatal(err)
	}
	return out
}

func send(ctx context.Context, url string, c call) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, c.method, url+c.path, strings.NewReader(c.body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Weir-Tenant", stagetest.Tenant)
	if c.tenant != "" {
		req.Header.Set("Weir-Tenant", c.tenant)
	}
	for i := 0; i+1 < len(c.header); i += 2 {
		req.Header.Set(c.header[i], c.header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	body, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, body}, err
}

// ask makes a call to the rig's gateway that must be answered with a status, and
// decodes the answer.
func ask[T any](r *rig, status int, c call) T {
	r.T.Helper()
	out := r.do(r.url, c)
	if out.status != status {
		r.T.Fatalf("%s %s: got %d %s, want %d", c.method, c.path, out.status, out.body, status)
	}
	var value T
	if err := json.Unmarshal(out.body, &value); err != nil {
		r.T.Fatalf("%s %s: %v in %s", c.method, c.path, err, out.body)
	}
	return value
}

// refused is the body of an error.
type refused struct {
	Type, Title, Detail, Code, Field, Hint string
	Status                                 int
}

const question = `{"messages":[{"role":"user","content":"What is a stage?"}]}`

// submitted takes in a job by its id.
func (r *rig) submitted(id string) {
	r.T.Helper()
	ask[job](r, http.StatusAccepted, call{method: "POST", path: "/v1/jobs", body: question, header: []string{"Idempotency-Key", id}})
}

// stored is how many messages a stream holds.
func (r *rig) stored(stream string) uint64 {
	r.T.Helper()
	s, err := r.Bus.JetStream().Stream(r.T.Context(), stream)
	if err != nil {
		r.T.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// publish stores messages.
func (r *rig) publish(outs ...bus.Out) {
	r.T.Helper()
	if err := r.Bus.Publish(r.T.Context(), outs...); err != nil {
		r.T.Fatal(err)
	}
}

// finish stores the result of a job.
func (r *rig) finish(id string, status event.Status) {
	r.T.Helper()
	result := event.Result{V: 1, ID: id, Tenant: stagetest.Tenant, Kind: event.KindGenerate, Status: status, FinishedAt: time.Now().UTC()}
	if status == event.StatusOK {
		result.Answer = &event.Answer{Text: "A function.", Model: "small", FinishReason: "stop"}
	} else {
		result.Error = event.Invalid("model", "use another", "there is none")
	}
	out, err := stage.ResultOut(result)
	if err != nil {
		r.T.Fatal(err)
	}
	r.publish(out)
}

// life stores an event in the life of a job.
func (r *rig) life(id string, life event.Life) {
	r.T.Helper()
	out := stage.LifeOut(stagetest.Tenant, id, time.Now(), life)
	out.View = false
	r.publish(out)
}

func compact(data []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, data) != nil {
		return string(data)
	}
	return out.String()
}

// eventually waits until f reports "", what is missing otherwise.
func eventually(t *testing.T, f func() string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	missing := f()
	for deadline := time.Now().Add(stagetest.Patience); missing != ""; missing = f() {
		if time.Now().After(deadline) {
			t.Fatal(missing)
		}
		<-tick.C
	}
}
