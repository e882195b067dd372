package migration_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/migration"
)

// start is the tests' first moment, in another zone than the record's.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))

// phases are all of them, in their order.
var phases = []migration.Phase{
	migration.None, migration.Quoting, migration.Quoted, migration.Filling, migration.Comparing, migration.Refused,
	migration.Switched, migration.Back, migration.Failed,
}

// in is a record in a phase of a migration from old to new.
func in(phase migration.Phase) migration.State {
	s := migration.State{V: event.Version, Model: "old", Also: "new", Phase: phase, Tenant: "acme", Chunks: 10, Tokens: 100, CostNanoUSD: 7,
		Done: 5, SpentNanoUSD: 3, Cursor: "c", Error: "trouble", MaxLoss: 0.02, Started: start.UTC()}
	switch phase {
	case migration.None:
		return migration.State{V: event.Version, Model: "old"}
	case migration.Switched:
		s.Model, s.Also = "new", "old"
	}
	return s
}

// TestSteps: which step may be taken in which phase, and where it leads. What may
// not be done changes nothing and says what to do instead.
func TestSteps(t *testing.T) {
	t.Parallel()
	const no = migration.Phase("refused step")
	for _, step := range []struct {
		name string
		do   func(*migration.State) error
		to   []migration.Phase // by phase, as phases
	}{
		{"ask", func(s *migration.State) error { return s.Ask("third", "settings", "zeta", 0.1, start) }, []migration.Phase{
			migration.Quoting, migration.Quoting, migration.Quoting, no, no, migration.Quoting, no, no, migration.Quoting}},
		{"go", func(s *migration.State) error { return s.Go(start) }, []migration.Phase{
			no, no, migration.Filling, no, no, migration.Filling, no, no, migration.Filling}},
		{"return", func(s *migration.State) error { return s.Return(start) }, []migration.Phase{
			no, no, no, no, no, no, migration.Back, migration.Switched, no}},
		{"end", func(s *migration.State) error { return s.End(start) }, []migration.Phase{
			no, no, migration.None, no, no, migration.None, migration.None, migration.None, migration.None}},
	} {
		for i, phase := range phases {
			s := in(phase)
			err := step.do(&s)
			if step.to[i] == no {
				if e := event.AsError(err); e == nil || e.Class != event.ClassInvalid || e.Field == "" || e.Hint == "" || !reflect.DeepEqual(s, in(phase)) {
					t.Errorf("%s when %q: %v, %+v; want it refused with a hint", step.name, phase, err, s)
				}
				continue
			}
			if err != nil || s.Phase != step.to[i] || !s.Updated.Equal(start) || s.Updated.Location() != time.UTC {
				t.Errorf("%s when %q leads to %q at %s (%v), want %q", step.name, phase, s.Phase, s.Updated, err, step.to[i])
			}
		}
	}
}

// TestAsk: a quote begins with an empty record; the model in force stays so.
func TestAsk(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]migration.State{"first": {}, "after one": {Model: "settings"}, "failed": in(migration.Failed)} {
		model := s.Models("settings")[0]
		if err := s.Ask("third", "settings", "zeta", 0.1, start); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := migration.State{V: event.Version, Model: model, Also: "third", Phase: migration.Quoting, Tenant: "zeta", MaxLoss: 0.1,
			Started: start.UTC(), Updated: start.UTC()}
		if name == "failed" {
			want.Drop = s.Drop
			if s.Drop == "" || s.Drop == model {
				t.Errorf("%s: drops %q, want the index that nobody goes on with", name, s.Drop)
			}
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s: got  %+v\nwant %+v", name, s, want)
		}
	}
	for name, c := range map[string]struct {
		state migration.State
		to    string
		loss  float64
		field string
		part  string
	}{
		"in force by the settings": {migration.State{}, "settings", 0, "to", `"settings" is in force`},
		"in force by the record":   {in(migration.None), "old", 0, "to", `"old" is in force`},
		"under way":                {in(migration.Filling), "new", 0, "to", `a migration to "new" is under way`},
		"not ended":                {in(migration.Switched), "third", 0, "to", `the index of "old" is still kept`},
		"a gain":                   {in(migration.None), "new", -0.1, "max_loss", "-0.1"},
		"more than all":            {in(migration.None), "new", 1.5, "max_loss", "1.5"},
	} {
		e := event.AsError(c.state.Ask(c.to, "settings", "acme", c.loss, start))
		if e == nil || e.Field != c.field || !strings.Contains(e.Message, c.part) {
			t.Errorf("%s: got %v, want field %s with %q", name, e, c.field, c.part)
		}
	}
}

