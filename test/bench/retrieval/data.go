package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// document is one passage of a set.
type document struct{ ID, Title, Text string }

// question is one query of a set.
type question struct {
	ID, Text string
	Answers  []string
	// Answerable is nil where the set does not say.
	Answerable *bool
}

// set is one retrieval set: passages, questions, and which passages answer which.
type set struct {
	name      string
	documents []document
	questions []question
	gold      map[string]map[string]bool // question id to passage ids
}

// setNames are the sets that are measured, folders of WEIR_DATA/rag.
func setNames() []string {
	return []string{"squad", "selqa", "jsquad", "pubmedqa", "xquad-de", "xquad-ru", "xquad-ar", "xquad-tr",
		"xquad-hi", "xquad-el", "xquad-zh", "xquad-th", "nats-headings", "nats-qa"}
}

// readSet reads a set from its folder under root.
func readSet(root, name string) (set, error) {
	dir := filepath.Join(root, "rag", name)
	s := set{name: name, gold: map[string]map[string]bool{}}
	if err := readJSON(filepath.Join(dir, "corpus.jsonl"), &s.documents); err != nil {
		return s, err
	}
	if err := readJSON(filepath.Join(dir, "queries.jsonl"), &s.questions); err != nil {
		return s, err
	}
	path := filepath.Join(dir, "qrels.tsv")
	err := readLines(path, func(line []byte) error {
		fields := strings.Split(string(line), "\t")
		if len(fields) != 3 {
			return fmt.Errorf("%s: %q has %d fields, want 3", path, line, len(fields))
		}
		if s.gold[fields[0]] == nil {
			s.gold[fields[0]] = map[string]bool{}
		}
		s.gold[fields[0]][fields[1]] = true
		return nil
	})
	return s, err
}

// readJSON appends each line of the file to rows.
func readJSON[T any](path string, rows *[]T) error {
	return readLines(path, func(line []byte) error {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			return fmt.Errorf("decoding %s: %w", path, err)
		}
		*rows = append(*rows, row)
		return nil
	})
}

// maxLine bounds a line of a data set, in bytes.
const maxLine = 16 << 20

func readLines(path string, each func(line []byte) error) error {
	file, err := os.Open(path) //nolint:gosec // the data set's own files
	if err != nil {
		return fmt.Errorf("no data: set WEIR_DATA to the folder that holds rag/: %w", err)
	}
	defer file.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
