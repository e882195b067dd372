package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/weir-dev/weir/test/internal/figures"
	"github.com/weir-dev/weir/test/quotes"
)

// warm is how many jobs are answered before quotes are measured.
const warm = 300

// benchQuotes compares the quotes of n mixed jobs with what they cost.
func benchQuotes(ctx context.Context, _ *rig, found figures.Figures, n int) error {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)                       //nolint:errcheck // temporary
	free, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once
	if err != nil {
		return fmt.Errorf("looking for a free address: %w", err)
	}
	free.Close() //nolint:errcheck // nothing was accepted
	measured, err := quotes.Measure(ctx, quotes.Config{Dir: dir, QdrantAddr: free.Addr().String(), Warm: warm, Jobs: n, Parallel: 8})
	if err != nil {
		return err
	}
	found["quote_covered"], found["quote_median_error"] = measured.Covered, measured.Error
	return nil
}
