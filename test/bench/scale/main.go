// Command scale ingests many chunks through a whole Weir in this process, on its
// embedded servers, and asks questions about them. It prints how long that takes
// and how much memory and disk it needs, also to scale.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/figures"
)

const (
	tenant     = "scale"
	collection = "wiki"
	// inFlight is how many documents are under way at once.
	inFlight = 64
	// perDocument is about how many chunks a document has.
	perDocument = 20
)

type options struct {
	out, data string
	chunks    int
	queries   int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.out, "out", "build/bench", "folder for the JSON file")
	flag.StringVar(&o.data, "data", dataset.Folder(), "folder with the data sets (WEIR_DATA)")
	flag.IntVar(&o.chunks, "chunks", 100_000, "chunks to ingest, at least")
	flag.IntVar(&o.queries, "queries", 300, "questions to ask")
	flag.Parse()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	paragraphs, err := readTexts(filepath.Join(o.data, "rag", "squad", "corpus.jsonl"))
	if err != nil {
		return err
	}
	questions, err := readTexts(filepath.Join(o.data, "rag", "squad", "queries.jsonl"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	cfg := up.DefaultConfig(dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "", "", ""
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var measured error
	err = up.Run(ctx, cfg, log, func(s up.System) {
		go func() {
			defer stop()
			m := &measurement{options: o, dir: dir, paragraphs: paragraphs, questions: questions, found: figures.Figures{}}
			measured = m.run(ctx, s)
		}()
	})
	return errors.Join(err, measured)
}

// readTexts returns the text of every row of a file.
func readTexts(path string) ([]string, error) {
	rows, err := dataset.Rows[struct{ Text string }](path)
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = row.Text
	}
	return texts, err
}

type measurement struct {
	options
	dir                   string
	paragraphs, questions []string
	found                 figures.Figures
	client                *client.Client
}

func (m *measurement) run(ctx context.Context, s up.System) (err error) {
	if m.client, err = client.New(s.Conn); err != nil {
		return err
	}
	if err := m.ingest(ctx); err != nil {
		return err
	}
	if err := m.ask(ctx); err != nil {
		return err
	}
	if m.found["disk_mb"], err = diskMB(m.dir); err != nil {
		return err
	}
	m.found.Print()
	return m.found.Write(filepath.Join(m.out, "scale.json"))
}

// document is one of random paragraphs, so that its chunks are texts of their own:
// the sentences are real, their mixture is not.
func (m *measurement) document(n int) event.Document {
	random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // a document number
	var b strings.Builder
	for section := range perDocument {
		p := m.paragraphs[random.IntN(len(m.paragraphs))]
		q := m.paragraphs[random.IntN(len(m.paragraphs))]
		fmt.Fprintf(&b, "## Section %d of %d\n\n%s\n\n%s\n\n", section, n, p[:min(len(p), 500)], q[:min(len(q), 300)])
	}
	return event.Document{ID: fmt.Sprint("doc-", n), Source: fmt.Sprintf("doc-%d.md", n), Title: fmt.Sprint("Document ", n),
		Text: strings.ToValidUTF8(b.String(), "")}
}

// ingest stores documents until there are enough chunks.
func (m *measurement) ingest(ctx context.Context) error {
	begin := time.Now()
	var mu sync.Mutex
	var failed error
	chunks, tokens, documents := 0, 0, 0
	slots := make(chan struct{}, inFlight)
	var working sync.WaitGroup
	enough := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return chunks+len(slots)*perDocument >= m.chunks || failed != nil
	}
	for n := 0; !enough() && ctx.Err() == nil; n++ {
		slots <- struct{}{}
		working.Go(func() {
			defer func() { <-slots }()
			in, err := m.store(ctx, m.document(n))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			chunks, tokens, documents = chunks+in.Chunks, tokens+in.Tokens, documents+1
			if documents%1000 == 0 {
				fmt.Printf("%d documents, %d chunks, %s, %.0f MB resident\n", documents, chunks, time.Since(begin).Round(time.Second), residentMB())
			}
		})
	}
	working.Wait()
	took := time.Since(begin).Seconds()
	m.found["chunks"], m.found["documents"], m.found["tokens"] = float64(chunks), float64(documents), float64(tokens)
	m.found["ingest_seconds"], m.found["chunks_per_second"] = took, float64(chunks)/took
	m.found["ingest_resident_mb"] = residentMB()
	return errors.Join(failed, ctx.Err())
}

func (m *measurement) store(ctx context.Context, d event.Document) (*event.Ingested, error) {
	id, err := m.client.Ingest(ctx, tenant, event.IngestJob{Envelope: event.Envelope{Lane: event.LaneBatch}, Collection: collection, Document: d})
	if err != nil {
		return nil, err
	}
	result, err := m.client.Await(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	if result.Status != event.StatusOK {
		return nil, fmt.Errorf("document %s: %w", d.ID, result.Error)
	}
	return result.Ingested, nil
}

// ask asks one question at a time. The first one builds the index in memory.
func (m *measurement) ask(ctx context.Context) error {
	random := rand.New(rand.NewPCG(2, 2))
	var took []float64
	for n := range m.queries + 1 {
		question := m.questions[random.IntN(len(m.questions))]
		begin := time.Now()
		reply, err := m.client.Query(ctx, tenant, event.QueryRequest{Text: question, RAG: event.RAG{Collection: collection}})
		if err != nil {
			return fmt.Errorf("asking %q: %w", question, err)
		}
		if len(reply.Hits) == 0 {
			return fmt.Errorf("asking %q: nothing was found", question)
		}
		if ms := float64(time.Since(begin).Microseconds()) / 1000; n > 0 {
			took = append(took, ms)
		} else {
			m.found["first_query_ms"] = ms
		}
	}
	slices.Sort(took)
	m.found["query_p50_ms"], m.found["query_p95_ms"] = figures.Quantile(took, 0.5), figures.Quantile(took, 0.95)
	m.found["resident_mb"] = residentMB()
	return nil
}

// residentMB is the memory of this process that is in RAM, the mapped pages of the
// store's files included.
func residentMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	for line := range strings.Lines(string(status)) {
		var kb float64
		if _, err := fmt.Sscanf(line, "VmRSS: %f kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return 0
}

func diskMB(dir string) (mb float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) { // a file of the queue that was full
			return nil
		}
		if err == nil {
			mb += float64(info.Size()) / (1 << 20)
		}
		return err
	})
	return mb, err
}
