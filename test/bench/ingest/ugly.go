package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/parse"
	"github.com/weir-dev/weir/pkg/tokens"
	"github.com/weir-dev/weir/test/internal/figures"
)

// times is how much larger the larger version of a file is.
const times = 10

// benchUgly measures parsing and chunking together on files made to be slow, as
// they are and ten times as large: linear work takes ten times as long. What is
// refused is measured until then.
//
// A file is made larger by repeating its content, which for gzip repeats the
// unpacked content as well. A zip archive has no such form: there the larger one
// is ten runs, which says nothing about the ratio and is not counted in it.
// Between tables of CSV comes a line end: else two rows would be one of twice the
// columns, and every other row be filled up to those.
func benchUgly(ctx context.Context, c *corpus, found figures.Figures) error {
	counter, err := tokens.New(tokens.Cl100kBase)
	if err != nil {
		return fmt.Errorf("making a counter: %w", err)
	}
	opt := chunk.DefaultOptions(counter)
	fmt.Printf("%-24s %10s %10s %7s %9s %9s  %s\n", "ugly file", "ms", "ms, 10x", "ratio", "peak MB", "MB, 10x", "chunks or refusal, 10x")
	for _, f := range c.ugly {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		u := measureUgly(ctx, f, opt, c.rounds)
		fmt.Printf("%-24s %10.3f %10.3f %7.1f %9.1f %9.1f  %s\n", f.name, u.small*1e3, u.large*1e3, u.large/u.small, u.smallPeak, u.largePeak, u.result)
		found["ugly_ms_"+f.name], found["ugly_10x_"+f.name] = u.small*1e3, u.large/u.small
		if !archive(f) {
			found["worst_ugly_10x"] = max(found["worst_ugly_10x"], u.large/u.small)
		}
		found["worst_ugly_10x_s"] = max(found["worst_ugly_10x_s"], u.large)
		found["worst_ugly_10x_peak_mb"] = max(found["worst_ugly_10x_peak_mb"], u.largePeak)
	}
	return nil
}

// archive reports whether f is a zip archive.
func archive(f file) bool { return filepath.Ext(f.name) == ".docx" }

// content is what of f is repeated.
func content(f file) []byte {
	if filepath.Ext(f.name) == ".csv" && !bytes.HasSuffix(f.data, []byte("\n")) {
		return append(bytes.Clone(f.data), '\n')
	}
	return f.data
}

// uglyFigures are the seconds and the megabytes of heap of both sizes.
type uglyFigures struct {
	small, large         float64
	smallPeak, largePeak float64
	result               string // of the larger one
}

// uglySample is the least time of a sample of an ugly file.
const uglySample = 50 * time.Millisecond

// measureUgly takes samples of both sizes in turn, each in its least time. Of the
// file as it is ten runs in a row are one, so that both allocate the same and
// both meet the garbage collector; a single run would end before it starts.
func measureUgly(ctx context.Context, f file, opt chunk.Options, rounds int) uglyFigures {
	larger := file{f.name, bytes.Repeat(content(f), times)}
	small := func() { _, _ = ingest(ctx, f, opt) }
	ten := func() {
		for range times {
			small()
		}
	}
	large := func() { _, _ = ingest(ctx, larger, opt) }
	if archive(f) {
		larger, large = f, ten
	}
	u := uglyFigures{small: math.Inf(1), large: math.Inf(1), smallPeak: peak(small), largePeak: peak(large)}
	sample := func(run func()) float64 {
		runtime.GC() // what the other one left is not its work
		return timed(uglySample, run)
	}
	for range rounds {
		u.large = min(u.large, sample(large))
		u.small = min(u.small, sample(ten)/times)
	}
	chunks, err := ingest(ctx, larger, opt)
	u.result = fmt.Sprint(len(chunks))
	if err != nil {
		u.result = err.Error()
	}
	return u
}

// ingest parses and cuts a file.
func ingest(ctx context.Context, f file, opt chunk.Options) ([]chunk.Chunk, error) {
	doc, err := parse.Parse(ctx, input(f))
	if err != nil {
		return nil, fmt.Errorf("parsing: %w", err)
	}
	chunks, err := chunk.Split(doc, opt)
	if err != nil {
		return nil, fmt.Errorf("cutting: %w", err)
	}
	return chunks, nil
}

// peak returns how many megabytes the heap grows by while f runs, sampled every
// half millisecond: what is live, and what is not yet collected.
func peak(f func()) float64 {
	debug.FreeOSMemory()
	before, most := heap(), uint64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		for {
			most = max(most, heap())
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	f()
	after := heap()
	close(stop)
	<-done
	most = max(most, after)
	return float64(most-min(most, before)) / 1e6
}

// heap returns the bytes of the heap's objects.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
