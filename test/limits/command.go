// Command limits measures how near to a provider's limits a fleet of workers
// calls it: Weir's generators beside workers that retry naively, divide the limit
// among themselves, or keep a limiter each, all against the simulator, in one run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// load is what all cases have in common.
type load struct {
	tpm     int64         // the provider's limit; that of requests is not in the way
	offered float64       // of the limit
	seconds time.Duration // of a run
	warmUp  time.Duration // not counted
	slots   int           // calls at once of one worker
	// spent is the part of the provider's bucket that is used up before a run. Weir
	// waits while less than half is left.
	spent float64
}

// figures are what was measured, by case and name.
type figures map[string]float64

func main() {
	out := flag.String("out", "build/bench", "folder for limits.json")
	chart := flag.String("svg", "", "file for the chart; none is drawn without")
	only := flag.String("cases", "", "cases to run, comma separated; all without")
	seconds := flag.Duration("time", 75*time.Second, "length of a case")
	offered := flag.Float64("offered", 1.5, "offered load as a part of the limit")
	worker := flag.String("worker", "", "be a worker of this NATS server and simulator (URL,URL)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l := load{tpm: 12_000_000, offered: *offered, seconds: *seconds, warmUp: 5 * time.Second, slots: 128, spent: 0.45}
	err := run(ctx, l, *worker, *only, *out, *chart)
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "limits:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l load, worker, only, out, chart string) error {
	if worker != "" {
		nats, sim, _ := strings.Cut(worker, ",")
		return work(ctx, l, nats, sim)
	}
	found, path := figures{}, filepath.Join(out, "limits.json")
	if only != "" { // added to what was found before
		if data, err := os.ReadFile(path); err == nil {
			if err := json.Unmarshal(data, &found); err != nil {
				return fmt.Errorf("reading %s: %w", path, err)
			}
		}
	}
	for _, c := range cases() {
		if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
			continue
		}
		if err := c.run(ctx, l, found); err != nil {
			return fmt.Errorf("case %s: %w", c.name, err)
		}
		found.print(c.name)
	}
	if err := found.write(path); err != nil {
		return err
	}
	if chart == "" {
		return nil
	}
	if err := os.WriteFile(chart, []byte(draw(found)), 0o600); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	return nil
}

// print shows the figures of one case.
func (f figures) print(name string) {
	fmt.Printf("%-12s", name)
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if what, ok := strings.CutPrefix(key, name+"."); ok {
			fmt.Printf("  %s %.4g", what, f[key])
		}
	}
	fmt.Println()
}

func (f figures) write(path string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding figures: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("making %s: %w", filepath.Dir(path), err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing figures: %w", err)
	}
	return nil
}
