package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// maxIgnoreBytes bounds an ignore file: a larger one is an error.
const maxIgnoreBytes = 1 << 20

// rules are the lines of a folder's ignore file, and those of the folders above.
// Nil ignores nothing.
type rules struct {
	outer *rules
	dir   string
	rules []rule // the last one that matches decides
}

// rule is a line of an ignore file (https://git-scm.com/docs/gitignore). Other than
// for git, "?" is a character and not a byte, and classes such as [[:alpha:]] are
// refused.
type rule struct {
	glob    string // matched against the path below the folder
	include bool   // "!": take what an earlier rule leaves out
	dirOnly bool
}

// readRules adds the folder's ignore file, if it has one, to the outer rules.
func readRules(dir string, outer *rules) (*rules, error) {
	path := filepath.Join(dir, IgnoreFile)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return outer, nil
	}
	if err == nil && (info.Size() > maxIgnoreBytes || !info.Mode().IsRegular()) {
		return nil, fmt.Errorf("reading %s: not a text file of at most %d bytes", path, maxIgnoreBytes)
	}
	var data []byte
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ignore file: %w", err)
	}
	inner := &rules{outer: outer, dir: dir}
	text := strings.TrimPrefix(string(data), "\ufeff")
	for i, line := range strings.Split(text, "\n") {
		r, ok := parseRule(strings.TrimSuffix(line, "\r"))
		if !ok {
			continue
		}
		if strings.Contains(line, "[:") || !doublestar.ValidatePattern(r.glob) {
			return nil, fmt.Errorf("reading %s: line %d: %q is not supported, write ranges such as [a-z]*.md", path, i+1, line)
		}
		inner.rules = append(inner.rules, r)
	}
	return inner, nil
}

// ignores reports whether a path is left out. The folders above it are known not
// to be: what is in a folder that is left out is never looked at.
func (r *rules) ignores(path string, isDir bool) bool {
	for ; r != nil; r = r.outer {
		below, err := filepath.Rel(r.dir, path)
		if err != nil {
			continue // can't be: the path was made of the folder's
		}
		below = filepath.ToSlash(below)
		for _, rule := range slices.Backward(r.rules) {
			if (isDir || !rule.dirOnly) && doublestar.MatchUnvalidated(rule.glob, below) {
				return !rule.include
			}
		}
	}
	return false
}

// parseRule reads a line; not ok if it says nothing.
func parseRule(line string) (r rule, ok bool) {
	line = trimSpaces(line)
	if line == "" || line[0] == '#' {
		return r, false
	}
	line, r.include = strings.CutPrefix(line, "!")
	line, r.dirOnly = strings.CutSuffix(line, "/")
	if line == "" {
		return r, false
	}
	anchored := strings.Contains(line, "/")
	r.glob = escape(strings.TrimPrefix(line, "/"))
	if !anchored {
		r.glob = "**/" + r.glob
	}
	// Inside the folder, not the folder itself.
	if r.glob == "**" || strings.HasSuffix(r.glob, "/**") {
		r.glob += "/*"
	}
	return r, true
}

// trimSpaces removes spaces at the end, unless the last is escaped.
func trimSpaces(line string) string {
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	return line
}

// escape makes a pattern of git one of doublestar: braces mean nothing special,
// and a double star beside other characters is a single one.
func escape(pattern string) string {
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		if part == "**" {
			continue
		}
		var b strings.Builder
		for j := 0; j < len(part); j++ {
			switch c := part[j]; {
			case c == '\\' && j+1 < len(part):
				b.WriteString(part[j : j+2])
				j++
			case c == '{' || c == '}':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c == '*' && j > 0 && part[j-1] == '*':
			default:
				b.WriteByte(c)
			}
		}
		parts[i] = b.String()
	}
	return strings.Join(parts, "/")
}
