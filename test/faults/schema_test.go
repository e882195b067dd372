package faults

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm/guard"
	"github.com/weir-dev/weir/pkg/schema"
)

// orderSchema is what the jobs want.
const orderSchema = `{"type":"object","additionalProperties":false,"required":["answer","quantity","unit","tags"],"properties":{
  "answer":{"type":"string","minLength":1},
  "quantity":{"type":"integer","minimum":0,"maximum":1000},
  "unit":{"enum":["piece","box"]},
  "tags":{"type":"array","items":{"type":"string"},"maxItems":4}}}`

// formPolicies escalate what small can't get right.
const formPolicies = `version: 1
reference: large
audit: {rate: 0}
tasks:
  - {task: form, chain: [small, large], accept: {tau: 0}}
`

// schemaJobs is how many jobs are bound by the schema.
const schemaJobs = 5000

// TestSchemaBound: under a provider that spoils a third of its JSON, every answer
// that is given is valid, those that are not say why, none hangs, and none takes more
// calls than it may.
func TestSchemaBound(t *testing.T) {
	t.Parallel()
	withSchema := func(text string) string {
		return strings.ReplaceAll(text, "mode: chat,", "mode: chat, supports: {json_schema: strict, tools: true},")
	}
	r := start(t, options{faults: llmsim.Faults{Preset: "bad-json"}, policies: formPolicies, catalog: withSchema,
		sim: func(c *llmsim.Config) { c.LedgerSize = 4 * schemaJobs }})
	ids := make([]string, schemaJobs)
	for i := range ids {
		job := event.GenerateJob{Envelope: event.Envelope{ID: fmt.Sprint("s", i)}, Schema: json.RawMessage(orderSchema)}
		switch i % 3 {
		case 0:
			job.Model = "small" // no other one may mend it
		case 1:
			job.Task, job.MaxAttempts = "form", 2
		default:
			job.Task = "form"
		}
		ids[i] = r.publish(job)
	}
	want, err := schema.Compile(json.RawMessage(orderSchema))
	if err != nil {
		t.Fatal(err)
	}
	failed, repaired, escalated := 0, 0, 0
	for i, got := range r.await(ids) {
		most := guard.DefaultAttempts
		if i%3 == 1 {
			most = 2
		}
		if n := got.Receipt.Calls(); n < 1 || n > most {
			t.Errorf("job %s made %d calls, %d are its bound", got.ID, n, most)
		}
		for _, a := range got.Receipt.Attempts {
			if a.For == event.ForRepair {
				repaired++
			}
		}
		switch {
		case got.Status == event.StatusOK:
			if value, wrong := want.Check(got.Answer.Text); len(wrong) > 0 || string(value) != got.Answer.Text {
				t.Errorf("job %s: answer %q: %v", got.ID, got.Answer.Text, wrong)
			}
			if got.Answer.Model == "large" {
				escalated++
			}
		case got.Error.Class != event.ClassRejected || len(got.Error.Violations) == 0:
			t.Errorf("job %s: %v, want the violations", got.ID, got.Error)
		default:
			failed++
			if i%3 == 2 {
				t.Errorf("job %s failed, though large answers rightly: %v", got.ID, got.Error)
			}
		}
	}
	t.Logf("%d jobs: %d failed with violations, %d repairs, %d answered by large", len(ids), failed, repaired, escalated)
	if failed == 0 || repaired == 0 || escalated == 0 {
		t.Error("nothing was spoilt: the test shows nothing")
	}
}
