package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a worker in a process of its own.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	since time.Time
}

func startProcess(ctx context.Context, r *rig) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-worker", r.server.URL()+","+r.sim.URL()) //nolint:gosec // itself
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	p := &process{cmd: cmd, lines: bufio.NewScanner(out)}
	if !p.lines.Scan() || p.lines.Text() != "ready" {
		return nil, fmt.Errorf("a worker did not start: %q", p.lines.Text())
	}
	p.since = time.Now()
	return p, nil
}

// endAll stops workers, all at once, and returns what each did: its calls by the
// second of its life, as one that replaced another had less time.
func endAll(workers []*process) (did []stats) {
	end := time.Now()
	for _, p := range workers {
		p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be dead
	}
	for _, p := range workers {
		var s stats
		if p.lines.Scan() {
			json.Unmarshal(p.lines.Bytes(), &s) //nolint:errcheck // then it did nothing
		}
		p.cmd.Wait() //nolint:errcheck // stopping
		s.Calls /= end.Sub(p.since).Seconds()
		did = append(did, s)
	}
	return did
}

// processes is a fleet of n worker processes. With an interval, one is killed and
// replaced each time that has passed.
func processes(n int, killEvery time.Duration) fleet {
	return func(ctx context.Context, r *rig) (func() []stats, error) {
		workers := make([]*process, n)
		for i := range workers {
			p, err := startProcess(ctx, r)
			if err != nil {
				return nil, err
			}
			workers[i] = p
		}
		killing, cancel := context.WithCancel(ctx)
		var killer sync.WaitGroup
		if killEvery > 0 {
			killer.Go(func() { kill(killing, r, workers, killEvery) })
		}
		return func() []stats {
			cancel()
			killer.Wait()
			return endAll(workers)
		}, nil
	}
}

func kill(ctx context.Context, r *rig, workers []*process, every time.Duration) {
	for i := 0; wait(ctx, every) == nil; i++ {
		old := workers[i%len(workers)]
		old.cmd.Process.Kill() //nolint:errcheck // then it is dead already
		old.cmd.Wait()         //nolint:errcheck // killed
		p, err := startProcess(context.WithoutCancel(ctx), r)
		if err != nil {
			fmt.Fprintln(os.Stderr, "replacing a worker:", err)
			return
		}
		workers[i%len(workers)] = p
	}
}
