package embedder

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
	"github.com/weir-dev/weir/pkg/llm/llmtest"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/pkg/vector"
)

// record writes the record of the embedding model.
func (r *rig) record(s migration.State) {
	r.T.Helper()
	s.V = event.Version
	_, err := migration.New(r.Bus).Change(r.T.Context(), func(now *migration.State) error {
		*now = s
		return nil
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

// until waits for a state of the record.
func (r *rig) until(what string, ok func(migration.State) bool) migration.State {
	r.T.Helper()
	ctx, cancel := context.WithTimeout(r.T.Context(), stagetest.Patience)
	defer cancel()
	var last migration.State
	err := migration.New(r.Bus).Watch(ctx, func(s migration.State) {
		if last = s; ok(s) {
			cancel()
		}
	})
	if err != nil || !ok(last) {
		r.T.Fatalf("waited in vain for %s: %+v, error %v", what, last, err)
	}
	return last
}

// TestFailedMigrationStopsNothing: documents are stored, whatever model was asked
// for.
func TestFailedMigrationStopsNothing(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.record(migration.State{Phase: migration.Quoting, Also: "unknown", Started: time.Now()})
	if s := r.until("a failure", func(s migration.State) bool { return s.Phase == migration.Failed }); !strings.Contains(s.Error, `"unknown"`) {
		t.Errorf("error %q, want one that names the model", s.Error)
	}
	r.stores(version{document: "a", number: 1, texts: []string{"one"}})
}

// TestMigrationToWhatIsThere is refused before it begins and when it begins.
func TestMigrationToWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, phase := range []migration.Phase{migration.Quoting, migration.Filling} {
		r := setup(t)
		r.start(&llmtest.Fake{})
		r.record(migration.State{Phase: phase, Also: "embed", Started: time.Now()})
		s := r.until("an end", func(s migration.State) bool { return !s.Working() && s.Phase != migration.Quoted })
		if s.Phase != migration.Failed || !strings.Contains(s.Error, `"embed" is in force`) {
			t.Errorf("from %s: %+v, want it failed", phase, s)
		}
	}
}

// TestDrop: the index that was given up is dropped, also before anything was ever
// switched; one that is in force or that the catalog does not know stops nothing.
func TestDrop(t *testing.T) {
	t.Parallel()
	for model, want := range map[string][]string{"next": {"drop next"}, "embed": nil, "unknown": nil} {
		r := setup(t)
		r.start(&llmtest.Fake{})
		r.record(migration.State{Drop: model})
		r.until("the end of the drop of "+model, func(s migration.State) bool { return s.Drop == "" })
		if calls, _ := r.store.written(); !slices.Equal(calls, want) {
			t.Errorf("%s: calls %q, want %q", model, calls, want)
		}
	}
}

// TestMigrationPaysOnce: of two calls for a page one fails; the other's vector is
// kept and counted.
func TestMigrationPaysOnce(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.cfg.BatchItems = 1
	var refused atomic.Bool
	fake := &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if req.Model == "sim-next" && req.Inputs[0] == "P: two" && !refused.Swap(true) {
			return llm.EmbedResponse{}, event.Errorf(event.ClassContent, "refused")
		}
		return counted(7)(ctx, req)
	}}
	r.start(fake)
	r.stores(version{document: "a", number: 1, texts: []string{"one", "two"}})
	r.record(migration.State{Phase: migration.Filling, Also: "next", Tenant: "acme", Started: time.Now()})
	if s := r.until("the failure", func(s migration.State) bool { return s.Phase == migration.Failed }); s.Done != 1 || s.SpentNanoUSD != 7*20 {
		t.Errorf("%d done for %d nano-USD, want what was paid for counted", s.Done, s.SpentNanoUSD)
	}
	r.record(migration.State{Phase: migration.Filling, Also: "next", Tenant: "acme", Started: time.Now()})
	r.until("the switch", func(s migration.State) bool { return s.Phase == migration.Switched })
	asked := 0
	for _, req := range fake.Embeds() {
		if req.Model == "sim-next" && req.Inputs[0] == "P: one" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for the first text, want once", asked)
	}
}

// held embeds like the fake; its first call waits for release.
func held() (fake *llmtest.Fake, entered, release chan struct{}) {
	entered, release = make(chan struct{}, 1), make(chan struct{})
	var calls atomic.Int32
	return &llmtest.Fake{EmbedFunc: func(ctx context.Context, req llm.EmbedRequest) (llm.EmbedResponse, error) {
		if calls.Add(1) == 1 {
			entered <- struct{}{}
			<-release
		}
		return counted(7)(ctx, req)
	}}, entered, release
}

// TestIndexAddedWhileEmbedding: a batch that waits for its vectors when a migration
// begins is stored in the new index as well.
func TestIndexAddedWhileEmbedding(t *testing.T) {
	t.Parallel()
	r := setup(t)
	fake, entered, release := held()
	r.start(fake)
	v := version{document: "a", number: 1, texts: []string{"one"}}
	r.publish(r.begin(v)...)
	stagetest.Wait(t, entered, "the call to the provider")
	r.record(migration.State{Phase: migration.Refused, Also: "next"})
	close(release)
	r.ok(v.job())
	if old, now := r.store.points(index), r.store.points(next); old != 1 || now != 1 {
		t.Errorf("%d points in the old index and %d in the new one, want one each", old, now)
	}
}

// TestIndexGivenUpWhileEmbedding: a batch that waits for its vectors when the other
// index is dropped is stored in the one in force.
func TestIndexGivenUpWhileEmbedding(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.record(migration.State{Phase: migration.Refused, Also: "next"})
	var calls atomic.Int32
	r.store.upsert = func([]vector.Point) error {
		if calls.Add(1) == 1 {
			return nil
		}
		r.record(migration.State{})
		return &event.Error{Class: event.ClassInvalid, Message: "no such collection"}
	}
	r.start(&llmtest.Fake{})
	r.stores(version{document: "a", number: 1, texts: []string{"one"}})
}

// TestLostModelIsNotTheJobsFault: while the catalog lacks a model whose index is
// kept, documents wait for it.
func TestLostModelIsNotTheJobsFault(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.start(&llmtest.Fake{})
	r.record(migration.State{Phase: migration.Switched, Model: "embed", Also: "lost"})
	v := version{document: "a", number: 1, texts: []string{"one"}}
	r.publish(r.begin(v)...)
	if life := r.Life(event.LifeRetrying); life.Error.Class != event.ClassUnavailable || !strings.Contains(life.Error.Message, `"lost"`) {
		t.Errorf("event %+v, want it retried for the lost model", life)
	}
	r.record(migration.State{Model: "embed"})
	r.ok(v.job())
}
