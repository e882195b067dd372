package faults

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/ledger"
	"github.com/weir-dev/weir/pkg/llm/guard"
)

// upstream is what the provider calls the catalog's model.
func upstream(model string) string {
	if model == "small" || model == "large" {
		return "sim-" + model
	}
	return model
}

// wholly is what a model without faults answers to a job.
func wholly(t *testing.T, model, id string) string {
	t.Helper()
	cfg := llmsim.DefaultConfig()
	cfg.ChatModels = []string{model}
	calm, err := llmsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]any{"model": model, "messages": []event.Message{{Role: "user", Content: question(id)}}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	calm.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/chat/completions", bytes.NewReader(body)))
	var answer struct {
		Choices []struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || len(answer.Choices) != 1 {
		t.Fatalf("asking a calm provider: %s (%v)", w.Body, err)
	}
	return answer.Choices[0].Message.Content
}

// whole checks that jobs were answered, and wholly. An answer that the provider
// ended as it should, but spoilt, can't be told from a good one.
func (r *rig) whole(results []event.Result) {
	r.t.Helper()
	spoilt := r.spoilt()
	for _, got := range results {
		if got.Status != event.StatusOK {
			r.t.Errorf("job %s failed: %v (%+v)", got.ID, got.Error, got.Receipt.Attempts)
		} else if want := wholly(r.t, upstream(got.Answer.Model), got.ID); got.Answer.Text != want && (!spoilt[got.ID] || got.Answer.Text == "") {
			r.t.Errorf("job %s: answer of %s is %q, want %q", got.ID, got.Answer.Model, got.Answer.Text, want)
		}
	}
}

// spoilt are the jobs whose last answer of the primary was complete, but not what
// it should be.
func (r *rig) spoilt() map[string]bool {
	out := map[string]bool{}
	for _, e := range r.primary.Ledger().Last {
		out[jobOf(e)] = slices.Contains([]string{"invalid", "fenced", "cut", "schema"}, e.Fault)
	}
	return out
}

// calls is how often the primary was called for each job; what it throttled is no
// attempt.
func (r *rig) calls() map[string]int {
	out := map[string]int{}
	for _, e := range r.primary.Ledger().Last {
		if job := jobOf(e); job != "" && e.Status != http.StatusTooManyRequests {
			out[job]++
		}
	}
	return out
}

// jobOf is the job that a call was made for, "" where the provider is not told.
func jobOf(e llmsim.Entry) string {
	_, rest, _ := strings.Cut(e.IdempotencyKey, tenant+".")
	job, _, _ := strings.Cut(rest, ".")
	return job
}

// bounded asks the primary's record whether the rules of retrying were kept.
func (r *rig) bounded(results []event.Result) {
	r.t.Helper()
	calls := r.calls()
	for _, got := range results {
		if n := len(got.Receipt.Attempts); n > guard.DefaultAttempts || calls[got.ID] > n {
			r.t.Errorf("job %s took %d calls, of which the receipt has %d; %d are its bound", got.ID, calls[got.ID], n, guard.DefaultAttempts)
		}
	}
	// The record of one provider can't know of the other that took over.
	elsewhere := float64(len(results) - answeredHere(results))
	most := func(x float64) *float64 { return &x }
	for _, failed := range r.primary.Assert(llmsim.AssertSpec{
		MaxTruncatedAccepted: &elsewhere, MaxForbiddenRetries: most(0), MaxDuplicateUnexplained: most(0),
	}) {
		r.t.Errorf("the provider's record: %s", failed)
	}
}

// answeredHere counts the answers of the primary.
func answeredHere(results []event.Result) int {
	n := 0
	for _, got := range results {
		if got.Status == event.StatusOK && got.Answer.Model != "large" {
			n++
		}
	}
	return n
}

// booked is what the ledger has of each job.
func (r *rig) booked() map[string]ledger.Sum {
	r.t.Helper()
	rows, err := ledger.Ask(r.t.Context(), r.bus, ledger.Query{By: ledger.ByJob, Since: time.Now().Add(-time.Hour), Tenant: tenant})
	if err != nil {
		r.t.Fatal(err)
	}
	booked := map[string]ledger.Sum{}
	for _, row := range rows {
		booked[strings.TrimPrefix(row.Key, tenant+"/")] = row.Sum
	}
	return booked
}

// accounted checks that what the primary was paid for and gave no answer to is in
// the receipts as maybe billed, and that the ledger has the receipts' sums. It
// returns how many calls of the primary may be billed.
func (r *rig) accounted(results []event.Result) int {
	r.t.Helper()
	booked := r.booked()
	ofPrimary := 0
	for _, got := range results {
		maybe := 0
		for _, a := range got.Receipt.Attempts {
			if a.MaybeBilled {
				maybe++
			}
			if a.MaybeBilled && a.Model != "large" {
				ofPrimary++
			}
		}
		if sum := booked[got.ID]; sum.Maybe != int64(maybe) || sum.CostNanoUSD != got.Receipt.CostNanoUSD {
			r.t.Errorf("job %s: the ledger has %+v, the receipt %d calls maybe billed and %d nano-USD", got.ID, sum, maybe, got.Receipt.CostNanoUSD)
		}
	}
	record := r.primary.Ledger()
	if wasted := record.Paid - answeredHere(results); wasted > ofPrimary || record.DuplicatesPaid > ofPrimary {
		r.t.Errorf("%d calls were paid for nothing and %d jobs twice, the receipts have %d", wasted, record.DuplicatesPaid, ofPrimary)
	}
	return ofPrimary
}
