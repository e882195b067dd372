package documents

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/event"
)

// caching is a policies file under which answers are kept.
const caching = `version: 1
reference: large
audit: {rate: 0}
tasks:
  - {task: default, chain: [small], cache: {exact: 1h, semantic: true, audit: 0.000001}}
`

// withCache runs a Weir that keeps answers.
func withCache(t *testing.T) *rig {
	t.Helper()
	file := filepath.Join(t.TempDir(), "policies.yaml")
	if err := os.WriteFile(file, []byte(caching), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, func(cfg *up.Config) { cfg.Process.Policies = file })
}

// answer is what a tenant's reader is told.
func (r *rig) answer(tenant, question string, readers ...string) event.Result {
	r.t.Helper()
	id, err := r.client.Generate(r.ctx, tenant, event.GenerateJob{
		Messages: []event.Message{{Role: "user", Content: question}}, RAG: &event.RAG{Collection: "notes", Readers: readers}})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.result(tenant, id)
}

// known is the kind of hit, "" when a model answered.
func known(got event.Result) string {
	if got.Receipt.Cache == nil {
		return ""
	}
	return got.Receipt.Cache.Kind
}

// TestAnswersEndWithTheirSources: an answer is given again, to the same question and
// to one in other words, until a document that it cites changes, and to nobody who
// may not read that.
func TestAnswersEndWithTheirSources(t *testing.T) {
	t.Parallel()
	r := withCache(t)
	closing := func(hour string) event.Document {
		return event.Document{ID: "hours", Text: "The warehouse in Bremen closes at " + hour + " on Fridays.", ACL: []string{"staff"}}
	}
	r.ingest("acme", "notes", closing("18:00"))
	const question, reworded = "When does the warehouse in Bremen close on Fridays?", "On Fridays, when does the warehouse in Bremen close?"
	for _, step := range []struct{ question, kind string }{{question, ""}, {question, "exact"}, {reworded, "semantic"}} {
		if got := r.answer("acme", step.question, "staff"); known(got) != step.kind || !strings.Contains(got.Answer.Text, "18:00") {
			t.Errorf("%s: %q by %q, want 18:00 by %q", step.question, got.Answer.Text, known(got), step.kind)
		}
	}
	if got := r.answer("acme", question, "guest"); known(got) != "" || strings.Contains(got.Answer.Text, "18:00") {
		t.Errorf("a guest is told %q by %q", got.Answer.Text, known(got))
	}
	r.ingest("acme", "notes", closing("16:00"))
	for _, q := range []string{question, reworded} {
		if got := r.answer("acme", q, "staff"); strings.Contains(got.Answer.Text, "18:00") || !strings.Contains(got.Answer.Text, "16:00") {
			t.Errorf("%s: %q by %q after the update, want 16:00", q, got.Answer.Text, known(got))
		}
	}
}

// TestNoAnswerCrossesATenant: whoever asks what, an answer that was known is of the
// tenant's own job, and says what the tenant's own document says.
func TestNoAnswerCrossesATenant(t *testing.T) {
	t.Parallel()
	r := withCache(t)
	random := rand.New(rand.NewPCG(3, 5))
	things := []string{"printer", "boiler", "gate", "server", "heater"}
	for _, tenant := range tenants {
		for i, thing := range things {
			r.ingest(tenant, "notes", event.Document{ID: thing, Text: fmt.Sprintf("The keeper of the %s in room %d is keeper-%s.", thing, 10+i, tenant)})
		}
	}
	ours := map[string]string{} // job: tenant
	hits := map[string]int{}
	for range 200 {
		tenant, i := tenants[random.IntN(len(tenants))], random.IntN(len(things))
		form := []string{"Who is the keeper of the %s in room %d?", "In room %[2]d, who is the keeper of the %[1]s?"}[random.IntN(2)]
		got := r.answer(tenant, fmt.Sprintf(form, things[i], 10+i))
		ours[got.ID] = tenant
		if c := got.Receipt.Cache; c != nil {
			if hits[c.Kind]++; ours[c.Job] != tenant {
				t.Errorf("tenant %s has the answer of %s, a job of %q", tenant, c.Job, ours[c.Job])
			}
		}
		if !strings.Contains(got.Answer.Text, "keeper-"+tenant) {
			t.Errorf("tenant %s is told %q", tenant, got.Answer.Text)
		}
	}
	t.Logf("hits by kind: %v", hits)
	if hits["exact"] < 50 || hits["semantic"] == 0 {
		t.Errorf("%v hits: the test shows nothing", hits)
	}
}
