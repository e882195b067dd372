package quotes

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/proc"
)

// slow is a catalog in which work waits.
const slow = `version: 1
providers:
  - {id: sim, base_url: %q, dialect: sim}
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}]}
  - {id: large, provider: sim, upstream: sim-large, mode: chat, price: [{input: 2500, output: 10000}]}
  - {id: alone, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}], limits: {rpm: 10}}
  - {id: shared, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}], limits: {rpm: 20}}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 1024, stand_in: true, price: [{input: 20}]}
tenants:
  - {id: acme}
  - {id: globex, share: 9}
  - {id: poor, budget: {usd: "0.0001", period: month}}
`

// TestWhyOfAFleet: of jobs that wait in a whole Weir, what is said to hold them is what
// does, and a quote says the same of one that is not submitted yet.
func TestWhyOfAFleet(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	sim, err := llmsim.New(llmsim.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() { sim.Run(ctx) }) //nolint:errcheck // the test is over
	<-sim.Ready()
	r, err := start(ctx, &running, Config{Dir: t.TempDir(), QdrantAddr: proc.FreeAddr(t)}, fmt.Sprintf(slow, sim.URL()))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, tenant, model string
		before              map[string]int // jobs by tenant
		cause               event.WaitCause
		of                  string
	}{
		{"a limit", "acme", "alone", map[string]int{"acme": 25}, event.WaitLimit, "sim.alone rpm"},
		{"others' share", "acme", "shared", map[string]int{"globex": 100, "acme": 4}, event.WaitShare, "others"},
		{"a budget", "poor", "small", map[string]int{"poor": 40}, event.WaitBudget, "poor"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for tenant, n := range tc.before {
				for i := range n {
					r.submit(ctx, t, tenant, tc.model, fmt.Sprint("What is asked number ", i, "?"))
				}
			}
			r.quoted(ctx, t, tc.tenant, tc.model, tc.cause, tc.of)
			r.holds(ctx, t, tc.tenant, r.submit(ctx, t, tc.tenant, tc.model, "And one more?"), tc.cause, tc.of)
		})
	}
}

func question(tenant, model, text string) job {
	return job{tenant: tenant, GenerateJob: event.GenerateJob{Envelope: event.Envelope{V: event.Version}, Model: model, MaxTokens: 50,
		Messages: []event.Message{{Role: "user", Content: text}}}}
}

// submit submits a job and returns its id.
func (r *rig) submit(ctx context.Context, t *testing.T, tenant, model, text string) string {
	t.Helper()
	var accepted struct {
		ID string `json:"id"`
	}
	j := question(tenant, model, text)
	if err := r.call(ctx, http.MethodPost, "/v1/jobs", &j, &accepted); err != nil {
		t.Fatal(err)
	}
	return accepted.ID
}

// reason is what is said to hold a job.
type reason struct {
	Cause event.WaitCause `json:"cause"`
	Name  string          `json:"name"`
	Text  string          `json:"text"`
}

// holds waits until a job is said to be held by a cause and name.
func (r *rig) holds(ctx context.Context, t *testing.T, tenant, id string, cause event.WaitCause, name string) {
	t.Helper()
	r.eventually(t, cause, name, func() (*reason, error) {
		j, got := question(tenant, "", ""), struct {
			Why *reason `json:"why"`
		}{}
		err := r.call(ctx, http.MethodGet, "/v1/jobs/"+id, &j, &got)
		return got.Why, err
	})
}

// quoted waits until a job that is not submitted is said to be held by them.
func (r *rig) quoted(ctx context.Context, t *testing.T, tenant, model string, cause event.WaitCause, name string) {
	t.Helper()
	r.eventually(t, cause, name, func() (*reason, error) {
		j, got := question(tenant, model, "And one more?"), struct {
			Binding *reason `json:"binding"`
		}{}
		err := r.call(ctx, http.MethodPost, "/v1/jobs?dry_run=true", &j, &got)
		return got.Binding, err
	})
}

func (r *rig) eventually(t *testing.T, cause event.WaitCause, name string, ask func() (*reason, error)) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var got *reason
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		var err error
		if got, err = ask(); err != nil {
			t.Fatal(err)
		}
		if got != nil && got.Cause == cause && got.Name == name && got.Text != "" {
			t.Log(got.Text)
			return
		}
	}
	t.Fatalf("held by %+v, want %s %s", got, cause, name)
}
