package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/weir-dev/weir/pkg/chunk"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

// corpus is what the stages work on. Each stage leaves its results to the next.
type corpus struct {
	rounds int
	files  []file          // demo-docs, those that can be parsed
	ugly   []file          // ugly
	docs   []document      // of files, by benchParse
	chunks [][]chunk.Chunk // of docs, by benchChunk
}

type file struct {
	name string
	data []byte
}

type document struct {
	parse.Document
	name string
}

// megabytes returns the size of files.
func megabytes(files []file) float64 {
	n := 0
	for _, f := range files {
		n += len(f.data)
	}
	return float64(n) / 1e6
}

// readCorpus reads the data sets of ingestion.
func readCorpus(ctx context.Context, data string, rounds int) (*corpus, error) {
	dir := filepath.Join(data, "rag")
	demo, err := readFiles(filepath.Join(dir, "demo-docs"))
	if err != nil {
		return nil, err
	}
	c := &corpus{rounds: max(1, rounds)}
	skipped := 0
	for _, f := range demo {
		_, err := parse.Parse(ctx, input(f))
		var refused *event.Error
		switch {
		case err == nil:
			c.files = append(c.files, f)
		case errors.As(err, &refused): // of a format that is not read
			skipped++
		default:
			return nil, fmt.Errorf("parsing %s: %w", f.name, err)
		}
	}
	fmt.Printf("demo-docs: %d files are parsed, %d are refused\n", len(c.files), skipped)
	c.ugly, err = readFiles(filepath.Join(dir, "ugly"))
	return c, err
}

// readFiles returns the files below a folder.
func readFiles(dir string) ([]file, error) {
	var files []file
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files = append(files, file{filepath.Base(path), data})
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; set WEIR_DATA to the folder that holds rag/demo-docs and rag/ugly", err)
	}
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no files in %s", dir)
	}
	return files, err
}

func input(f file) parse.Input { return parse.Input{Name: f.name, Data: f.data} }
