// Package repo checks the repository itself: what the docs say exists, and what
// the binaries are made of.
package repo

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's root, seen from this package.
const root = "../.."

// pages lists the documentation.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var (
	// code is a span in backticks, link a Markdown link's target.
	code = regexp.MustCompile("`([^`\n]+)`")
	link = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	// place is a span that names a path of this repository.
	place = regexp.MustCompile(`^(\.ci|\.golangci\.yml|pkg|embedded|services|cmd|test|docs|deploy|api)(/[A-Za-z0-9_./*-]*)?$`)
)

// TestDocsNamePathsThatExist keeps the docs true to the tree.
func TestDocsNamePathsThatExist(t *testing.T) {
	t.Parallel()
	named := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllSubmatch(text, -1) {
			span := string(m[1])
			if !place.MatchString(span) {
				continue
			}
			named++
			if matches, err := filepath.Glob(filepath.Join(root, span)); err != nil || len(matches) == 0 {
				t.Errorf("%s names `%s`, which does not exist", page, span)
			}
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			target := string(m[1])
			if strings.Contains(target, "://") {
				continue
			}
			named++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s links to %s, which does not exist", page, target)
			}
		}
	}
	if named < 40 {
		t.Errorf("only %d paths were found in the docs; is the pattern still right?", named)
	}
}

// TestDocsNameEveryRoom: a package that no page names can't be found.
func TestDocsNameEveryRoom(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{"pkg", "embedded", "services", "test"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			room := parent + "/" + e.Name()
			if e.IsDir() && e.Name() != "internal" && !bytes.Contains(text, []byte("`"+room+"`")) {
				t.Errorf("docs/architecture.md does not name `%s`", room)
			}
		}
	}
}

// goList runs `go list` at the root and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.Fields(string(out))
}

// services lists the packages of the services' commands.
func services(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(root, "services/*/cmd/*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no service commands found: %v", err)
	}
	for i, dir := range dirs {
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			t.Fatal(err)
		}
		dirs[i] = "./" + filepath.ToSlash(rel)
	}
	return dirs
}

// TestServicesLinkNoStandIns: a production binary holds no embedded server, no
// test library and no other service.
func TestServicesLinkNoStandIns(t *testing.T) {
	t.Parallel()
	for _, service := range services(t) {
		t.Run(service, func(t *testing.T) {
			t.Parallel()
			own := strings.Split(service, "/")[2]
			for _, dep := range goList(t, "-deps", service) {
				for _, banned := range []string{"weir/embedded/", "nats-server", "go.etcd.io/bbolt", "stretchr/testify", "testing"} {
					if dep == banned || strings.Contains(dep, banned) && banned != "testing" {
						t.Errorf("links %s", dep)
					}
				}
				if _, rest, ok := strings.Cut(dep, "weir/services/"); ok && !strings.HasPrefix(rest, own) {
					t.Errorf("links another service: %s", dep)
				}
			}
		})
	}
}

// TestImportRules checks each of our packages' own imports against the rooms.
func TestImportRules(t *testing.T) {
	t.Parallel()
	const module = "github.com/weir-dev/weir/"
	banned := map[string][]string{ // room: what its code must not import
		"pkg/":       {"embedded/", "services/", "cmd/", "test/"},
		"services/":  {"embedded/", "cmd/", "test/"},
		"embedded/":  {"pkg/", "services/", "cmd/", "test/"},
		"pkg/event":  {"pkg/"},
		"pkg/parse":  {"pkg/bus", "pkg/stage", "pkg/llm", "pkg/vector", "pkg/platform"},
		"pkg/chunk":  {"pkg/bus", "pkg/stage", "pkg/llm", "pkg/vector", "pkg/platform"},
		"pkg/llm":    {"pkg/bus", "pkg/stage", "pkg/vector", "pkg/platform"},
		"pkg/vector": {"pkg/bus", "pkg/stage", "pkg/llm", "pkg/platform"},
		"pkg/bus":    {"pkg/stage", "pkg/llm", "pkg/vector", "pkg/platform"},
	}
	allowed := map[string]bool{"embedded/ pkg/tokens": true}
	// The door to the providers stands on the fleet's shared state.
	const door = "pkg/llm/guard"
	checked := 0
	for _, line := range goList(t, "-f", `{{.ImportPath}},{{join .Imports ","}}`, "work") {
		parts := strings.Split(line, ",")
		from, ok := strings.CutPrefix(parts[0], module)
		if !ok {
			continue
		}
		checked++
		for room, targets := range banned {
			if !strings.HasPrefix(from+"/", room+"/") && !strings.HasPrefix(from, strings.TrimSuffix(room, "/")+"/") {
				continue
			}
			if from == door && room == "pkg/llm" {
				continue
			}
			for _, dep := range parts[1:] {
				to, ours := strings.CutPrefix(dep, module)
				if !ours || allowed[room+" "+to] {
					continue
				}
				for _, target := range targets {
					if strings.HasPrefix(to, target) {
						t.Errorf("%s imports %s", from, to)
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d packages were checked", checked)
	}
}

// TestServiceMainsAreSmall: a command only reads settings and wires.
func TestServiceMainsAreSmall(t *testing.T) {
	t.Parallel()
	for _, service := range services(t) {
		text, err := os.ReadFile(filepath.Join(root, service, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		if lines := bytes.Count(text, []byte("\n")); lines > 40 {
			t.Errorf("%s/main.go has %d lines, more than 40", service, lines)
		}
	}
}
