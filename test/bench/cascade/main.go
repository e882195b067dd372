// Command cascade measures how well Weir chooses models, on recorded outcomes of
// real ones: routers before the answer beside RouteLLM's, policy tables beside
// simpler strategies, replays of live traffic. Everything that is fitted is
// measured on questions it was not fitted on. It prints a block each, draws a
// chart and writes the figures, flat, to cascade.json.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/test/internal/figures"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cascade:", err)
		os.Exit(1)
	}
}

// bench is what the blocks share: where the data are.
type bench struct {
	data string // the folder that is measured on
	fit  string // the folder that is fitted on; "" is by cross-fitting on data
}

// block is one part of the benchmark.
type block struct {
	name string
	run  func(ctx context.Context) (figures.Figures, string, error)
}

func (b bench) blocks() []block {
	return []block{
		{"routellm", func(context.Context) (figures.Figures, string, error) { return routeLLM(b.data, b.fit) }},
		{"table", func(context.Context) (figures.Figures, string, error) { return b.table() }},
		{"replay", func(context.Context) (figures.Figures, string, error) { return b.replay() }},
		{"cache", cacheBlock},
		{"decide", decide},
		{"live", live},
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "build/bench", "folder for the JSON file")
	data := flag.String("data", dataset.Folder(), "folder that holds cascade/ (WEIR_DATA)")
	fit := flag.String("fit", os.Getenv("WEIR_FIT_DATA"), "folder that holds cascade/ to fit on; without it by cross-fitting (WEIR_FIT_DATA)")
	only := flag.String("only", "", "blocks to run, separated by commas (default: all)")
	svg := flag.String("svg", "", "file for the chart")
	flag.Parse()

	b := bench{data: filepath.Join(*data, "cascade")}
	if *fit != "" {
		b.fit = filepath.Join(*fit, "cascade")
	}
	found, failed := b.measure(ctx, *only)
	if len(found) == 0 {
		return failed
	}
	if *svg != "" {
		if err := os.WriteFile(*svg, []byte(draw(found)), 0o600); err != nil {
			return fmt.Errorf("writing chart: %w", err)
		}
	}
	return errors.Join(failed, found.Write(filepath.Join(*out, "cascade.json")))
}

// measure runs the blocks one after the other and prints what they found. One that
// fails does not keep the others from being measured.
func (b bench) measure(ctx context.Context, only string) (figures.Figures, error) {
	found := figures.Figures{}
	var failed error
	ran := 0
	for _, block := range b.blocks() {
		if only != "" && !slices.Contains(strings.Split(only, ","), block.name) {
			continue
		}
		ran++
		start := time.Now()
		part, text, err := block.run(ctx)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", block.name, err))
			continue
		}
		fmt.Printf("%s\n(%s, in %s)\n\n", strings.TrimRight(text, "\n"), block.name, time.Since(start).Round(100*time.Millisecond))
		maps.Copy(found, part)
	}
	if ran == 0 {
		return nil, errors.New("-only names no block")
	}
	found.Print()
	return found, failed
}
