// Command retrieval measures what Weir finds without a model: recall of the
// sparse lists, of their fusion and of the reranker, per data set and language;
// under typing errors; the sentences it cites and the questions it should not
// answer. It prints a table and writes the figures, flat, to retrieval.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/rerank"
	"github.com/weir-dev/weir/pkg/sparse"
	"github.com/weir-dev/weir/test/internal/figures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "retrieval:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "build/bench", "folder for the JSON file")
	data := flag.String("data", dataset.Folder(), "folder that holds rag/ (WEIR_DATA)")
	names := flag.String("sets", strings.Join(setNames(), ","), "sets to measure")
	kind := flag.String("store", storeQdrant, "vector store: qdrant (embedded), or memory for experiments")
	weights := flag.String("train", "", "train the reranker and write its weights to this file instead")
	flag.Parse()

	s, stop, err := openStore(ctx, *kind)
	if err != nil {
		return err
	}
	b := bench{data: *data, store: s, encoder: sparse.New(), ranker: rerank.New(), found: figures.Figures{}}
	if *weights != "" {
		return errors.Join(b.train(ctx, *weights), stop())
	}
	start := time.Now()
	err = b.measure(ctx, strings.Split(*names, ","))
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	b.print(strings.Split(*names, ","))
	fmt.Printf("\nmeasured in %s\n", time.Since(start).Round(time.Second))
	return b.found.Write(filepath.Join(*out, "retrieval.json"))
}
