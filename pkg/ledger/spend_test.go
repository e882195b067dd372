package ledger

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
)

func follow(t testing.TB, b *bus.Bus, budget func(string, time.Time) (Budget, bool)) *Spend {
	t.Helper()
	s, err := NewSpend(SpendConfig{Bus: b, Budget: budget})
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	select {
	case <-s.Ready():
	case <-time.After(patience):
		t.Fatal("not ready")
	}
	return s
}

// around is a window that has now in it, whatever happens at midnight.
func around() (start, end time.Time) {
	now := time.Now().UTC().Truncate(24 * time.Hour)
	return now.AddDate(0, 0, -1), now.AddDate(0, 0, 2)
}

// pay records n calls of 70 nano-USD by tenant.
func pay(t testing.TB, l *Ledger, tenant, job string, n int) {
	t.Helper()
	for i := range n {
		in := intent(1)
		in.Tenant, in.Job = tenant, fmt.Sprint(job, i)
		record(t, l, answered(begin(t, l, in), "Yes."))
	}
}

// TestSpendFollows: lines are in every process's sums a moment after they are
// stored, those from before its start and those after a restart of the server.
func TestSpendFollows(t *testing.T) {
	t.Parallel()
	l, b, server := setup(t)
	pay(t, l, "acme", "a", 10)
	run(t, projector(t, b, "p"))
	start, end := around()
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first lines are in", func() bool { n, err := readMark(t.Context(), kv, keyCheckpoint); return err == nil && n == 10 })
	s := follow(t, server.Bus(), nil)
	if got := s.Spent("acme", start, end); got != 700 {
		t.Errorf("spent %d when ready, want 700", got)
	}
	pay(t, l, "acme", "b", 5)
	stored := time.Now()
	eventually(t, "1050 spent", func() bool { return s.Spent("acme", start, end) == 1050 })
	if took := time.Since(stored); took > 10*flushEvery {
		t.Errorf("it took %s", took)
	}
	server.Restart()
	eventually(t, "the server is back", func() bool { _, err := b.KeyValue(t.Context(), bus.BucketSpend); return err == nil })
	pay(t, l, "zeta", "c", 3)
	stored = time.Now()
	eventually(t, "210 spent", func() bool { return s.Spent("zeta", start, end) == 210 })
	if took := time.Since(stored); took > 10*flushEvery {
		t.Errorf("after the restart it took %s", took)
	}
	if a, none := s.Spent("acme", start, end), s.Spent("acme", start.AddDate(0, 0, -9), start); a != 1050 || none != 0 {
		t.Errorf("acme spent %d and %d last week, want 1050 and 0", a, none)
	}
}

// TestForgetBefore: what lies before last month is dropped and not asked for.
func TestForgetBefore(t *testing.T) {
	t.Parallel()
	s := knows(t, 1)
	for d, cost := range map[string]int64{"2026-10-01": 1, "2026-09-30": 2} {
		s.days["acme"][d] = cost
		s.costs[d+".acme.small"] = cost
	}
	filters := s.forgetBefore(noon())
	if first, last := filters[0], filters[len(filters)-1]; first != "2026-10-01.>" || last != "2026-11-27.>" || len(filters) != 58 {
		t.Errorf("%d filters from %s to %s", len(filters), first, last)
	}
	if _, there := s.days["acme"]["2026-09-30"]; there || len(s.costs) != 1 || s.days["acme"]["2026-10-01"] != 1 {
		t.Errorf("left: %v, %v", s.days, s.costs)
	}
	if filters := s.forgetBefore(time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)); filters[0] != "2026-12-01.>" {
		t.Errorf("in January from %s", filters[0])
	}
}

