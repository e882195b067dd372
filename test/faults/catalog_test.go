package faults

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

// TestCatalogEdits: a wrong one is refused and the old one stays, a right one is
// taken while jobs run.
func TestCatalogEdits(t *testing.T) {
	t.Parallel()
	r := start(t, options{})
	good, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	r.edit(strings.Replace(string(good), "fallback: [large]", "fallback: [nobody]", 1))
	r.until("the edit is refused", func() bool { return r.models.Err() != nil })
	old := r.await(r.submit("old", 5))
	r.whole(old)
	r.edit(string(good))
	r.until("the edit is undone", func() bool { return r.models.Err() == nil })
	r.change("input: 150, output: 600", "input: 300, output: 1200")
	fresh := r.await(r.submit("new", 1))
	r.whole(fresh)
	before, after := old[0].Receipt, fresh[0].Receipt
	if before.CostNanoUSD == 0 || after.CostNanoUSD < 3*before.CostNanoUSD/2 || before.Attempts[0].Catalog == after.Attempts[0].Catalog {
		t.Errorf("receipts %+v and %+v, want the prices and the revision to differ", before, after)
	}
}

// TestLimitIsRaised: jobs that wait for a limit have the new one.
func TestLimitIsRaised(t *testing.T) {
	t.Parallel()
	r := start(t, options{catalog: func(s string) string { return strings.Replace(s, "rpm: 60000", "rpm: 60", 1) }})
	ids := r.submit("q", 60) // a minute's work
	r.until("a call is made", func() bool { return r.primary.Requests() > 0 })
	r.change("rpm: 60,", "rpm: 60000,")
	began := time.Now()
	r.whole(r.await(ids))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("after the limit was raised the jobs took %s", took)
	} else {
		t.Logf("after the limit was raised the jobs took %s", took)
	}
}

// budget gives the tenant one.
func budget(terms string) func(string) string {
	return func(s string) string {
		return s + "tenants: [{id: " + tenant + ", budget: {period: day, " + terms + "}}]\n"
	}
}

// TestTenantBudgets: a hard one fails jobs or holds them until it is raised, a soft
// one says so.
func TestTenantBudgets(t *testing.T) {
	t.Parallel()
	t.Run("fail", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{catalog: budget(`usd: "0.000000001", policy: fail`)})
		for _, got := range r.await(r.submit("q", 5)) {
			if got.Status != event.StatusFailed || got.Error.Class != event.ClassQuota {
				t.Errorf("job %s: %s, %+v", got.ID, got.Status, got.Error)
			}
		}
		if n := r.primary.Requests() + r.other.Requests(); n != 0 {
			t.Errorf("%d calls were made", n)
		}
	})
	t.Run("wait", func(t *testing.T) {
		t.Parallel()
		// About 0.65 thousandths of a dollar may be taken by each call.
		r := start(t, options{catalog: budget(`usd: "0.001", policy: wait`)})
		ids := r.submit("q", 30)
		pass(t, 3*time.Second)
		if n := r.primary.Requests() + r.other.Requests(); n >= len(ids) {
			t.Fatal("the budget held nobody")
		}
		r.change(`"0.001"`, `"10"`)
		r.whole(r.await(ids))
	})
	t.Run("soft", func(t *testing.T) {
		t.Parallel()
		r := start(t, options{catalog: budget(`usd: "0.00001", soft: true`)})
		alert := r.events(event.LifeBudget)
		r.whole(r.await(r.submit("q", 10)))
		select {
		case got := <-alert:
			if !strings.Contains(got.Detail, tenant) {
				t.Errorf("alert %+v, want it to name the tenant", got)
			}
		case <-time.After(patience):
			t.Error("no alert")
		}
	})
}
