package quote

import (
	"fmt"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

func result(tenant, model, collection string, completion int) *event.Result {
	r := &event.Result{Tenant: tenant, Kind: event.KindGenerate, Status: event.StatusOK, FinishedAt: time.Unix(1000, 0)}
	r.Receipt.Asked = &event.Asked{Model: model, Collection: collection, PromptTokens: 10}
	r.Receipt.Add(event.Attempt{Model: model, PromptTokens: 10, CompletionTokens: completion, DurationMS: 100})
	return r
}

func newTestLearner(now time.Time) *Learner {
	return NewLearner(nil, nil, func() time.Time { return now })
}

// TestLike: a tenant's own jobs come before others', and those before none.
func TestLike(t *testing.T) {
	t.Parallel()
	l := newTestLearner(time.Unix(1000, 0))
	asked := event.Asked{Model: "small", PromptTokens: 10}
	if got, _ := l.like("acme", asked); got != nil {
		t.Errorf("of nothing: %v", got)
	}
	for range enough {
		l.Learn(result("globex", "small", "", 100))
	}
	for range enough - 1 {
		l.Learn(result("acme", "small", "", 5))
	}
	if got, class := l.like("acme", asked); len(got) != 2*enough-1 || class[:4] != "all|" {
		t.Errorf("with one too few: %d of %s, want all tenants'", len(got), class)
	}
	l.Learn(result("acme", "small", "", 5))
	got, class := l.like("acme", asked)
	if len(got) != enough || got[0].completion != 5 || class[:12] != "tenant|acme|" {
		t.Errorf("with enough: %d of %s, want the tenant's", len(got), class)
	}
	if got, _ := l.like("acme", event.Asked{Model: "other"}); got != nil {
		t.Errorf("of another model: %v", got)
	}
	if len(l.anything()) == 0 {
		t.Error("nothing is known of jobs at all")
	}
}

// TestTeachesNothing: jobs that ended before they took anything, and those of other
// kinds, teach nothing.
func TestTeachesNothing(t *testing.T) {
	t.Parallel()
	l := newTestLearner(time.Unix(1000, 0))
	early := result("acme", "small", "", 5)
	early.Receipt.Attempts, early.Status = nil, event.StatusFailed
	without := result("acme", "small", "", 5)
	without.Receipt.Asked = nil
	other := result("acme", "small", "", 5)
	other.Kind = event.KindIngest
	for _, r := range []*event.Result{early, without, other} {
		l.Learn(r)
	}
	if len(l.classes) != 0 {
		t.Errorf("classes %v, want none", l.classes)
	}
}

// TestBounded: however many collections tenants make, memory is bounded, and what is
// asked about stays.
func TestBounded(t *testing.T) {
	t.Parallel()
	l := newTestLearner(time.Unix(1000, 0))
	for i := range 3 * maxClasses {
		l.Learn(result("acme", "small", fmt.Sprint("c", i), 5))
		l.Learn(result("acme", "small", "", 5))
	}
	if n := len(l.classes); n > maxClasses+10 {
		t.Errorf("%d classes, want %d at most", n, maxClasses)
	}
	if got, class := l.like("acme", event.Asked{Model: "small", PromptTokens: 10}); len(got) != reservoirSize || class[:7] != "tenant|" {
		t.Errorf("%d samples of %s, want the latest %d of the tenant's", len(got), class, reservoirSize)
	}
}

// TestPace counts what ended lately.
func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := newTestLearner(now)
	for s := range 10 {
		for range 5 {
			r := result("acme", "small", "", 30)
			r.FinishedAt = now.Add(-time.Duration(s) * time.Second)
			l.Learn(r)
		}
	}
	if got := l.Pace("small"); got.PerSecond != 5 || got.Tokens != 40 || got.Took != 100*time.Millisecond {
		t.Errorf("pace %+v, want 5 a second of 40 tokens", got)
	}
	if got := l.Pace("other"); got.PerSecond != 0 || got.Tokens != 0 {
		t.Errorf("pace of what never ran: %+v", got)
	}
	late := newTestLearner(now.Add(time.Hour))
	late.Learn(result("acme", "small", "", 30))
	if got := late.Pace("small"); got.PerSecond != 0 || got.Tokens != 40 {
		t.Errorf("pace of an hour ago: %+v, want no rate", got)
	}
}
