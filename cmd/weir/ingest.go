package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/weir-dev/weir/cmd/weir/internal/source"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

type ingestCmd struct {
	Paths      []string      `arg:"" name:"path" help:"Files and folders; of a folder, the Markdown and text files below it that aren't hidden or listed in a .weirignore file."`
	Collection string        `default:"docs" help:"Collection to store the documents in."`
	Lane       string        `default:"batch" enum:"interactive,batch" help:"Lane of the jobs."`
	InFlight   int           `default:"64" help:"How many documents may be under way at once."`
	Timeout    time.Duration `default:"0" help:"How long to wait for all of them (0: for ever)."`
}

// isDocument reports whether a file of a folder is taken; a file named by itself
// is always sent, and refused with a reason if it can't be read.
func isDocument(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md", ".markdown", ".txt", ".text":
		return true
	}
	return false
}

// Run stores the documents and waits until all are indexed.
func (c *ingestCmd) Run(e *env) error {
	files, err := collect(e.err, c.Paths)
	if err != nil {
		return err
	}
	cl, nc, err := e.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	return ingest(e, cl, c, files)
}

// ingest sends the files and follows them to the end.
func ingest(e *env, cl *client.Client, c *ingestCmd, files []string) error {
	ctx, cancel := e.withTimeout(c.Timeout)
	defer cancel()
	progress := newProgress(e, len(files))
	var wait sync.WaitGroup
	slots := make(chan struct{}, max(1, c.InFlight))
	for _, file := range files {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			result, err := c.send(ctx, e.Tenant, cl, file)
			if err != nil && ctx.Err() != nil && !e.JSON {
				return // told once, at the end
			}
			progress.add(file, result, err)
		})
	}
	wait.Wait()
	return progress.end(ctx.Err())
}

// send submits one file and awaits its result.
func (c *ingestCmd) send(ctx context.Context, tenant string, cl *client.Client, file string) (event.Result, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return event.Result{}, fmt.Errorf("reading file: %w", err)
	}
	source := filepath.ToSlash(filepath.Clean(file))
	job := event.IngestJob{Collection: c.Collection, Document: event.Document{ID: event.DocumentID(source), Source: source}}
	job.Lane = event.Lane(c.Lane)
	if job.Document.Data = data; utf8.Valid(data) {
		job.Document.Text, job.Document.Data = string(data), nil
	}
	if len(data) == 0 {
		return event.Result{}, event.Invalid("document", "leave it out", "the file is empty")
	}
	id, err := cl.Ingest(ctx, tenant, job)
	if err != nil {
		return event.Result{}, err
	}
	result, err := cl.Await(ctx, tenant, id)
	if err != nil {
		return result, waitError(err, id)
	}
	return result, jobError(result)
}

// collect lists the files to send, in order, each once. What it leaves out for a
// reason that may surprise goes to notes.
func collect(notes io.Writer, paths []string) ([]string, error) {
	found, skips, err := source.Walk(paths, source.Options{Accept: isDocument})
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, source.ErrUnsupported):
		return nil, coded(exitUsage, "no file or folder: %v", err)
	case err != nil:
		return nil, err
	}
	for _, s := range skips {
		fmt.Fprintf(notes, "weir: left out %s: %s\n", s.Source, s.Reason)
	}
	if len(found) == 0 {
		return nil, coded(exitUsage, "no Markdown or text files in %s", strings.Join(paths, ", "))
	}
	files := make([]string, len(found))
	for i, f := range found {
		files[i] = f.Path
	}
	return files, nil
}
