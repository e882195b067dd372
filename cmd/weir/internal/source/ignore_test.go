package source

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

// tree is a folder that patterns are tried on.
var tree = []string{
	"a.md", "b.md", "ab.md", "x.log", "important.log", "#x.md", "!x.md", "a.md ", "{a}.md", "[a].md", "docs2/a.md", "build/o.md",
	"docs/a.md", "docs/keep.md", "docs/sub/b.md", "docs/sub/x.log", "docs/sub/deep/b.md", "docs/tmp/c.md",
	"a/b.md", "a/x/b.md", "a/x/y/b.md", "sub/b.md", "tmp/q.md", "Übung/ä1.md",
}

var ignoreFiles = []string{
	"", "*.log", "*.log\n!important.log", "!important.log\n*.log", "/a.md", "build/", "build//", "build", "a.md/", "docs/**", "docs/**\n!docs/keep.md",
	"docs/\n!docs/keep.md", "**/tmp", "**/tmp/", "a/**/b.md", "a/**/y/b.md", "[!a].md", "[^a].md", "[a-b].md", "*\n!*.md", "*\n!*/\n!*.md", "/*\n!/docs",
	"/docs/*\n!/docs/sub", "docs/*\n!docs/sub/", "sub", "docs/sub", "/sub", "/sub/", `\#x.md`, `\!x.md`, "# c\na.md", "a.md   ", `a.md\ `, "a?.md", "?.md",
	"*.[lm]*", "**/*.log", "**", "/**", "**/", "*", "/", "!", "docs/**/*.md", "**/sub/**", "sub/**/", "*b", `a\.md`, "docs/sub/*.md\n!b.md",
	"sub/\n!docs/sub/b.md", "**.md", "docs**", "d*s/b.md", "d*s/*/b.md", "{a}.md", "{a,b}.md", `\[a\].md`, "a.md\r\nb.md\r\n", "\ufeffa.md", "Üb*/", "docs//a.md", "./a.md", "  a.md",
}

// gitIgnores asks git which files of the tree a .gitignore in its root ignores.
func gitIgnores(t *testing.T, dir, ignore string) []string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(ignore), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "git", "-c", "core.excludesFile=", "check-ignore", "--stdin", "-z", "--no-index")
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(strings.Join(tree, "\x00")+"\x00")
	out, _ := cmd.Output() // fails when there are none
	files := strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
	slices.Sort(files)
	return files
}

// ourIgnores is what Walk leaves out of the same tree.
func ourIgnores(t *testing.T, dir, ignore string) []string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, IgnoreFile), []byte(ignore), 0o600); err != nil {
		t.Fatal(err)
	}
	files, _, err := Walk([]string{dir}, Options{})
	if err != nil {
		t.Fatalf("%q: %v", ignore, err)
	}
	left := slices.Clone(tree)
	for _, f := range files {
		below, err := filepath.Rel(dir, f.Path)
		if err != nil {
			t.Fatal(err)
		}
		left = slices.DeleteFunc(left, func(s string) bool { return s == filepath.ToSlash(below) })
	}
	slices.Sort(left)
	return left
}

// TestIgnoreLikeGit: ignore files mean what they mean to git.
func TestIgnoreLikeGit(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("git is not installed")
		}
		t.Skip("SKIPPED: git is not installed, so ignore files are not compared with it")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, f := range tree {
		write(t, dir, f, "x")
	}
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"*", "**", "?", "/", "/", "a", "b", "docs", "sub", "x", ".md", ".log", "[ab]", "[!a]", "{", "!", "\n", "\n!", "\n/", "deep", "tmp"}
	cases := slices.Clone(ignoreFiles)
	for range 200 {
		var b strings.Builder
		for range 1 + random.IntN(8) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		cases = append(cases, b.String())
	}
	for _, ignore := range cases {
		if got, want := ourIgnores(t, dir, ignore), gitIgnores(t, dir, ignore); !slices.Equal(got, want) {
			t.Errorf("%q leaves out\n%q, git\n%q", ignore, got, want)
		}
	}
}

// FuzzRule: whatever a line says, it is refused or can be matched, and a line and
// its negation match the same.
func FuzzRule(f *testing.F) {
	for _, text := range ignoreFiles {
		f.Add(text, "docs/sub/b.md")
	}
	f.Fuzz(func(t *testing.T, line, path string) {
		r, ok := parseRule(line)
		negated, also := parseRule("!" + line)
		if !ok || !doublestar.ValidatePattern(r.glob) || r.include || line[0] == '#' {
			return
		}
		if got := doublestar.MatchUnvalidated(r.glob, path); !also || !negated.include || doublestar.MatchUnvalidated(negated.glob, path) != got {
			t.Errorf("%q: %+v, negated %+v", line, r, negated)
		}
	})
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
