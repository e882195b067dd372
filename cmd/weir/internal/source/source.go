// Package source finds the documents in files and folders, and watches them for
// changes.
//
// A file that is named by itself is always taken. Of a folder those below it are,
// except hidden files and folders, node_modules, symbolic links (which could lead
// in circles, or out of the folder) and what .weirignore files leave out. These
// have the syntax of .gitignore and apply to the folder they stand in and those
// below; a later line and a deeper file win.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strings"
	"syscall"
	"time"
)

// ErrUnsupported is what a path leads to that is neither a file nor a folder.
var ErrUnsupported = errors.New("neither a file nor a folder")

// IgnoreFile is the name of the files that say what to leave out.
const IgnoreFile = ".weirignore"

// Options say which files are taken. The zero value takes all, of any size.
type Options struct {
	// Accept reports whether a file of a folder is a document, by its name; nil
	// accepts all. Files named by themselves are not asked about.
	Accept func(name string) bool
	// MaxBytes leaves out larger files; 0 is no limit.
	MaxBytes int64
}

// File is a document on disk.
type File struct {
	// Source names the document: the path as it was given, without "./" and
	// detours, with slashes on every system. Given relative paths it doesn't
	// depend on where the folder lies.
	Source string
	// Path opens the file.
	Path    string
	Size    int64 // bytes
	ModTime time.Time

	info fs.FileInfo // nil if it was not found by this package
}

// changed reports whether b is another state of the file than a. Editors replace
// files by new ones, which may have the old time.
func changed(a, b File) bool {
	return a.Size != b.Size || !a.ModTime.Equal(b.ModTime) || a.info != nil && b.info != nil && !os.SameFile(a.info, b.info)
}

// Skip is a file that is left out for a reason the user may not know of.
type Skip struct {
	Source string
	Reason string // such as "larger than 1000 bytes"
}

// Walk lists the documents of files and folders, each once, in the order of the
// paths and by name below them. A path that doesn't exist is an error that wraps
// fs.ErrNotExist; one that leads to a device or the like wraps ErrUnsupported.
func Walk(paths []string, opts Options) ([]File, []Skip, error) {
	w := newWalker(opts)
	for _, path := range paths {
		if err := w.root(path); err != nil {
			return nil, nil, err
		}
	}
	return w.files, w.skips, nil
}

// walker collects files. Entries that vanish while it walks are left out.
type walker struct {
	opts  Options
	files []File
	skips []Skip
	seen  map[string]bool // by path
	// enter is called for each folder before it is read.
	enter func(dir string) error
}

func newWalker(opts Options) *walker {
	return &walker{opts: opts, seen: map[string]bool{}, enter: func(string) error { return nil }}
}

// root takes a path that was named, whatever its name is.
func (w *walker) root(path string) error {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", path, cause(err))
	case info.IsDir():
		return w.folder(path, nil)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s: %w", path, ErrUnsupported)
	}
	w.take(path, info)
	return nil
}

// folder takes what is in a folder. outer are the rules of the folders above.
func (w *walker) folder(dir string, outer *rules) error {
	if w.seen[dir] {
		return nil
	}
	w.seen[dir] = true
	if err := w.enter(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading folder: %w", err)
	}
	inner, err := readRules(dir, outer)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := w.entry(filepath.Join(dir, entry.Name()), entry, inner); err != nil && !vanished(err) {
			return err
		}
	}
	return nil
}

func (w *walker) entry(path string, entry fs.DirEntry, r *rules) error {
	if hidden(entry.Name()) || r.ignores(path, entry.IsDir()) {
		return nil
	}
	switch mode := entry.Type(); {
	case mode.IsDir() && entry.Name() == "node_modules":
		return nil
	case mode.IsDir():
		return w.folder(path, r)
	case w.opts.Accept != nil && !w.opts.Accept(entry.Name()):
		return nil
	case mode&fs.ModeSymlink != 0:
		w.skip(path, "a symbolic link; name it to take it")
		return nil
	case !mode.IsRegular():
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return fmt.Errorf("looking at %s: %w", path, err)
	}
	w.take(path, info)
	return nil
}

// cause is an error of the file system without its path.
func cause(err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// vanished reports whether an entry went, or became another kind, since it was seen.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// take adds a file that was not taken before and is not too large.
func (w *walker) take(path string, info fs.FileInfo) {
	switch {
	case w.seen[path]:
	case w.opts.MaxBytes > 0 && info.Size() > w.opts.MaxBytes:
		w.skip(path, fmt.Sprintf("%d bytes, larger than %d", info.Size(), w.opts.MaxBytes))
	default:
		w.files = append(w.files, File{Source: filepath.ToSlash(path), Path: path, Size: info.Size(), ModTime: info.ModTime(), info: info})
	}
	w.seen[path] = true
}

func (w *walker) skip(path, reason string) {
	if !w.seen[path] {
		w.skips = append(w.skips, Skip{Source: filepath.ToSlash(path), Reason: reason})
	}
	w.seen[path] = true
}
