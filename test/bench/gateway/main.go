// Command gateway measures the HTTP API beside the provider it stands before: what
// a chat completion takes through Weir and directly, side by side in one run; what
// an idle stream takes; how fast a batch of 50,000 is; and how good quotes are.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

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
	weir := flag.String("weir", "build/weir", "the weir binary")
	pairs := flag.Int("pairs", 2000, "completions of each kind that are timed one by one")
	load := flag.Int("load", 10_000, "completions of each kind under load")
	streams := flag.Int("streams", 10_000, "idle streams")
	lines := flag.Int("lines", 50_000, "lines of the batch")
	flag.Parse()

	found := figures.Figures{}
	r, err := start(ctx, *weir)
	if err != nil {
		return err
	}
	defer r.stop()
	for _, part := range []struct {
		name string
		n    int
		run  func(context.Context, *rig, figures.Figures, int) error
	}{
		{"latency", *pairs, benchLatency}, {"load", *load, benchLoad}, {"batch", *lines, benchBatch}, {"idle streams", *streams, benchIdle}, {"quotes", 500, benchQuotes},
	} {
		if part.n == 0 {
			continue
		}
		if err := part.run(ctx, r, found, part.n); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	found.Print()
	return found.Write(filepath.Join(*out, "gateway.json"))
}
