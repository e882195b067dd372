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

	"github.com/weir-dev/weir/cmd/weir/internal/source"
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
	found, err := collect(e, c.Paths)
	if err != nil {
		return err
	}
	return e.withClient(func(cl *client.Client) error {
		err := ingest(e, cl, c, found.names)
		if err == nil && (c.Prune || c.Watch) {
			err = c.prune(e, cl, append(found.names, found.skipped...))
		}
		if !c.Watch || e.ctx.Err() != nil {
			return err
		}
		if err != nil {
			fmt.Fprintln(e.err, "weir:", err)
		}
		return c.watch(e, cl, found.files)
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
		from := entry.Row.Meta.Source
		if entry.Row.Deleted || there[from] || !c.below(from) || entry.Document.ID != event.DocumentID(from) {
			continue
		}
		if err := c.remove(e, cl, from); err != nil {
			return err
		}
	}
	return nil
}

// below reports whether a source is a file in one of the folders.
func (c *ingestCmd) below(name string) bool {
	for _, path := range c.Paths {
		if isURL(path) || isURL(name) {
			continue // a URL is no folder, and in none
		}
		if rest, ok := strings.CutPrefix(name, sourceOf(path)+"/"); ok && rest != "" || sourceOf(path) == "." && filepath.IsLocal(name) {
			return true
		}
	}
	return false
}

// remove removes the document of a file that is gone.
func (c *ingestCmd) remove(e *env, cl *client.Client, name string) error {
	job := event.DeleteJob{Collection: c.Collection, Document: event.DocumentID(name)}
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
		return e.printJSON(map[string]any{"file": name, "result": result})
	}
	fmt.Fprintf(e.out, "%s: %s\n", name, outcomeLine(result.Ingested))
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

// found is what the paths of a command lead to.
type found struct {
	files []source.File
	names []string // of files and URLs, in the order of the paths
	// skipped are the files that are left out for what they are: they are not gone.
	skipped []string
}

// maxFile is the size of the largest file that is taken from a folder: that of the
// ingestor's default.
const maxFile = parse.DefaultMaxBytes

// taken says which files of a folder are taken.
func taken() source.Options {
	return source.Options{Accept: parse.Reads, MaxBytes: maxFile}
}

func (e *env) leftOut(s source.Skip) { fmt.Fprintf(e.err, "%s: left out: %s\n", s.Source, s.Reason) }

// collect lists the documents to send, each once.
func collect(e *env, paths []string) (found, error) {
	var f found
	seen := map[string]bool{}
	for _, path := range paths {
		if isURL(path) {
			if !seen[path] {
				seen[path] = true
				f.names = append(f.names, path)
			}
			continue
		}
		files, skips, err := source.Walk([]string{path}, taken())
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return f, coded(exitUsage, "no file or folder %s", path)
		case err != nil:
			return f, err
		}
		for _, skip := range skips {
			f.skipped = append(f.skipped, skip.Source)
			e.leftOut(skip)
		}
		for _, file := range files {
			if !seen[file.Source] {
				seen[file.Source] = true
				f.files, f.names = append(f.files, file), append(f.names, file.Path)
			}
		}
	}
	if len(f.names) == 0 {
		return f, coded(exitUsage, "no files of a known format in %s", strings.Join(paths, ", "))
	}
	return f, nil
}

// watch follows the folders until it is interrupted: what changes is stored, what
// goes is removed.
func (c *ingestCmd) watch(e *env, cl *client.Client, known []source.File) error {
	var paths []string
	for _, path := range c.Paths {
		if !isURL(path) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return coded(exitUsage, "--watch: name a file or folder; URLs are not watched")
	}
	opts := source.WatchOptions{
		Options: taken(), Known: known,
		Ready: func() {
			if !e.JSON {
				fmt.Fprintf(e.out, "watching %s\n", strings.Join(paths, ", "))
			}
		},
		Skipped: e.leftOut,
	}
	return source.Watch(e.ctx, paths, opts, func(change source.Change) { c.changed(e, cl, change) })
}

// changed brings the collection up to a changed file. What fails is told; the next
// change of the file tries again.
func (c *ingestCmd) changed(e *env, cl *client.Client, change source.Change) {
	if change.Removed {
		if err := c.remove(e, cl, change.Source); err != nil && e.ctx.Err() == nil {
			fmt.Fprintf(e.err, "%s: %v\n", change.Source, err)
		}
		return
	}
	result, err := c.send(e.ctx, e.Tenant, cl, change.Path)
	switch {
	case e.ctx.Err() != nil:
	case e.JSON:
		e.printIngested(change.Source, result, err)
	case err != nil:
		fmt.Fprintf(e.err, "%s: %v\n", change.Source, err)
	default:
		fmt.Fprintf(e.out, "%s: %s\n", change.Source, outcomeLine(result.Ingested))
	}
}
