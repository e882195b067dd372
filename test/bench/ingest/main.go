// Command ingest measures the stages of ingestion, each beside what others do
// with the same bytes in the same run: parsing; chunking beside langchaingo's
// token splitter and sha256; embedding; storing beside Qdrant's own client; and
// parsing and chunking of files made to be slow, at their size and ten times
// that. It prints the figures and writes them, flat, to a JSON file.
//
// A stage has a file of its own and a line in [stages]; the later ones find the
// documents and chunks of the earlier ones in the corpus.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/test/internal/figures"
)

// stage measures one step of ingestion. It stops at the next measurement when
// the context ends.
type stage struct {
	name    string
	measure func(context.Context, *corpus, figures.Figures) error
}

// stages returns the stages in the order of ingestion.
func stages() []stage {
	return []stage{
		{"parse", benchParse},
		{"chunk", benchChunk},
		{"embed", benchEmbed},
		{"upsert", benchUpsert},
		{"ugly files", benchUgly},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ingest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	out := flag.String("out", "build/bench", "folder for the JSON file")
	data := flag.String("data", dataset.Folder(), "folder with the data sets (WEIR_DATA)")
	rounds := flag.Int("rounds", 5, "rounds; of the times of a stage the median counts, of those of an ugly file the least")
	flag.Parse()

	c, err := readCorpus(ctx, *data, *rounds)
	if err != nil {
		return err
	}
	found := figures.Figures{}
	for _, s := range stages() {
		if err := s.measure(ctx, c, found); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	found.Print()
	return found.Write(filepath.Join(*out, "ingest.json"))
}

// timed returns the seconds one call of f takes: the mean of as many as take the
// time of the sample, at least one. Two things are compared by samples of the
// same time, so that other load on the machine meets both alike.
func timed(sample time.Duration, f func()) float64 {
	start := time.Now()
	for n := 1; ; n++ {
		f()
		if d := time.Since(start); d >= sample {
			return d.Seconds() / float64(n)
		}
	}
}
