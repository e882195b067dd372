package dead

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for i := range 30 {
		r.letter("generator-small", "acme", fmt.Sprint("j", i), event.ClassUnavailable, fmt.Sprintf(`no end after %d.5s: \"http://127.0.0.1:%d/v1\" is down (job j%d)`, i, 8000+i, i), int64(i%3)*100)
	}
	for i := range 10 {
		r.letter("router", "acme", fmt.Sprint("k", i), event.ClassPoison, fmt.Sprintf("panic: index %d out of range", i), 0)
	}
	r.letter("router", "acme", "k99", event.ClassInternal, "panic: index 3 out of range", 0)
	r.letter("router", "zeta", "z1", event.ClassPoison, "panic: index 3 out of range", 0)
	groups, whole, err := r.box.Groups(t.Context(), Filter{Tenant: "acme"})
	if err != nil || !whole || len(groups) != 3 || groups[0].Count != 30 || groups[1].Count != 10 || groups[2].Count != 1 {
		t.Fatalf("groups %+v (%v, %v), want 30, 10 and 1", groups, whole, err)
	}
	g := groups[0]
	if want := `no end after Ns: "…" is down (job JOB)`; g.Cause != want || g.Stage != "generator-small" || g.Class != event.ClassUnavailable {
		t.Errorf("cause %q, want %q", g.Cause, want)
	}
	// 10 cost 100 and 10 cost 200; the 10 that nothing is known of cost the mean.
	if g.CostNanoUSD != 4500 || g.CostKnown != 20 || g.Example.Job != "j29" || !g.Last.After(g.First) {
		t.Errorf("group %+v, want 4500 nano-USD, 20 known", g)
	}
	if groups[1].CostNanoUSD != 1500 {
		t.Errorf("a group without known costs costs %d, want 10 times the mean of all", groups[1].CostNanoUSD)
	}
	report, err := r.box.Many(t.Context(), Selection{Filter: Filter{Tenant: "acme", Group: g.ID}, Sample: 3})
	if err != nil || report.Matched != 30 || report.Chosen != 3 || report.Redriven != 3 || report.Refused != 0 {
		t.Fatalf("report %+v (%v)", report, err)
	}
	if seqs := fmt.Sprint(report.Letters[0].Seq, report.Letters[1].Seq, report.Letters[2].Seq); seqs != "1 11 21" {
		t.Errorf("sample %s, want it spread over all", seqs)
	}
	groups, _, err = r.box.Groups(t.Context(), Filter{Tenant: "acme", Class: event.ClassUnavailable})
	if err != nil || len(groups) != 1 || groups[0].Redriven != 3 || groups[0].Count != 30 {
		t.Errorf("groups %+v (%v), want 3 of 30 redriven", groups, err)
	}
}

// TestManyAreRedrivenOnce: all of a tenant, those that can't be are named, and a
// second call finds none of the first's.
func TestManyAreRedrivenOnce(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for i := range 20 {
		r.letter("worker", "acme", fmt.Sprint("j", i), event.ClassPoison, "broke", 0)
	}
	r.letter("worker", "acme", "", event.ClassInvalid, "no JSON", 0)
	r.letter("worker", "zeta", "z", event.ClassPoison, "broke", 0)
	all := Selection{Filter: Filter{Tenant: "acme"}, Options: Options{Edit: json.RawMessage(`{"max_tokens":3}`)}}
	all.DryRun = true
	if report, err := r.box.Many(t.Context(), all); err != nil || report.Matched != 21 || report.Chosen != 21 || report.Redriven != 0 || len(report.Letters) != 0 {
		t.Errorf("report %+v (%v), want it only counted", report, err)
	}
	all.DryRun = false
	report, err := r.box.Many(t.Context(), all)
	if err != nil || report.Redriven != 21 || report.Refused != 0 {
		t.Errorf("report %+v (%v)", report, err)
	}
	r.works()
	for i := range 20 {
		if got := r.ends(fmt.Sprint("j", i)); got.Answer.Text != "Hi. 3" {
			t.Errorf("result %+v", got.Answer)
		}
	}
	if report, err := r.box.Many(t.Context(), all); err != nil || report.Matched != 0 {
		t.Errorf("report %+v (%v), want nothing left", report, err)
	}
}

func TestListGoesOn(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for i := range 25 {
		r.letter([]string{"a", "b"}[i%2], "acme", fmt.Sprint("j", i), event.ClassPoison, "broke", 0)
	}
	var jobs []string
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		letters, next, err := r.box.List(t.Context(), Filter{Tenant: "acme", Stage: "a"}, cursor, 5)
		if err != nil || page > 5 {
			t.Fatalf("page %d: %v", page, err)
		}
		for _, l := range letters {
			jobs = append(jobs, l.Job)
		}
		cursor = next
	}
	if len(jobs) != 13 || jobs[0] != "j0" || jobs[12] != "j24" {
		t.Errorf("listed %v", jobs)
	}
	for _, cursor := range []string{"0", "-1", "x"} {
		if _, _, err := r.box.List(t.Context(), Filter{}, cursor, 5); err == nil {
			t.Errorf("cursor %q is taken", cursor)
		}
	}
}

func TestCause(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`status 503 after 30s`:                                         `status N after Ns`,
		`model "small" of gpt-4o-mini refused`:                         `model "…" of gpt-4o-mini refused`,
		`object 0fbefd5d-8080-5982-b9d5-de582b7fb08c is gone`:          `object ID is gone`,
		`request 01JDXW5V8QK2M3N4P5R6S7T8U9 of j1: req_a1b2c3d4e5f6g7`: `request ID of JOB: ID`,
		strings.Repeat("é", 300):                                       strings.Repeat("é", 150),
	} {
		if got := cause(&Letter{Error: text, Job: "j1"}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	a := cause(&Letter{Error: "object 0fbefd5d-8080-5982-b9d5-de582b7fb08c is gone"})
	b := cause(&Letter{Error: "object ffbefd5d-8081-5982-b9d5-de582b7fb08d is gone"})
	if a != b {
		t.Errorf("%q and %q, want the same", a, b)
	}
}

// TestPlain: an error that was cut within an escape is read as far as it goes.
func TestPlain(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`a \"b\"\n`: "a \"b\"\n", `cut \u00`: "cut ", `cut \`: "cut ", "": "", "plain": "plain"} {
		if got := plain(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestManyGoesOnWithWhatBrokeOff: a redrive that stopped behind the job's failed result,
// and before its message, is no redrive yet.
func TestManyGoesOnWithWhatBrokeOff(t *testing.T) {
	t.Parallel()
	r := setup(t).works()
	l := r.fails("j1")
	r.does(nil)
	r.breaksOff(&l)
	all := Selection{Filter: Filter{Tenant: "acme"}}
	if report, err := r.box.Many(t.Context(), all); err != nil || report.Redriven != 1 {
		t.Errorf("report %+v (%v), want the one that broke off", report, err)
	}
	r.ends("j1")
	if report, err := r.box.Many(t.Context(), all); err != nil || report.Matched != 0 {
		t.Errorf("report %+v (%v), want nothing left", report, err)
	}
}
