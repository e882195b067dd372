// Package dataset finds and reads the data sets of tests and benchmarks. They are
// no part of the repository.
package dataset

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Env names the folder with the data sets.
const Env = "WEIR_DATA"

// Folder returns that folder, by default shared/data beside the repository,
// whether it is there or not.
func Folder() string {
	if dir := os.Getenv(Env); dir != "" {
		return dir
	}
	root, err := filepath.Abs(".")
	if err != nil {
		root = "."
	}
	for ; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.work")); err == nil || root == filepath.Dir(root) {
			return filepath.Join(root, "..", "shared", "data")
		}
	}
}

// Path returns the path of a file or folder below Folder. Without it the test is
// skipped, saying so; with CI=true it fails.
func Path(t testing.TB, below ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{Folder()}, below...)...)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the data sets are missing: set %s: %v", Env, err)
		}
		t.Skipf("SKIPPED, NOT TESTED: the data sets are missing (set %s): %v", Env, err)
	}
	return path
}

// Document is one passage of a set.
type Document struct{ ID, Title, Text string }

// Question is one query of a set.
type Question struct {
	ID, Text string
	Answers  []string
	// Answerable is nil where the set does not say.
	Answerable *bool
}

// Set is one retrieval set: passages, questions, and which passages answer which.
type Set struct {
	Name      string
	Documents []Document
	Questions []Question
	Gold      map[string]map[string]bool // question id to passage ids
}

// Read reads a set, <folder>/rag/<name>.
func Read(folder, name string) (Set, error) {
	dir := filepath.Join(folder, "rag", name)
	s := Set{Name: name, Gold: map[string]map[string]bool{}}
	var err error
	if s.Documents, err = Rows[Document](filepath.Join(dir, "corpus.jsonl")); err != nil {
		return s, err
	}
	if s.Questions, err = Rows[Question](filepath.Join(dir, "queries.jsonl")); err != nil {
		return s, err
	}
	path := filepath.Join(dir, "qrels.tsv")
	err = lines(path, func(line []byte) error {
		fields := strings.Split(string(line), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%s: %q has %d fields, want 3", path, line, len(fields))
		}
		if s.Gold[fields[0]] == nil {
			s.Gold[fields[0]] = map[string]bool{}
		}
		s.Gold[fields[0]][fields[1]] = true
		return nil
	})
	return s, err
}

// Rows reads a file with a JSON value in each line.
func Rows[T any](path string) ([]T, error) {
	var rows []T
	err := lines(path, func(line []byte) error {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("decoding %s: %w", path, err)
		}
		rows = append(rows, row)
		return nil
	})
	return rows, err
}

// maxLine bounds a line of a data set, in bytes.
const maxLine = 16 << 20

// lines calls each with every line of a file that is not empty.
func lines(path string, each func(line []byte) error) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no data: set %s to the folder that holds rag/: %w", Env, err)
	}
	if err != nil {
		return fmt.Errorf("opening data: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, maxLine)
	for scanner.Scan() {
		if len(scanner.Bytes()) == 0 {
			continue
		}
		if err := each(scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
