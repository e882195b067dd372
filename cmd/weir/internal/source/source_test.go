package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func markdown(name string) bool { return strings.EqualFold(filepath.Ext(name), ".md") }

func sources(files []File) (names []string) {
	for _, f := range files {
		names = append(names, f.Source)
	}
	return names
}

// TestWalk runs in a folder of its own, so that sources are relative.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{
		"docs/b.md", "docs/a.MD", "docs/big.md", "docs/c.pdf", "docs/.dot.md", "docs/.hidden/g.md", "docs/.git/h.md", "docs/node_modules/p/readme.md",
		"docs/sub/f.md", "docs/sub/comma, and.md", "docs/draft/d.md", "docs/draft/keep.md", "docs/sub/draft/e.md", "other/x.md", "other/x.txt",
	} {
		write(t, ".", name, name)
	}
	write(t, ".", "docs/big.md", strings.Repeat("x", 101))
	write(t, ".", "docs/.weirignore", "draft/*\n!keep.md\n")
	write(t, ".", "docs/sub/.weirignore", "!draft/*\n")
	for link, to := range map[string]string{"docs/loop": "..", "docs/link.md": "b.md", "docs/sub/outside.md": "/etc/passwd", "linked": "docs"} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	folder := []string{"docs/a.MD", "docs/b.md", "docs/draft/keep.md", "docs/sub/comma, and.md", "docs/sub/draft/e.md", "docs/sub/f.md"}
	for _, tc := range []struct {
		name                 string
		paths, want, skipped []string
	}{
		{"folder", []string{"docs"}, folder, []string{"docs/big.md", "docs/link.md", "docs/sub/outside.md"}},
		{"folder in other words", []string{"./other/../docs/"}, folder, []string{"docs/big.md", "docs/link.md", "docs/sub/outside.md"}},
		{"twice, and a file of it", []string{"docs", "docs/sub/..", "./docs/b.md"}, folder, []string{"docs/big.md", "docs/link.md", "docs/sub/outside.md"}},
		{"part of it first", []string{"docs/sub/f.md", "docs/sub"}, []string{"docs/sub/f.md", "docs/sub/comma, and.md", "docs/sub/draft/e.md"}, []string{"docs/sub/outside.md"}},
		{"all below", []string{"."}, append(slices.Clone(folder), "other/x.md"), []string{"docs/big.md", "docs/link.md", "docs/sub/outside.md"}},
		{"named files of any kind", []string{"docs/c.pdf", "docs/.dot.md", "docs/draft/d.md", "docs/link.md"}, []string{"docs/c.pdf", "docs/.dot.md", "docs/draft/d.md", "docs/link.md"}, nil},
		{"named but too large", []string{"docs/big.md"}, nil, []string{"docs/big.md"}},
		{"hidden folders by name", []string{"docs/.git", "docs/node_modules"}, []string{"docs/.git/h.md", "docs/node_modules/p/readme.md"}, nil},
		{"linked folder by name", []string{"linked/sub/draft", "linked/draft"}, []string{"linked/sub/draft/e.md", "linked/draft/d.md", "linked/draft/keep.md"}, nil},
		{"linked folder", []string{"linked"}, []string{"linked/a.MD", "linked/b.md", "linked/draft/keep.md", "linked/sub/comma, and.md", "linked/sub/draft/e.md", "linked/sub/f.md"}, []string{"linked/big.md", "linked/link.md", "linked/sub/outside.md"}},
		{"absolute", []string{filepath.Join(dir, "other")}, []string{filepath.ToSlash(dir) + "/other/x.md"}, nil},
		{"nothing", nil, nil, nil},
	} {
		files, skips, err := Walk(tc.paths, Options{Accept: markdown, MaxBytes: 100})
		var skipped []string
		for _, s := range skips {
			skipped = append(skipped, s.Source)
		}
		if err != nil || !slices.Equal(sources(files), tc.want) || !slices.Equal(skipped, tc.skipped) {
			t.Errorf("%s: files %q, want %q; skipped %q, want %q (%v)", tc.name, sources(files), tc.want, skipped, tc.skipped, err)
		}
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "a.md", "12345")
	at := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	files, _, err := Walk([]string{dir}, Options{})
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if f := files[0]; f.Path != path || f.Source != filepath.ToSlash(path) || f.Size != 5 || !f.ModTime.Equal(at) {
		t.Errorf("file %+v", f)
	}
}

func TestWalkErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "posix/.weirignore", "*.log\n[[:alpha:]].md\n")
	write(t, dir, "open/.weirignore", "[a.md\n")
	write(t, dir, "huge/.weirignore", strings.Repeat("#", maxIgnoreBytes+1))
	if err := os.MkdirAll(filepath.Join(dir, "folder", IgnoreFile), 0o750); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		path, want string
		is         error
	}{
		{"none", "none", fs.ErrNotExist},
		{"none/below", "none/below", fs.ErrNotExist},
		{"posix", `line 2: "[[:alpha:]].md" is not supported`, nil},
		{"open", `line 1: "[a.md" is not supported`, nil},
		{"huge", "at most 1048576 bytes", nil},
		{"folder", "not a text file", nil},
	} {
		_, _, err := Walk([]string{filepath.Join(dir, tc.path)}, Options{})
		if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
			t.Errorf("%s: error %v, want %s", tc.path, err, tc.want)
		}
	}
	if _, _, err := Walk([]string{dir, os.DevNull}, Options{}); err == nil {
		t.Error("a bad ignore file below the folder passes")
	}
	if _, _, err := Walk([]string{os.DevNull}, Options{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("error %v, want that a device is no document", err)
	}
}

// TestUnreadable: a folder that can't be read is an error, never an empty one,
// for whose documents a watcher would report the end.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("SKIPPED: root can read every folder")
	}
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Walk([]string{dir}, Options{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v, want that of the folder", err)
	}
}
