// Command bench measures Weir: the pipeline's throughput and added latency
// beside bare JetStream doing the same hops in the same run, and the counting of
// tokens beside tiktoken-go/tokenizer. It prints the figures and writes them,
// flat, to JSON files.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/test/internal/figures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "build/bench", "folder for the JSON file")
	data := flag.String("data", dataset.Folder(), "folder with the data sets (WEIR_DATA)")
	jobs := flag.Int("jobs", 20_000, "jobs per round of the throughput measurement")
	rounds := flag.Int("rounds", 5, "rounds; the median counts")
	onlyTokens := flag.Bool("tokens", false, "measure the counting of tokens and nothing else")
	flag.Parse()

	counted := figures.Figures{}
	if err := benchTokens(counted, *data, *rounds); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	counted.Print()
	if err := counted.Write(filepath.Join(*out, "tokens.json")); err != nil || *onlyTokens {
		return err
	}
	found := figures.Figures{}
	if err := benchPipeline(ctx, found, *jobs, *rounds); err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	found.Print()
	return found.Write(filepath.Join(*out, "pipeline.json"))
}
