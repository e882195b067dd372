package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watching is a Watch under test.
type watching struct {
	dir     string
	changes chan string // "+" or "-" and the path below dir
	skips   chan Skip
}

// start watches paths below a folder with some files; known files are not reported.
func start(t *testing.T, paths ...string) *watching {
	t.Helper()
	w := &watching{dir: t.TempDir(), changes: make(chan string, 1000), skips: make(chan Skip, 10)}
	for _, name := range []string{"a.md", "b.md", "sub/c.md", "sub/deep/d.md"} {
		write(t, w.dir, name, "old")
	}
	for i := range paths {
		paths[i] = filepath.Join(w.dir, paths[i])
	}
	opts := WatchOptions{Options: Options{Accept: markdown, MaxBytes: 1000}, Quiet: 20 * time.Millisecond, Skipped: func(s Skip) { w.skips <- s }}
	known, _, err := Walk(paths, opts.Options)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	opts.Known, opts.Ready = known, func() { close(ready) }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Watch(ctx, paths, opts, w.report) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("watch ended with %v", err)
		}
		if len(w.changes) > 0 {
			t.Errorf("more changes: %s", <-w.changes)
		}
	})
	<-ready
	return w
}

func (w *watching) report(c Change) {
	name, err := filepath.Rel(w.dir, c.Path)
	if err != nil {
		name = err.Error()
	}
	sign := "+"
	if c.Removed {
		sign = "-"
	}
	w.changes <- sign + filepath.ToSlash(name)
}

