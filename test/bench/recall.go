package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// inFlight is how many documents or questions are under way at once.
const inFlight = 64

// benchRecall ingests data sets through the queue into a Weir on embedded
// servers and measures what its router retrieves.
func benchRecall(ctx context.Context, found figures, data string) error {
	if _, err := os.Stat(filepath.Join(data, "rag", "squad")); err != nil {
		return fmt.Errorf("no data sets in %s; set WEIR_DATA to the folder that holds rag/squad: %w", data, err)
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return fmt.Errorf("making a temporary directory: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary
	cfg := up.DefaultConfig(dir)
	cfg.NatsAddr, cfg.Process.HTTPAddr = "", ""
	// A generator of no model there is: the tasks are left for us to read.
	cfg.Generator.Models = []string{"unused"}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	measured := make(chan error, 1)
	err = up.Run(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)), func(s up.System) {
		go func() {
			defer stop()
			measured <- measureRecall(ctx, s.Conn, found, data)
		}()
	})
	if err != nil {
		return err
	}
	return <-measured
}

func measureRecall(ctx context.Context, nc *nats.Conn, found figures, data string) error {
	cl, err := client.New(nc)
	if err != nil {
		return err
	}
	corpus, err := readCorpus(filepath.Join(data, "rag", "squad", "corpus.jsonl"))
	if err != nil {
		return err
	}
	start := time.Now()
	if err := ingestAll(ctx, cl, "squad", corpus); err != nil {
		return fmt.Errorf("squad: %w", err)
	}
	found["ingest_documents_per_s"] = float64(len(corpus)) / time.Since(start).Seconds()
	if err := askAll(ctx, cl, nc, found, filepath.Join(data, "rag", "squad")); err != nil {
		return err
	}
	demo, err := readMarkdown(filepath.Join(data, "rag", "demo-docs"))
	if err != nil {
		return err
	}
	if err := ingestAll(ctx, cl, "demo", demo); err != nil {
		return fmt.Errorf("demo-docs: %w", err)
	}
	found["demo_documents"] = float64(len(demo))
	return nil
}

func readCorpus(path string) ([]event.Document, error) {
	var docs []event.Document
	err := readLines(path, func(line []byte) error {
		var row struct{ ID, Title, Text string }
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("decoding %s: %w", path, err)
		}
		docs = append(docs, event.Document{ID: event.DocumentID(row.ID), Source: row.ID, Title: row.Title,
			MediaType: "text/plain", Text: row.Text})
		return nil
	})
	return docs, err
}

// readMarkdown takes every .md file below root.
func readMarkdown(root string) ([]event.Document, error) {
	var docs []event.Document
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path) //nolint:gosec // the data set's own files
		docs = append(docs, event.Document{ID: event.DocumentID(path), Source: path, Data: text})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", root, err)
	}
	return docs, nil
}

// ingestAll stores the documents; every one must end well.
func ingestAll(ctx context.Context, cl *client.Client, collection string, docs []event.Document) error {
	var failed []error
	results := make(chan error, len(docs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	for _, doc := range docs {
		group.Go(func() error {
			job := event.IngestJob{Collection: collection, Document: doc}
			job.Lane = event.LaneBatch
			id, err := cl.Ingest(ctx, tenant, job)
			if err != nil {
				return err
			}
			result, err := cl.Await(ctx, tenant, id)
			if err != nil {
				return err
			}
			if result.Status != event.StatusOK {
				results <- fmt.Errorf("%s: %w", doc.Source, result.Error)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	close(results)
	for err := range results {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// depths are the ranks at which recall is measured.
func depths() []int { return []int{1, 5, 10} }

// askAll submits every question as a job and reads the sources the router put
// into its task, in place of the generator.
func askAll(ctx context.Context, cl *client.Client, nc *nats.Conn, found figures, folder string) error {
	gold, err := readGold(filepath.Join(folder, "qrels.tsv"))
	if err != nil {
		return err
	}
	b, err := bus.New(nc)
	if err != nil {
		return err
	}
	consumer := bus.GenerateConsumer("small", event.LaneBatch, 1024)
	if err := b.EnsureConsumer(ctx, consumer); err != nil {
		return err
	}
	puller := bus.NewPuller(nc, consumer.Stream, consumer.Durable, inFlight)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go puller.Run(ctx) //nolint:errcheck // ends with ctx
	submitted := make(chan error, 1)
	go func() { submitted <- submitQuestions(ctx, cl, filepath.Join(folder, "queries.jsonl")) }()

	hits, total := map[int]int{}, 0
	for total < len(gold) {
		select {
		case msg := <-puller.Messages():
			task, err := event.Decode[event.GenerateTask](msg.Data)
			if err != nil {
				return err
			}
			total++
			rank := rankOf(task.Sources, gold[task.ID])
			for _, k := range depths() {
				if rank < k {
					hits[k]++
				}
			}
			msg.Ack() //nolint:errcheck // a second delivery would only repeat the count's last
			puller.Done()
		case err := <-submitted:
			if err != nil {
				return err
			}
			submitted = nil
		case <-time.After(time.Minute):
			return fmt.Errorf("only %d of %d questions were routed", total, len(gold))
		}
	}
	for _, k := range depths() {
		found[fmt.Sprint("recall_at_", k)] = float64(hits[k]) / float64(total)
	}
	found["questions"] = float64(total)
	return nil
}

// rankOf is the place, from 0, of the first source that is gold; documents
// count once.
func rankOf(sources []event.Source, gold map[string]bool) int {
	seen := map[string]bool{}
	for _, s := range sources {
		if gold[s.Source] {
			return len(seen)
		}
		seen[s.Source] = true
	}
	return 1 << 30
}

// readGold reads which documents answer which question.
func readGold(path string) (map[string]map[string]bool, error) {
	gold := map[string]map[string]bool{}
	err := readLines(path, func(line []byte) error {
		fields := strings.Split(string(line), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%s: %q has %d fields, want 3", path, line, len(fields))
		}
		if gold[fields[0]] == nil {
			gold[fields[0]] = map[string]bool{}
		}
		gold[fields[0]][fields[1]] = true
		return nil
	})
	return gold, err
}

func submitQuestions(ctx context.Context, cl *client.Client, path string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(inFlight)
	err := readLines(path, func(line []byte) error {
		var row struct{ ID, Text string }
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("decoding %s: %w", path, err)
		}
		group.Go(func() error {
			job := event.GenerateJob{Messages: []event.Message{{Role: "user", Content: row.Text}},
				RAG: &event.RAG{Collection: "squad", TopK: 10}}
			job.ID, job.Lane = row.ID, event.LaneBatch
			_, err := cl.Generate(ctx, tenant, job)
			return err
		})
		return nil
	})
	return errors.Join(err, group.Wait())
}

// maxLine bounds a line of a data set, in bytes.
const maxLine = 16 << 20

func readLines(path string, each func(line []byte) error) error {
	file, err := os.Open(path) //nolint:gosec // the data set's own files
	if err != nil {
		return fmt.Errorf("opening data: %w", err)
	}
	defer file.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