// TestGo begins at the beginning: what was counted before counts no more.
func TestGo(t *testing.T) {
	t.Parallel()
	for _, phase := range []migration.Phase{migration.Quoted, migration.Failed, migration.Refused} {
		s := in(phase)
		if err := s.Go(start); err != nil {
			t.Fatal(err)
		}
		if s.Done != 0 || s.SpentNanoUSD != 0 || s.Cursor != "" || s.Error != "" || s.Chunks != 10 || s.CostNanoUSD != 7 || s.Also != "new" {
			t.Errorf("from %q: %+v, want the quote and nothing done", phase, s)
		}
	}
}

// TestReturnAndEnd: there and back again; the end drops the index that does not
// answer.
func TestReturnAndEnd(t *testing.T) {
	t.Parallel()
	s := in(migration.Switched)
	for _, want := range []string{"old new", "new old", "old new"} {
		if err := s.Return(start); err != nil || s.Model+" "+s.Also != want {
			t.Errorf("%s is in force and %s in step (%v), want %s", s.Model, s.Also, err, want)
		}
	}
	for phase, want := range map[migration.Phase]migration.State{
		migration.Switched: {Model: "new", Drop: "old"}, migration.Back: {Model: "old", Drop: "new"},
		migration.Failed: {Model: "old", Drop: "new"}, migration.Refused: {Model: "old", Drop: "new"}, migration.Quoted: {Model: "old", Drop: "new"},
	} {
		s := in(phase)
		want.V, want.Updated = event.Version, start.UTC()
		if err := s.End(start); err != nil || !reflect.DeepEqual(s, want) {
			t.Errorf("end when %q: %+v (%v), want %+v", phase, s, err, want)
		}
	}
}

// TestModels: chunks are written to both indexes from Filling until the end, unless
// the migration failed: documents are not to fail with it.
func TestModels(t *testing.T) {
	t.Parallel()
	both, one := []string{"old", "new"}, []string{"old"}
	for i, want := range [][]string{one, one, one, both, both, both, {"new", "old"}, both, one} {
		s := in(phases[i])
		if got := s.Models("settings"); !slices.Equal(got, want) {
			t.Errorf("when %q: %q, want %q", phases[i], got, want)
		}
	}
	for name, c := range map[string]struct {
		state migration.State
		want  []string
	}{
		"never migrated":    {migration.State{}, []string{"settings"}},
		"to what is there":  {migration.State{Phase: migration.Filling, Also: "settings"}, []string{"settings"}},
		"to nothing":        {migration.State{Phase: migration.Filling}, []string{"settings"}},
		"from the settings": {migration.State{Phase: migration.Filling, Also: "new"}, []string{"settings", "new"}},
	} {
		if got := c.state.Models("settings"); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestClaim: there is work in three phases, for one worker at a time, until it
// says nothing for the time of a lease.
func TestClaim(t *testing.T) {
	t.Parallel()
	for i, working := range []bool{false, true, false, true, true, false, false, false, false} {
		s := in(phases[i])
		if got := s.Claim("a", start); got != working || s.Working() != working {
			t.Errorf("when %q: claimed %v, working %v; want %v", phases[i], got, s.Working(), working)
		}
		if (s.Worker == "a") != working {
			t.Errorf("when %q the worker is %q", phases[i], s.Worker)
		}
	}
	s := in(migration.Filling)
	for _, step := range []struct {
		worker string
		after  time.Duration // from the start
		want   bool
	}{
		{"a", 0, true}, {"b", 0, false}, {"b", 29 * time.Second, false},
		{"a", 20 * time.Second, true}, // renews
		{"b", 31 * time.Second, false},
		{"b", 50*time.Second - 1, false}, {"b", 50 * time.Second, true}, // the lease is over
		{"a", 51 * time.Second, false}, {"a", 80 * time.Second, true},
	} {
		now := start.Add(step.after)
		if got := s.Claim(step.worker, now); got != step.want {
			t.Errorf("%s after %s: %v, want %v", step.worker, step.after, got, step.want)
		}
		if step.want && (s.Worker != step.worker || !s.Lease.Equal(now.Add(30*time.Second)) || s.Lease.Location() != time.UTC) {
			t.Errorf("after %s %q has it until %s", step.after, s.Worker, s.Lease)
		}
	}
}