// wants awaits these changes, in whatever batches they come, and no others before.
func (w *watching) wants(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for range want {
		select {
		case c := <-w.changes:
			got = append(got, c)
		case <-time.After(10 * time.Second):
			t.Fatalf("changes %q, want %q", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("changes %q, want %q", got, want)
	}
}

func (w *watching) path(name string) string { return filepath.Join(w.dir, name) }

func (w *watching) rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(w.path(from), w.path(to)); err != nil {
		t.Fatal(err)
	}
}

func (w *watching) remove(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(w.path(name)); err != nil {
		t.Fatal(err)
	}
}

func TestWatchFolder(t *testing.T) {
	t.Parallel()
	w := start(t, ".")

	write(t, w.dir, "new.md", "x")
	w.wants(t, "+new.md")
	write(t, w.dir, "a.md", "new text")
	w.wants(t, "+a.md")
	write(t, w.dir, "new.pdf", "x")
	write(t, w.dir, ".hidden.md", "x")
	w.remove(t, "new.md")
	w.wants(t, "-new.md")

	// New folders, at once with what is in them, and later.
	write(t, w.dir, "x/y/z/e.md", "x")
	w.wants(t, "+x/y/z/e.md")
	write(t, w.dir, "x/y/z/f.md", "x")
	w.wants(t, "+x/y/z/f.md")

	// A folder is renamed, and works under its new name.
	w.rename(t, "x/y", "moved")
	w.wants(t, "-x/y/z/e.md", "-x/y/z/f.md", "+moved/z/e.md", "+moved/z/f.md")
	write(t, w.dir, "moved/z/e.md", "other")
	w.wants(t, "+moved/z/e.md")

	// A folder goes, and another one of its name comes.
	w.remove(t, "sub")
	w.wants(t, "-sub/c.md", "-sub/deep/d.md")
	write(t, w.dir, "sub/deep/d.md", "x")
	w.wants(t, "+sub/deep/d.md")

	// Too large.
	write(t, w.dir, "b.md", strings.Repeat("x", 1001))
	w.wants(t, "-b.md")
	if s := <-w.skips; !strings.HasSuffix(s.Source, "/b.md") || s.Reason != "1001 bytes, larger than 1000" {
		t.Errorf("skip %+v", s)
	}
}

// TestWatchEditors: each way to save a file is one change of it.
func TestWatchEditors(t *testing.T) {
	t.Parallel()
	w := start(t, ".")
	// Write another file and rename it (most programs).
	write(t, w.dir, ".a.md.swp", "saved")
	w.rename(t, ".a.md.swp", "a.md")
	w.wants(t, "+a.md")
	// Of the same size and time as before.
	info, err := os.Stat(w.path("a.md"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, ".tmp", "SAVED")
	if err := os.Chtimes(w.path(".tmp"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	w.rename(t, ".tmp", "a.md")
	w.wants(t, "+a.md")
	// Keep the old one as a backup, write a new one, remove the backup (Vim).
	w.rename(t, "a.md", "a.md~")
	write(t, w.dir, "a.md", "saved again")
	w.remove(t, "a.md~")
	w.wants(t, "+a.md")
	// Change nothing but the mode.
	if err := os.Chmod(w.path("b.md"), 0o640); err != nil {
		t.Fatal(err)
	}
	write(t, w.dir, "sub/c.md", "last")
	w.wants(t, "+sub/c.md")
}

// TestWatchIgnore: an ignore file takes effect when it is saved.
func TestWatchIgnore(t *testing.T) {
	t.Parallel()
	w := start(t, ".")
	write(t, w.dir, "sub/"+IgnoreFile, "deep/\n")
	w.wants(t, "-sub/deep/d.md")
	write(t, w.dir, "sub/deep/d.md", "unseen")
	w.remove(t, "sub/"+IgnoreFile)
	w.wants(t, "+sub/deep/d.md")
}

// TestWatchPaths: named files and folders are followed when they are replaced.
func TestWatchPaths(t *testing.T) {
	t.Parallel()
	w := start(t, "a.md", "sub")
	write(t, w.dir, "b.md", "not watched")
	write(t, w.dir, ".tmp", "saved")
	w.rename(t, ".tmp", "a.md")
	w.wants(t, "+a.md")
	w.remove(t, "a.md")
	w.wants(t, "-a.md")
	write(t, w.dir, "a.md", "back")
	w.wants(t, "+a.md")
	w.rename(t, "sub", "elsewhere")
	w.wants(t, "-sub/c.md", "-sub/deep/d.md")
	write(t, w.dir, "elsewhere/c.md", "not watched any more")
	w.rename(t, "elsewhere", "sub")
	w.wants(t, "+sub/c.md", "+sub/deep/d.md")
	write(t, w.dir, "sub/deep/d.md", "watched again")
	w.wants(t, "+sub/deep/d.md")
}

// TestWatchKnown: what changed before the start is reported, removals first.
func TestWatchKnown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a.md", "b.md", "c.md"} {
		write(t, dir, name, "old")
	}
	known, _, err := Walk([]string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a.md", "changed")
	write(t, dir, "new.md", "new")
	if err := os.Remove(filepath.Join(dir, "c.md")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	opts := WatchOptions{Known: known, Ready: cancel}
	err = Watch(ctx, []string{dir}, opts, func(c Change) {
		got = append(got, fmt.Sprint(filepath.Base(c.Path), " ", c.Size, " ", c.Removed))
	})
	if want := []string{"c.md 3 true", "a.md 7 false", "new.md 3 false"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("changes %q (%v), want %q", got, err, want)
	}
	if err := Watch(t.Context(), []string{filepath.Join(dir, "none")}, opts, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that of the path", err)
	}
}

// TestQuiet: when notifications lead to a scan, by the clock of the bubble.
func TestQuiet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.md")
	event := func(name string, op fsnotify.Op) fsnotify.Event { return fsnotify.Event{Name: name, Op: op} }
	const q = time.Second
	for _, tc := range []struct {
		name   string
		events map[time.Duration]any // by the time they come
		scans  []time.Duration
	}{
		{"one", map[time.Duration]any{0: event(file, fsnotify.Write)}, []time.Duration{q}},
		{"burst", map[time.Duration]any{0: event(file, fsnotify.Create), q / 2: event(file, fsnotify.Write), q: event(file, fsnotify.Remove)}, []time.Duration{2 * q}},
		{"two", map[time.Duration]any{0: event(file, fsnotify.Rename), 3 * q: event(file, fsnotify.Write)}, []time.Duration{q, 4 * q}},
		{"mode", map[time.Duration]any{0: event(file, fsnotify.Chmod)}, nil},
		{"hidden", map[time.Duration]any{0: event(filepath.Join(dir, ".a.swp"), fsnotify.Create)}, nil},
		{"ignore file", map[time.Duration]any{0: event(filepath.Join(dir, IgnoreFile), fsnotify.Create)}, []time.Duration{q}},
		{"beside the folder", map[time.Duration]any{0: event(dir+".md", fsnotify.Create)}, nil},
		{"the folder", map[time.Duration]any{0: event(dir, fsnotify.Remove)}, []time.Duration{q}},
		{"lost", map[time.Duration]any{0: fsnotify.ErrEventOverflow}, []time.Duration{q}},
		{"lost and found", map[time.Duration]any{0: fsnotify.ErrEventOverflow, q / 2: event(file, fsnotify.Write)}, []time.Duration{3 * q / 2}},
		{"endless", endless(event(file, fsnotify.Write), 3*q/10, 25*q), []time.Duration{10 * q, 20*q + q/5, 25*q + 9*q/10}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { checkQuiet(t, dir, q, tc.events, tc.scans) })
		})
	}
}

func endless(event any, every, until time.Duration) map[time.Duration]any {
	events := map[time.Duration]any{}
	for at := time.Duration(0); at <= until; at += every {
		events[at] = event
	}
	return events
}

func checkQuiet(t *testing.T, dir string, quiet time.Duration, script map[time.Duration]any, want []time.Duration) {
	var scans []time.Duration
	begin := time.Now()
	w := newWatch([]string{dir}, WatchOptions{Quiet: quiet}, func(Change) {})
	w.drop = func(string) {}
	w.add = func(added string) error {
		if added == dir {
			scans = append(scans, time.Since(begin))
		}
		return nil
	}
	if err := w.rescan(); err != nil {
		t.Fatal(err)
	}
	scans = nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	events, failures := make(chan fsnotify.Event), make(chan error)
	for at, what := range script {
		time.AfterFunc(at, func() {
			if err, ok := what.(error); ok {
				failures <- err
				return
			}
			events <- what.(fsnotify.Event)
		})
	}
	if err := w.run(ctx, events, failures); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(scans, want) {
		t.Errorf("scans at %v, want %v", scans, want)
	}
}

// TestWatchFailure: trouble of the notifications ends the watch, with a reason.
func TestWatchFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	failures := make(chan error, 1)
	failures <- broken
	w := newWatch(nil, WatchOptions{}, nil)
	if err := w.run(t.Context(), nil, failures); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	ended := make(chan fsnotify.Event)
	close(ended)
	if err := w.run(t.Context(), ended, nil); err == nil {
		t.Error("the end of the notifications is no error")
	}
}
