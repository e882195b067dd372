package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
)

type docsCmd struct {
	Ls      docsLsCmd      `cmd:"" help:"List documents."`
	Show    docsShowCmd    `cmd:"" help:"Show a document's versions and chunks."`
	Rm      docsRmCmd      `cmd:"" help:"Remove documents."`
	Reindex docsReindexCmd `cmd:"" help:"Cut documents anew, from their URL or their stored text."`
	Verify  docsVerifyCmd  `cmd:"" help:"Compare what is stored with what should be."`
}

// document is what `weir docs ls --json` prints.
type document struct {
	Collection string            `json:"collection"`
	ID         string            `json:"id"`
	Version    int64             `json:"version"`
	Source     string            `json:"source,omitempty"`
	Title      string            `json:"title,omitempty"`
	MediaType  string            `json:"media_type,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	ACL        []string          `json:"acl,omitempty"`
	Chunks     int               `json:"chunks"`
	Tokens     int               `json:"tokens"`
	Bytes      int               `json:"bytes"`
	Created    time.Time         `json:"created,omitzero"`
	Updated    time.Time         `json:"updated,omitzero"`
	Deleted    bool              `json:"deleted,omitempty"`
	// Pending is the version that is being stored, PendingDone of PendingTotal
	// chunks of it.
	Pending      int64 `json:"pending,omitempty"`
	PendingDone  int   `json:"pending_done,omitempty"`
	PendingTotal int   `json:"pending_total,omitempty"`
}

func newDocument(collection, id string, r *manifest.Row) document {
	d := document{
		Collection: collection, ID: id, Version: r.Version, Source: r.Meta.Source, Title: r.Meta.Title,
		MediaType: r.MediaType, Metadata: r.Meta.Metadata, ACL: r.Meta.ACL, Chunks: len(r.Chunks), Tokens: r.Tokens, Bytes: r.Bytes,
		Created: r.Created, Updated: r.Updated, Deleted: r.Deleted,
	}
	if p := r.Pending; p != nil {
		d.Pending, d.PendingDone, d.PendingTotal = p.Version, p.Done(), len(p.Added)
		d.Source, d.Title = cmp.Or(d.Source, p.Meta.Source), cmp.Or(d.Title, p.Meta.Title)
	}
	return d
}

type docsLsCmd struct {
	Collection string `help:"Only this collection's."`
	Deleted    bool   `help:"Removed ones, too."`
}

// Run lists the tenant's documents by collection and source.
func (c *docsLsCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		var list []document
		for entry, err := range cl.Documents(e.ctx, e.Tenant, c.Collection) {
			if err != nil {
				return err
			}
			if !entry.Row.Deleted || c.Deleted {
				list = append(list, newDocument(entry.Document.Scope.Collection, entry.Document.ID, &entry.Row))
			}
		}
		slices.SortFunc(list, func(a, b document) int {
			return cmp.Or(strings.Compare(a.Collection, b.Collection), strings.Compare(a.Source, b.Source), strings.Compare(a.ID, b.ID))
		})
		if e.JSON {
			return printLines(e, list)
		}
		return e.printDocuments(list)
	})
}

func (e *env) printDocuments(list []document) error {
	return e.table("documents", func(w io.Writer) {
		fmt.Fprintln(w, "COLLECTION\tSOURCE\tID\tCHUNKS\tTOKENS\tUPDATED\tSTATE")
		chunks, tokens := 0, 0
		for _, d := range list {
			updated := "-"
			if !d.Updated.IsZero() {
				updated = d.Updated.Local().Format(time.DateTime)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", d.Collection, cmp.Or(d.Source, "-"), d.ID, d.Chunks, d.Tokens, updated, d.state())
			chunks, tokens = chunks+d.Chunks, tokens+d.Tokens
		}
		fmt.Fprintf(w, "%s\t\t\t%d\t%d\t\t\n", plural(len(list), "document"), chunks, tokens)
	})
}

func (d *document) state() string {
	switch {
	case d.Pending != 0:
		return fmt.Sprintf("storing, %d of %d", d.PendingDone, d.PendingTotal)
	case d.Deleted:
		return "removed"
	}
	return "ok"
}

type docsShowCmd struct {
	ID         string `arg:"" help:"Document id, or the source it was made of."`
	Collection string `default:"docs" help:"Its collection."`
}

// Run shows a document and where its chunks are.
func (c *docsShowCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		id := documentID(c.ID)
		row, err := cl.Document(e.ctx, e.Tenant, c.Collection, id)
		if err != nil {
			return err
		}
		if row.Version == 0 && row.Pending == nil {
			return coded(exitNoResult, "collection %s has no document %s: see `weir docs ls`", c.Collection, id)
		}
		d := newDocument(c.Collection, id, &row)
		if e.JSON {
			return e.printJSON(struct {
				document
				Places []place `json:"places"`
			}{d, places(&row)})
		}
		e.printDocument(&d, &row)
		return nil
	})
}

// place is where a chunk is in its document.
type place struct {
	Chunk   string `json:"chunk"`
	Start   int    `json:"start"`
	End     int    `json:"end"`
	Overlap int    `json:"overlap"`
	Page    int    `json:"page,omitempty"`
}

func places(row *manifest.Row) []place {
	out := make([]place, len(row.Chunks))
	for i, r := range row.Chunks {
		out[i] = place{Chunk: r.ID.String(), Start: r.Start, End: r.End, Overlap: r.Overlap, Page: r.Page}
	}
	return out
}

func (e *env) printDocument(d *document, row *manifest.Row) {
	fmt.Fprintf(e.out, "document   %s in %s: %s\n", d.ID, d.Collection, d.state())
	for _, field := range []struct{ name, value string }{
		{"title", d.Title}, {"source", d.Source}, {"type", d.MediaType}, {"readers", strings.Join(d.ACL, ", ")}} {
		if field.value != "" {
			fmt.Fprintf(e.out, "%-10s %s\n", field.name, field.value)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		fmt.Fprintf(e.out, "%-10s %s = %s\n", "metadata", key, d.Metadata[key])
	}
	embedded, reused := row.Spent()
	fmt.Fprintf(e.out, "version    %d by job %s: %s, %s, %d bytes; %d embedded, %d reused\n",
		d.Version, row.Job, plural(d.Chunks, "chunk"), plural(d.Tokens, "token"), d.Bytes, embedded, reused)
	for i, p := range places(row) {
		page := ""
		if p.Page > 0 {
			page = fmt.Sprintf(" page %d", p.Page)
		}
		fmt.Fprintf(e.out, "  %4d  %s  %d-%d%s\n", i, p.Chunk, p.Start, p.End, page)
	}
}

// documentID takes an id, or the path or URL that one is made of.
func documentID(name string) string {
	if event.CheckName("document", name) == nil {
		return name
	}
	return event.DocumentID(name)
}

type docsRmCmd struct {
	IDs        []string      `arg:"" name:"id" help:"Document ids, or the sources they were made of."`
	Collection string        `default:"docs" help:"Their collection."`
	Timeout    time.Duration `default:"1m" help:"How long to wait for each."`
}

// Run removes documents and their chunks.
func (c *docsRmCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		for _, name := range c.IDs {
			id := documentID(name)
			job, err := cl.Delete(e.ctx, e.Tenant, event.DeleteJob{Collection: c.Collection, Document: id})
			if err != nil {
				return err
			}
			if err := e.await(cl, e.Tenant, job, c.Timeout); err != nil {
				return err
			}
		}
		return nil
	})
}

type docsReindexCmd struct {
	ID         string        `arg:"" optional:"" help:"Document id (default: all of the collection's)."`
	Collection string        `default:"docs" help:"The collection."`
	Timeout    time.Duration `default:"0" help:"How long to wait for all of them (0: for ever)."`
}

// Run has documents cut anew and waits for them.
func (c *docsReindexCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		ctx, cancel := e.withTimeout(c.Timeout)
		defer cancel()
		job := event.ReindexJob{Collection: c.Collection}
		if c.ID != "" {
			job.Document = documentID(c.ID)
		}
		id, err := cl.Reindex(ctx, e.Tenant, job)
		if err != nil {
			return err
		}
		result, err := awaitJob(ctx, cl, e.Tenant, id)
		if err != nil {
			return err
		}
		return c.follow(ctx, e, cl, result.Reindexed)
	})
}

// follow waits for the documents' own jobs.
func (c *docsReindexCmd) follow(ctx context.Context, e *env, cl *client.Client, r *event.Reindexed) error {
	progress := newProgress(e, r.Documents)
	for _, id := range r.Jobs {
		result, err := awaitJob(ctx, cl, e.Tenant, id)
		if ctx.Err() != nil {
			break // told once, at the end
		}
		name := id
		if result.Ingested != nil {
			name = result.Ingested.Document
		}
		progress.add(name, result, err)
	}
	for _, id := range r.Incomplete {
		fmt.Fprintf(e.err, "%s: chunks are missing; ingest it from its source\n", id)
	}
	if err := progress.end(ctx.Err()); err != nil {
		return err
	}
	if n := len(r.Incomplete); n > 0 {
		return coded(exitJobFailed, "%s can't be cut anew from what is stored; see above", plural(n, "document"))
	}
	if left := r.Documents - len(r.Jobs); left > 0 && !e.JSON {
		fmt.Fprintf(e.out, "%s more under way: see `weir docs ls`\n", plural(left, "document"))
	}
	return nil
}

type docsVerifyCmd struct {
	Collection string        `help:"Only this collection."`
	Fix        bool          `help:"Mend what is wrong."`
	Timeout    time.Duration `default:"0" help:"How long to wait (0: for ever)."`
}

// Run compares the vector store with the manifest; what is wrong and not fixed is
// an error.
func (c *docsVerifyCmd) Run(e *env) error {
	return e.withClient(func(cl *client.Client) error {
		ctx, cancel := e.withTimeout(c.Timeout)
		defer cancel()
		id, err := cl.Verify(ctx, e.Tenant, event.VerifyJob{Collection: c.Collection, Fix: c.Fix})
		if err != nil {
			return err
		}
		result, err := cl.Await(ctx, e.Tenant, id)
		if err != nil {
			return waitError(err, id)
		}
		if err := e.printResult(result); err != nil {
			return err
		}
		if v := result.Verified; !v.OK() && !v.Fixed {
			return coded(exitError, "what is stored is not what should be; mend it with `weir docs verify --fix`")
		}
		return nil
	})
}

func (e *env) printVerified(v *event.Verified) {
	fmt.Fprintf(e.out, "%s, %s: %d of no document, %d missing, %d with other metadata, %s unfinished\n", plural(v.Documents, "document"),
		plural(v.Points, "point"), v.OrphanCount, v.MissingCount, v.MetaStale, plural(v.Unfinished, "version"))
	for _, f := range v.Orphans {
		fmt.Fprintf(e.out, "  of no document: chunk %s of %s in %s\n", f.Chunk, f.Document, f.Collection)
	}
	for _, f := range v.Missing {
		fmt.Fprintf(e.out, "  missing: chunk %s of %s in %s\n", f.Chunk, f.Document, f.Collection)
	}
	for _, document := range v.Reread {
		fmt.Fprintf(e.out, "  ingest again: %s\n", document)
	}
}