// TestAlerts: one for each part of the budget, whatever the number of processes
// and of their starts.
func TestAlerts(t *testing.T) {
	t.Parallel()
	l, b, server := setup(t)
	start, end := around()
	budget := func(tenant string, _ time.Time) (Budget, bool) {
		return Budget{NanoUSD: 1000, Start: start, End: end, AlertAt: 0.8, Soft: true}, tenant == "acme"
	}
	var mu sync.Mutex
	var alerts []event.Life
	subject := event.LifeSubject("acme", "budget-"+day(start))
	_, err := server.Connect().Subscribe("weir.events.>", func(msg *nats.Msg) {
		var life event.Life
		if err := json.Unmarshal(msg.Data, &life); err != nil || msg.Subject != subject {
			t.Errorf("event on %s: %s", msg.Subject, msg.Data)
		}
		mu.Lock()
		defer mu.Unlock()
		alerts = append(alerts, life)
	})
	if err != nil {
		t.Fatal(err)
	}
	stored := func() int {
		stream, err := b.JetStream().Stream(t.Context(), bus.StreamEvents)
		if err != nil {
			t.Fatal(err)
		}
		return int(stream.CachedInfo().State.Msgs) //nolint:gosec // a small number
	}
	run(t, projector(t, b, "p"))
	spends := []*Spend{follow(t, b, budget), follow(t, server.Bus(), budget)}
	spent := func(want int64) {
		t.Helper()
		for _, s := range spends {
			eventually(t, fmt.Sprint(want, " spent"), func() bool { return s.Spent("acme", start, end) == want })
		}
	}
	pay(t, l, "acme", "a", 11)
	pay(t, l, "zeta", "z", 30)
	spent(770)
	if n := stored(); n != 0 {
		t.Errorf("%d alerts at 77 %%", n)
	}
	pay(t, l, "acme", "b", 1)
	spent(840)
	eventually(t, "one alert", func() bool { return stored() == 1 })
	pay(t, l, "acme", "c", 4)
	spent(1120)
	eventually(t, "two alerts", func() bool { return stored() == 2 })
	late := follow(t, server.Bus(), budget) // a process that starts later
	spends = append(spends, late)
	pay(t, l, "acme", "d", 1)
	spent(1190)
	kv, err := b.KeyValue(t.Context(), bus.BucketSpend)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"80", "100"} {
		if _, err := kv.Get(t.Context(), alertPrefix+day(start)+".acme."+part); err != nil {
			t.Errorf("flag of %s %%: %v", part, err)
		}
	}
	if n := stored(); n != 2 {
		t.Errorf("%d alerts, want 2", n)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(alerts) < 2 || alerts[0].Type != event.LifeBudget || alerts[0].Detail == "" || alerts[0].ID != "budget-"+day(start) {
		t.Errorf("got %+v", alerts)
	}
}

// TestAsk adds up by tenant, model and job.
func TestAsk(t *testing.T) {
	t.Parallel()
	l, b, _ := setup(t)
	yesterday := time.Now().Add(-24 * time.Hour)
	if rows, err := Ask(t.Context(), b, Query{By: ByJob, Since: yesterday}); err != nil || len(rows) != 0 {
		t.Fatalf("nothing spent: %v, %v", rows, err)
	}
	pay(t, l, "acme", "a", 2)
	pay(t, l, "zeta", "z", 3)
	doubtful := intent(9)
	begin(t, l, doubtful)
	doubtful.Epoch = 10
	e := begin(t, l, doubtful) // the call of epoch 9 is maybe billed
	record(t, l, answered(e, "Yes."))
	project(t.Context(), t, projector(t, b, "p"), 7)
	for _, c := range []struct {
		q    Query
		want string
	}{
		{Query{By: ByTenant}, "acme 4/1/1 1110 900, zeta 3/0/0 210 0"},
		{Query{By: ByTenant, Tenant: "zeta"}, "zeta 3/0/0 210 0"},
		{Query{By: ByModel}, "small 7/1/1 1320 900"},
		{Query{By: ByModel, Tenant: "acme"}, "small 4/1/1 1110 900"},
		{Query{By: ByJob, Tenant: "acme"}, "j1 2/1/1 970 900, a0 1/0/0 70 0, a1 1/0/0 70 0"},
		{Query{By: ByJob}, "acme/j1 2/1/1 970 900, acme/a0 1/0/0 70 0, acme/a1 1/0/0 70 0, zeta/z0 1/0/0 70 0, zeta/z1 1/0/0 70 0, zeta/z2 1/0/0 70 0"},
	} {
		c.q.Since = yesterday
		rows, err := Ask(t.Context(), b, c.q)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, r := range rows {
			if i > 0 {
				got += ", "
			}
			got += fmt.Sprintf("%s %d/%d/%d %d %d", r.Key, r.Calls, r.Failed, r.Maybe, r.CostNanoUSD, r.MaybeNanoUSD)
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.q, got, c.want)
		}
	}
	for _, by := range []By{ByTenant, ByJob} {
		if rows, err := Ask(t.Context(), b, Query{By: by, Since: time.Now().Add(48 * time.Hour)}); err != nil || len(rows) != 0 {
			t.Errorf("by %s, from the day after tomorrow: %v, %v", by, rows, err)
		}
	}
	_, err := Ask(t.Context(), b, Query{By: "moon"})
	wantClass(t, err, event.ClassInvalid, "by:", `"moon"`)
	nowhere, err := bus.New(bustest.Start(t).Connect())
	if err != nil {
		t.Fatal(err)
	}
	for _, by := range []By{ByTenant, ByJob} {
		_, err = Ask(t.Context(), nowhere, Query{By: by})
		wantClass(t, err, event.ClassUnavailable)
	}
}
