// Package documents tests what becomes of documents over their whole way, on a
// Weir in this process: what is embedded and what is not, who reads what, and that
// what a document says stays data.
package documents

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/vector"
	"github.com/weir-dev/weir/pkg/vector/qdrant"
	"github.com/weir-dev/weir/test/internal/proc"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// rig is a running Weir on its embedded servers.
type rig struct {
	t      *testing.T
	ctx    context.Context
	client *client.Client
	store  *qdrant.Store
	system up.System
}

func start(t *testing.T, change ...func(*up.Config)) *rig {
	t.Helper()
	cfg := up.DefaultConfig(t.TempDir())
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr, cfg.QdrantAddr = "", "", "", proc.FreeAddr(t)
	cfg.Ingestor.PDFCache = filepath.Join(os.TempDir(), "weir-test-pdfium")
	for _, f := range change {
		f(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan up.System, 1), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	go func() { done <- up.Run(ctx, cfg, log, func(s up.System) { ready <- s }) }()
	r := &rig{t: t}
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the system ended with: %v", err)
		}
	})
	select {
	case r.system = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("starting: %v", err)
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	var err error
	if r.client, err = client.New(r.system.Conn); err != nil {
		t.Fatal(err)
	}
	if r.store, err = qdrant.New(qdrant.Config{Addr: cfg.QdrantAddr}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.store.Close() }) //nolint:errcheck // the test is over
	return r
}

// ingest stores documents side by side and returns their results, in order.
func (r *rig) ingest(tenant, collection string, docs ...event.Document) []event.Ingested {
	r.t.Helper()
	ids := make([]string, len(docs))
	for i, d := range docs {
		id, err := r.client.Ingest(r.ctx, tenant, event.IngestJob{
			Envelope: event.Envelope{Lane: event.LaneBatch}, Collection: collection, Document: d})
		if err != nil {
			r.t.Fatal(err)
		}
		ids[i] = id
	}
	out := make([]event.Ingested, len(docs))
	for i, id := range ids {
		out[i] = *r.result(tenant, id).Ingested
	}
	return out
}

// result is that of a job which must succeed.
func (r *rig) result(tenant, id string) event.Result {
	r.t.Helper()
	result, err := r.client.Await(r.ctx, tenant, id)
	if err != nil || result.Status != event.StatusOK {
		r.t.Fatalf("job %s: %+v (%v), %v", id, result, result.Error, err)
	}
	return result
}

// points are all points of the store.
func (r *rig) points() map[string]vector.Stored {
	r.t.Helper()
	place, ok, err := r.store.Current(r.ctx, vector.DefaultIndex)
	if err != nil || !ok {
		r.t.Fatalf("looking for the index: %t, %v", ok, err)
	}
	out := map[string]vector.Stored{}
	scan := vector.Scan{Limit: 1000}
	for {
		page, err := r.store.Scan(r.ctx, place, scan)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(page) == 0 {
			return out
		}
		for _, p := range page {
			out[p.ID] = p
		}
		scan.After = page[len(page)-1].ID
	}
}

// ask is a query's hits.
func (r *rig) ask(tenant, text string, rag event.RAG) []event.QueryHit {
	r.t.Helper()
	reply, err := r.client.Query(r.ctx, tenant, event.QueryRequest{Text: text, RAG: rag})
	if err != nil && event.AsError(err).Field != "rag.collection" { // nothing is stored in it
		r.t.Fatalf("asking %s: %v", text, err)
	}
	return reply.Hits
}
