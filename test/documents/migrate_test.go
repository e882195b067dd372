package documents

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/migration"
	"github.com/weir-dev/weir/pkg/vector"
)

// twoModels is a catalog with two embedding models of different dimensions.
const twoModels = `
version: 1
providers: [{id: sim, base_url: %q, dialect: sim}]
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 150, output: 600}]}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 1024, price: [{input: 20}], limits: {tpm: 60000000, rpm: 60000}}
  - {id: other, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 512, shorten: true, price: [{input: 10}], limits: {tpm: 6000000, rpm: 60000}}
`

// simulator runs a provider for the test.
func simulator(t *testing.T) string {
	t.Helper()
	sim, err := llmsim.New(llmsim.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-done
	})
	<-sim.Ready()
	return sim.URL()
}

// TestMigration changes the embedding model while documents change, goes back, and
// ends it.
func TestMigration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, twoModels, simulator(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, func(c *up.Config) { c.Process.Catalog = file })
	b, err := bus.New(r.system.Conn)
	if err != nil {
		t.Fatal(err)
	}
	record := migration.New(b)
	m := &migrating{rig: r, record: record}
	for i := range 40 {
		m.docs = append(m.docs, event.Document{ID: fmt.Sprint("doc-", i), Text: m.content(i, 0)})
	}
	r.ingest("acme", "notes", m.docs...)

	quoted := m.ask("other")
	if quoted.Chunks < 40 || quoted.Tokens < 40 || quoted.CostNanoUSD != int64(10*quoted.Tokens) || quoted.ExpectedMS <= 0 {
		t.Errorf("quote %+v", quoted)
	}
	if _, err := record.Change(r.ctx, func(s *migration.State) error { return s.Ask("embed", "embed", "acme", 0.1, time.Now()) }); err == nil {
		t.Error("a migration to the model in force was begun")
	}
	m.change(func() {
		m.do(func(s *migration.State) error { return s.Go(time.Now()) })
		m.await(migration.Switched)
	})
	m.holds("other")
	done, err := record.Get(r.ctx)
	if err != nil || done.Done < 30 || done.SpentNanoUSD <= 0 || done.Queries < 30 || done.OldRecall < 0.3 || done.NewRecall < done.OldRecall-0.4 {
		t.Errorf("migrated %+v, %v", done, err)
	}

	m.change(func() {
		m.do(func(s *migration.State) error { return s.Return(time.Now()) })
		m.holds("embed")
	})
	m.holds("embed")
	m.do(func(s *migration.State) error { return s.Return(time.Now()) })
	m.holds("other")
	m.do(func(s *migration.State) error { return s.End(time.Now()) })
	m.awaitState("an index that is dropped", func(s migration.State) bool { return s.Drop == "" })
	old := vector.Index{Name: vector.DefaultIndex, Model: "embed", Dimension: 1024}
	if n, err := r.store.Count(r.ctx, old, vector.Scope{}); n != 0 || err != nil {
		t.Errorf("%d points in the dropped index, %v", n, err)
	}
	m.change(func() {})
	m.holds("other")
}

// migrating is a migration with documents that change meanwhile.
type migrating struct {
	*rig
	record *migration.Record
	docs   []event.Document
	round  int
}

func (m *migrating) content(i, round int) string {
	return fmt.Sprintf("# Crate %d\n\nThe lantern of crate %d hangs at mooring %d.\n\n## Weight\n\nCrate %d weighs %d kilograms since round %d.\n", i, i, 7*i, i, 3*i, round)
}

// change edits all documents, and removes and revives some, while fn runs.
func (m *migrating) change(fn func()) {
	m.t.Helper()
	m.round++
	var editing sync.WaitGroup
	editing.Go(func() {
		for i := range m.docs {
			if i%8 == m.round {
				id, err := m.client.Delete(m.ctx, "acme", event.DeleteJob{Collection: "notes", Document: m.docs[i].ID})
				if err != nil {
					m.t.Error(err)
					return
				}
				if _, err := m.client.Await(m.ctx, "acme", id); err != nil {
					m.t.Error(err)
				}
			}
			m.docs[i].Text = m.content(i, m.round)
			m.ingest("acme", "notes", m.docs[i])
		}
	})
	fn()
	editing.Wait()
}

func (m *migrating) do(change func(*migration.State) error) {
	m.t.Helper()
	if _, err := m.record.Change(m.ctx, change); err != nil {
		m.t.Fatal(err)
	}
}

func (m *migrating) ask(model string) migration.State {
	m.t.Helper()
	m.do(func(s *migration.State) error { return s.Ask(model, "embed", "acme", 0.4, time.Now()) })
	return m.await(migration.Quoted)
}

func (m *migrating) await(phase migration.Phase) migration.State {
	m.t.Helper()
	return m.awaitState(string(phase), func(s migration.State) bool {
		if s.Phase == migration.Failed || s.Phase == migration.Refused {
			m.t.Errorf("the migration is %s: %s", s.Phase, s.Error)
			return true
		}
		return s.Phase == phase
	})
}

func (m *migrating) awaitState(what string, ok func(migration.State) bool) migration.State {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.ctx, time.Minute)
	defer stop()
	var last migration.State
	found := false
	err := m.record.Watch(ctx, func(s migration.State) {
		last = s
		if ok(s) {
			found = true
			stop()
		}
	})
	if err != nil || !found {
		m.t.Fatalf("waiting for %s: %+v, %v", what, last, err)
	}
	return last
}

// holds checks that a model's index answers, with what is current and no more. A
// document may just be gone, to be revived.
func (m *migrating) holds(model string) {
	m.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		now, ok, err := m.store.Current(m.ctx, vector.DefaultIndex)
		if err != nil {
			m.t.Fatal(err)
		}
		if ok && now.Model == model {
			break
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("the index of %q answers, want that of %q", now.Model, model)
		}
	}
	reply, err := m.client.Query(m.ctx, "acme", event.QueryRequest{Text: "Where does the lantern of crate 23 hang?", RAG: event.RAG{Collection: "notes"}})
	if err != nil || len(reply.Hits) == 0 || !strings.Contains(reply.Hits[0].Text, "mooring 161") || len(reply.Lists) != 3 {
		m.t.Errorf("asked the index of %s: %+v, %v", model, reply, err)
	}
	if v := m.verify("acme"); !v.OK() || v.Documents < len(m.docs)-1 {
		m.t.Errorf("index of %s: verified %+v", model, *v)
	}
}
