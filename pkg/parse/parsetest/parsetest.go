// Package parsetest measures what parsing costs, for tests and benchmarks.
package parsetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/weir-dev/weir/pkg/parse"
)

// Cost is what one call of parse.Parse took.
type Cost struct {
	// Duration is the wall time.
	Duration time.Duration
	// Allocated is the bytes allocated meanwhile, by the whole process.
	Allocated uint64
	// Err is what Parse returned: a refusal has its cost too.
	Err error
}

// Measure parses in once. Run nothing beside it.
func Measure(ctx context.Context, in parse.Input) Cost {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	_, err := parse.Parse(ctx, in)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return Cost{Duration: took, Allocated: after.TotalAlloc - before.TotalAlloc, Err: err}
}

// Repeat returns in with its content n times in a row; what a gzip file holds,
// not the file, is repeated. It suits formats of text.
func Repeat(in parse.Input, n int) (parse.Input, error) {
	if !bytes.HasPrefix(in.Data, []byte("\x1f\x8b")) {
		in.Data = bytes.Repeat(in.Data, n)
		return in, nil
	}
	zr, err := gzip.NewReader(bytes.NewReader(in.Data))
	if err != nil {
		return in, fmt.Errorf("reading gzip: %w", err)
	}
	data, err := io.ReadAll(zr)
	if err != nil {
		return in, fmt.Errorf("reading gzip: %w", err)
	}
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	for range n {
		if _, err := zw.Write(data); err != nil {
			return in, fmt.Errorf("writing gzip: %w", err)
		}
	}
	if err := zw.Close(); err != nil {
		return in, fmt.Errorf("writing gzip: %w", err)
	}
	in.Data = b.Bytes()
	return in, nil
}
