package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// DefaultQuiet is how long nothing must happen before changes are reported: longer
// than an editor needs to save a file in several steps.
const DefaultQuiet = 300 * time.Millisecond

// maxQuiets bounds, in multiples of WatchOptions.Quiet, how long changes that
// don't cease are held back.
const maxQuiets = 10

// Change is a document that is new or different, or gone.
type Change struct {
	File
	// Removed reports that the file is gone, renamed, grown above
	// Options.MaxBytes or left out by an ignore file; Size and ModTime are those
	// it had.
	Removed bool
}

// WatchOptions say what is watched and how. The zero value watches all files.
type WatchOptions struct {
	Options
	// Known are the files as the caller has seen them, such as those that Walk
	// found: what changed since is reported at once. Nil reports all files.
	Known []File
	// Quiet is how long nothing must happen before changes are reported; 0 is
	// DefaultQuiet.
	Quiet time.Duration
	// Ready, if not nil, is called once, when no later change can be missed.
	Ready func()
	// Skipped, if not nil, is told of files that are left out: those that are at the start, and
	// those that come to be.
	Skipped func(Skip)
}

// Watch reports the changes of files and folders until ctx ends, which is no
// error. It also takes what appears below the folders, and a named path that goes
// and comes back in the same folder; one that doesn't exist at the start is an error, as for Walk.
// onChange is called for one change at a time, those that are found together in
// the order removals first and then by Source.
//
// Each notification of the system only starts a new walk, whose result is
// compared with the last one: so nothing depends on which notifications an editor
// causes or whether some were lost. File systems that don't notify (most network
// mounts) can't be watched.
func Watch(ctx context.Context, paths []string, opts WatchOptions, onChange func(Change)) error {
	if _, _, err := Walk(paths, opts.Options); err != nil {
		return err
	}
	notifier, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching files: %w", err)
	}
	defer notifier.Close() //nolint:errcheck // nothing depends on it any more
	w := newWatch(paths, opts, onChange)
	w.add = func(dir string) error { return watchError(dir, notifier.Add(dir)) }
	w.drop = func(dir string) { notifier.Remove(dir) } //nolint:errcheck // it went with its folder
	if err := w.rescan(); err != nil {
		return err
	}
	if opts.Ready != nil {
		opts.Ready()
	}
	return w.run(ctx, notifier.Events, notifier.Errors)
}

// watch is the state of one Watch.
type watch struct {
	roots    []string
	opts     WatchOptions
	onChange func(Change)
	add      func(dir string) error
	drop     func(dir string)

	known   map[string]File // by Source
	skipped map[Skip]bool
	dirs    map[string]fs.FileInfo // folders that are watched for their entries
}

func newWatch(paths []string, opts WatchOptions, onChange func(Change)) *watch {
	opts.Quiet = cmp.Or(opts.Quiet, DefaultQuiet)
	w := &watch{opts: opts, onChange: onChange, known: map[string]File{}, skipped: map[Skip]bool{}, dirs: map[string]fs.FileInfo{}}
	for _, path := range paths {
		w.roots = append(w.roots, filepath.Clean(path))
	}
	for _, f := range opts.Known {
		w.known[f.Source] = f
	}
	return w
}

// run rescans when notifications cease, or don't for long.
func (w *watch) run(ctx context.Context, events <-chan fsnotify.Event, failures <-chan error) error {
	var due <-chan time.Time
	var first time.Time // notification since the last scan
	arm := func() {
		if due == nil {
			first = time.Now()
		}
		due = time.After(min(w.opts.Quiet, time.Until(first.Add(maxQuiets*w.opts.Quiet))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event, ok := <-events:
			if !ok {
				return errors.New("watching files: the system's notifications ended")
			}
			if w.relevant(event) {
				arm()
			}
		case err := <-failures:
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watching files: %w", err)
			}
			arm() // some were lost; the scan finds what they told
		case <-due:
			due = nil
			if err := w.rescan(); err != nil {
				return err
			}
		}
	}
}

// relevant reports whether a notification can be of a document.
func (w *watch) relevant(event fsnotify.Event) bool {
	path := filepath.Clean(event.Name)
	switch {
	case event.Op == fsnotify.Chmod:
		return false
	case slices.Contains(w.roots, path):
		return true
	case w.dirs[filepath.Dir(path)] == nil && w.dirs[path] == nil:
		return false // of the folder around a root
	}
	name := filepath.Base(path)
	return !hidden(name) || name == IgnoreFile
}

// rescan walks the roots and reports what is different since the last time.
func (w *watch) rescan() error {
	w.dropGone()
	walker := newWalker(w.opts.Options)
	walker.enter = w.enter
	for _, root := range w.roots {
		if parent := filepath.Dir(root); parent != root && filepath.Base(root) != ".." {
			// It tells when the root is replaced.
			if err := w.add(parent); err != nil && !vanished(err) {
				return err
			}
		}
		if err := walker.root(root); err != nil && !vanished(err) {
			return err
		}
	}
	for dir := range w.dirs {
		if !walker.seen[dir] {
			delete(w.dirs, dir) // left out by now; its notifications lead to nothing
		}
	}
	w.report(walker)
	return nil
}

// dropGone ends the watching of folders that are gone or renamed. The system
// watches a folder and not its name, so this must happen before the folder is
// watched under a new name: afterwards it would end that too.
func (w *watch) dropGone() {
	for dir, before := range w.dirs {
		if now, err := os.Stat(dir); err != nil || !os.SameFile(before, now) {
			w.drop(dir)
			delete(w.dirs, dir)
		}
	}
}

// enter watches a folder before it is read, so that nothing falls in between.
func (w *watch) enter(dir string) error {
	if err := w.add(dir); err != nil {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	w.dirs[dir] = info
	return nil
}

// report tells the differences between the last walk and this one.
func (w *watch) report(now *walker) {
	files, skipped := make(map[string]File, len(now.files)), map[Skip]bool{}
	var changes []Change
	for _, f := range now.files {
		files[f.Source] = f
		if before, ok := w.known[f.Source]; !ok || changed(before, f) {
			changes = append(changes, Change{File: f})
		}
	}
	for name, f := range w.known {
		if _, ok := files[name]; !ok {
			changes = append(changes, Change{File: f, Removed: true})
		}
	}
	for _, s := range now.skips {
		skipped[s] = true
		if !w.skipped[s] && w.opts.Skipped != nil {
			w.opts.Skipped(s)
		}
	}
	w.known, w.skipped = files, skipped
	slices.SortFunc(changes, inOrder)
	for _, c := range changes {
		w.onChange(c)
	}
}

// inOrder has removals first, so that a moved document is never there twice.
func inOrder(a, b Change) int {
	switch {
	case a.Removed == b.Removed:
		return strings.Compare(a.Source, b.Source)
	case a.Removed:
		return -1
	}
	return 1
}

// watchError explains the limit that watching many folders meets on Linux.
func watchError(dir string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("watching %s: too many folders for this system; raise fs.inotify.max_user_watches (sysctl): %w", dir, err)
	}
	return fmt.Errorf("watching %s: %w", dir, err)
}
