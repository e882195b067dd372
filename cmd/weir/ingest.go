package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/parse"
)

type ingestCmd struct {
	Paths      []string          `arg:"" name:"path" help:"Files, folders and URLs; of a folder, the files below it whose format is known."`
	Collection string            `default:"docs" help:"Collection to store the documents in."`
	Metadata   map[string]string `placeholder:"KEY=VALUE" help:"Metadata of all of them, to filter by."`
	ACL        []string          `name:"acl" placeholder:"NAME" help:"Who may read them (users, groups); default: everybody in the tenant."`
	Watch      bool              `help:"Go on: follow the folders, store what changes and remove what goes."`
	Prune      bool              `help:"Remove documents of the collection whose file in the given folders is gone."`
	Lane       string            `default:"batch" enum:"interactive,batch" help:"Lane of the jobs."`
	InFlight   int               `default:"64" help:"How many documents may be under way at once."`
	Timeout    time.Duration     `default:"0" help:"How long to wait for all of them (0: for ever)."`
}

// Run stores the documents and waits until all are indexed.
func (c *ingestCmd) Run(e *env) error {
	files, err := collect(c.Paths)
	if err != nil {
		return err
	}
	return e.withClient(func(cl *client.Client) error {
		err := ingest(e, cl, c, files)
		if err == nil && c.Prune {
			err = c.prune(e, cl, files)
		}
		if c.Watch && e.ctx.Err() == nil {
			return errors.Join(err, c.watch(e, cl))
		}
		return err
	})
}

// ingest sends the files and follows them to the end.
func ingest(e *env, cl *client.Client, c *ingestCmd, files []string) error {
	ctx, cancel := e.withTimeout(c.Timeout)
	defer cancel()
	progress := newProgress(e, len(files))
	stop, err := cl.Lives(e.Tenant, progress.life)
	if err != nil {
		return err
	}
	defer stop()
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

// send submits one file or URL and awaits its result.
func (c *ingestCmd) send(ctx context.Context, tenant string, cl *client.Client, file string) (event.Result, error) {
	job := event.IngestJob{Collection: c.Collection}
	job.Lane = event.Lane(c.Lane)
	d := &job.Document
	d.Metadata, d.ACL, d.Source = c.Metadata, c.ACL, sourceOf(file)
	d.ID = event.DocumentID(d.Source)
	if isURL(file) {
		d.URL = file
	} else {
		data, err := os.ReadFile(file)
		if err != nil {
			return event.Result{}, fmt.Errorf("reading file: %w", err)
		}
		if len(data) == 0 {
			return event.Result{}, event.Invalid("document", "leave it out", "the file is empty")
		}
		d.Data = data
	}
	id, err := cl.Ingest(ctx, tenant, job)
	if err != nil {
		return event.Result{}, err
	}
	return awaitJob(ctx, cl, tenant, id)
}

// awaitJob waits for a job; a failed one is an error as well.
func awaitJob(ctx context.Context, cl *client.Client, tenant, id string) (event.Result, error) {
	result, err := cl.Await(ctx, tenant, id)
	if err != nil {
		return result, waitError(err, id)
	}
	return result, jobError(result)
}

// prune removes the documents whose files are gone: those whose source lies in one
// of the folders and is none of the files.
func (c *ingestCmd) prune(e *env, cl *client.Client, files []string) error {
	there := map[string]bool{}
	for _, file := range files {
		there[sourceOf(file)] = true
	}
	for entry, err := range cl.Documents(e.ctx, e.Tenant, c.Collection) {
		if err != nil {
			return err
		}
		source := entry.Row.Meta.Source
		if entry.Row.Deleted || there[source] || !c.below(source) || entry.Document.ID != event.DocumentID(source) {
			continue
		}
		if err := c.remove(e, cl, source); err != nil {
			return err
		}
	}
	return nil
}

// below reports whether a source is a file in one of the folders.
func (c *ingestCmd) below(source string) bool {
	for _, path := range c.Paths {
		if rest, ok := strings.CutPrefix(source, sourceOf(path)+"/"); ok && rest != "" || sourceOf(path) == "." && !isURL(source) {
			return true
		}
	}
	return false
}

// remove removes the document of a file that is gone.
func (c *ingestCmd) remove(e *env, cl *client.Client, source string) error {
	job := event.DeleteJob{Collection: c.Collection, Document: event.DocumentID(source)}
	job.Lane = event.Lane(c.Lane)
	id, err := cl.Delete(e.ctx, e.Tenant, job)
	if err != nil {
		return err
	}
	result, err := awaitJob(e.ctx, cl, e.Tenant, id)
	if err != nil {
		return err
	}
	if e.JSON {
		return e.printJSON(map[string]any{"file": source, "result": result})
	}
	fmt.Fprintf(e.out, "%s: %s\n", source, outcomeLine(result.Ingested))
	return nil
}

// sourceOf names a file or URL in citations, and its document with it.
func sourceOf(file string) string {
	if isURL(file) {
		return file
	}
	return filepath.ToSlash(filepath.Clean(file))
}

func isURL(s string) bool { return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") }

// collect lists the files to send, in order, each once.
func collect(paths []string) ([]string, error) {
	var files []string
	seen := map[string]bool{}
	add := func(file string) {
		if !isURL(file) {
			file = filepath.Clean(file)
		}
		if !seen[file] {
			seen[file] = true
			files = append(files, file)
		}
	}
	for _, path := range paths {
		if isURL(path) {
			add(path)
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, coded(exitUsage, "no file or folder %s", path)
		}
		if err != nil {
			return nil, fmt.Errorf("looking at %s: %w", path, err)
		}
		if !info.IsDir() {
			add(path)
			continue
		}
		if err := walk(path, add); err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, coded(exitUsage, "no files of a known format in %s", strings.Join(paths, ", "))
	}
	return files, nil
}

// walk adds the documents below a folder, leaving out hidden folders.
func walk(root string, add func(string)) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.Type().IsRegular() && parse.Reads(path):
			add(path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading folder %s: %w", root, err)
	}
	return nil
}

func (c *ingestCmd) watch(*env, *client.Client) error { return errors.New("to come") }
