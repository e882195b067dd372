// Command bench measures Weir: the pipeline's throughput and added latency
// beside bare JetStream doing the same hops in the same run, and the counting of
// tokens beside tiktoken-go/tokenizer. It prints the figures and writes them,
// flat, to JSON files.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figures are what a benchmark found, by name.
type figures map[string]float64

func run(ctx context.Context) error {
	out := flag.String("out", "build/bench", "folder for the JSON file")
	data := flag.String("data", dataDir(), "folder with the data sets (WEIR_DATA)")
	jobs := flag.Int("jobs", 20_000, "jobs per round of the throughput measurement")
	rounds := flag.Int("rounds", 5, "rounds; the median counts")
	onlyTokens := flag.Bool("tokens", false, "measure the counting of tokens and nothing else")
	flag.Parse()

	counted := figures{}
	if err := benchTokens(counted, *data, *rounds); err != nil {
		return fmt.Errorf("tokens: %w", err)
	}
	if err := write(filepath.Join(*out, "tokens.json"), counted); err != nil || *onlyTokens {
		return err
	}
	found := figures{}
	if err := benchPipeline(ctx, found, *jobs, *rounds); err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	return write(filepath.Join(*out, "pipeline.json"), found)
}

// dataDir is where the data sets are.
func dataDir() string {
	if dir := os.Getenv("WEIR_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "shared", "data")
}

func write(path string, found figures) error {
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Printf("%-24s %.4g\n", name, found[name])
	}
	data, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("making folder: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing figures: %w", err)
	}
	return nil
}

// quantile is the value below which a share q of the sorted values lies.
func quantile(sorted []float64, q float64) float64 {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(values []float64) float64 {
	slices.Sort(values)
	return quantile(values, 0.5)
}
