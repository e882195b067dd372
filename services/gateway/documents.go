package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/manifest"
	"github.com/weir-dev/weir/services/gateway/internal/intake"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// documentRoutes are those of documents, and of what is found in them.
func (s *Service) documentRoutes(mux *web.Mux) {
	mux.Route("POST /v1/documents", catalog.ScopeSubmit, web.Problem, s.ingest)
	mux.Route("GET /v1/documents", catalog.ScopeRead, web.Problem, s.listDocuments)
	mux.Route("GET /v1/documents/{collection}/{id}", catalog.ScopeRead, web.Problem, s.showDocument)
	mux.Route("DELETE /v1/documents/{collection}/{id}", catalog.ScopeSubmit, web.Problem, s.deleteDocument)
	mux.Route("POST /v1/query", catalog.ScopeRead, web.Problem, s.query)
}

// maxDocuments bounds the documents of one request.
const maxDocuments = 1000

// ingested is what became of one document of a request: its job, or why there is none.
type ingested struct {
	Document string       `json:"document,omitempty"`
	Job      string       `json:"job,omitempty"`
	Status   string       `json:"status"`
	Error    *event.Error `json:"error,omitempty"`
}

// ingest takes in a job for each document. All of them are checked before the first
// one is taken in.
func (s *Service) ingest(w http.ResponseWriter, r *web.Request) error {
	jobs, err := s.ingestJobs(r)
	if err != nil {
		return err
	}
	out := make([]ingested, len(jobs))
	for n := range jobs {
		checked, err := s.intake.Check(r.Principal, jobs[n])
		if err != nil {
			return inDocument(err, n, len(jobs))
		}
		job, err := event.DecodeIngestJob(checked.Address.Subject(), checked.Body)
		if err != nil {
			return inDocument(err, n, len(jobs))
		}
		out[n].Document = job.Document.ID
	}
	var first error
	taken := 0
	for n := range jobs {
		accepted, err := s.intake.Submit(r.Context(), r.Principal, jobs[n])
		if err != nil {
			first = err
			break
		}
		taken++
		out[n].Job, out[n].Status = accepted.ID, string(client.StateQueued)
	}
	if taken == 0 && first != nil {
		return first
	}
	for n := taken; n < len(jobs); n++ { // the caller sends these again
		out[n].Status, out[n].Error = "refused", web.From(first).Cause
	}
	return web.JSON(w, http.StatusAccepted, map[string]any{"documents": out, "accepted": taken})
}

// inDocument says in which of several documents an error is.
func inDocument(err error, n, of int) error {
	e := web.From(err)
	if of == 1 {
		return e
	}
	cause := *e.Cause
	cause.Field = fmt.Sprintf("documents[%d].%s", n, cause.Field)
	return &web.Error{Status: e.Status, Code: e.Code, RetryAfter: e.RetryAfter, Cause: &cause}
}

// ingestJobs reads the jobs of a request: an ingest job, or one with several documents
// in "documents". Each is named after the request's key and its place.
func (s *Service) ingestJobs(r *web.Request) ([]intake.Job, error) {
	body, err := r.JSON(s.cfg.MaxBodyBytes)
	if err != nil {
		return nil, err
	}
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return nil, err
	}
	strict, err := isStrict(r.Request)
	if err != nil {
		return nil, err
	}
	one := intake.Job{Kind: event.KindIngest, ID: key, Body: body, Strict: strict}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, event.Invalid("body", "send one JSON object", "%v", err)
	}
	several, ok := fields["documents"]
	if !ok {
		return []intake.Job{one}, nil
	}
	return severalJobs(one, fields, several)
}

// severalJobs makes a job of each document.
func severalJobs(one intake.Job, fields map[string]json.RawMessage, several json.RawMessage) ([]intake.Job, error) {
	var documents []json.RawMessage
	if err := json.Unmarshal(several, &documents); err != nil || len(documents) == 0 || len(documents) > maxDocuments {
		return nil, event.Invalid("documents", fmt.Sprintf("send an array of 1 to %d documents", maxDocuments), "got %d", len(documents))
	}
	for _, field := range []string{"document", "id"} {
		if _, both := fields[field]; both {
			return nil, event.Invalid(field, "leave it out; name the request by Idempotency-Key", "is for one document alone")
		}
	}
	delete(fields, "documents")
	jobs := make([]intake.Job, len(documents))
	for n, document := range documents {
		fields["document"] = document
		body, err := json.Marshal(fields)
		if err != nil {
			return nil, fmt.Errorf("encoding a job: %w", err)
		}
		jobs[n] = one
		jobs[n].Body = body
		if one.ID != "" {
			jobs[n].ID = fmt.Sprintf("%s/%d", one.ID, n) // not a name, so it is hashed into one
		}
	}
	return jobs, nil
}

// document is a document as the API shows it.
type document struct {
	Collection string            `json:"collection"`
	ID         string            `json:"id"`
	Version    int64             `json:"version"`
	Job        string            `json:"job,omitempty"` // that made the version
	Source     string            `json:"source,omitempty"`
	Title      string            `json:"title,omitempty"`
	MediaType  string            `json:"media_type,omitempty"`
	URL        string            `json:"url,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	ACL        []string          `json:"acl,omitempty"`
	Bytes      int               `json:"bytes"`
	Tokens     int               `json:"tokens"`
	Chunks     int               `json:"chunks"`
	Created    time.Time         `json:"created,omitzero"`
	Updated    time.Time         `json:"updated,omitzero"`
	Deleted    bool              `json:"deleted,omitempty"`
	// Pending is a version that is being stored.
	Pending *pendingVersion `json:"pending,omitempty"`
}

type pendingVersion struct {
	Version  int64          `json:"version"`
	Job      string         `json:"job"`
	Progress event.Progress `json:"progress"`
}

func newDocument(e *manifest.Entry) document {
	row := &e.Row
	d := document{
		Collection: e.Document.Scope.Collection, ID: e.Document.ID, Version: row.Version, Job: row.Job,
		Source: row.Meta.Source, Title: row.Meta.Title, MediaType: row.MediaType, URL: row.URL, Metadata: row.Meta.Metadata, ACL: row.Meta.ACL,
		Bytes: row.Bytes, Tokens: row.Tokens, Chunks: len(row.Chunks), Created: row.Created, Updated: row.Updated, Deleted: row.Deleted,
	}
	if p := row.Pending; p != nil {
		d.Pending = &pendingVersion{Version: p.Version, Job: p.Job, Progress: event.Progress{Done: p.Done(), Total: len(p.Added)}}
	}
	return d
}

// listDocuments lists the caller's documents, those that changed last last.
func (s *Service) listDocuments(w http.ResponseWriter, r *web.Request) error {
	q := r.URL.Query()
	f := client.DocumentFilter{Collection: q.Get("collection"), Cursor: q.Get("cursor")}
	var err error
	if f.Limit, err = limit(r.Request, client.MaxDocuments); err != nil {
		return err
	}
	if f.Deleted, err = flag(r.Request, "deleted"); err != nil {
		return err
	}
	if err := s.allowsCollection(r, f.Collection); err != nil {
		return err
	}
	entries, next, err := s.client.DocumentPage(r.Context(), r.Tenant, f)
	if err != nil {
		return err
	}
	documents := make([]document, 0, len(entries))
	for i := range entries {
		if s.allowsCollection(r, entries[i].Document.Scope.Collection) == nil {
			documents = append(documents, newDocument(&entries[i]))
		}
	}
	return web.JSON(w, http.StatusOK, struct {
		Documents []document `json:"documents"`
		Next      string     `json:"next_cursor,omitempty"`
	}{documents, next})
}

// named are the collection and the document of a path, if the caller may use them.
func (s *Service) named(r *web.Request) (collection, id string, err error) {
	collection, id = r.PathValue("collection"), r.PathValue("id")
	if err := event.CheckName("collection", collection); err != nil {
		return "", "", err
	}
	if err := event.CheckName("document", id); err != nil {
		return "", "", err
	}
	return collection, id, s.allowsCollection(r, collection)
}

// showDocument shows what is known of a document.
func (s *Service) showDocument(w http.ResponseWriter, r *web.Request) error {
	collection, id, err := s.named(r)
	if err != nil {
		return err
	}
	row, err := s.client.Document(r.Context(), r.Tenant, collection, id)
	if err != nil {
		return err
	}
	if row.Pending == nil && (row.Version == 0 || row.Deleted) {
		return web.NotFound("document", id)
	}
	e := manifest.Entry{Row: row}
	e.Document.Scope.Collection, e.Document.ID = collection, id
	return web.JSON(w, http.StatusOK, newDocument(&e))
}

// deleteDocument takes in a job that removes a document.
func (s *Service) deleteDocument(w http.ResponseWriter, r *web.Request) error {
	collection, id, err := s.named(r)
	if err != nil {
		return err
	}
	key, err := idempotencyKey(r.Request)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"collection": collection, "document": id})
	if err != nil {
		return fmt.Errorf("encoding a job: %w", err)
	}
	accepted, err := s.intake.Submit(r.Context(), r.Principal, intake.Job{Kind: event.KindDelete, ID: key, Body: body})
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/v1/jobs/"+accepted.ID)
	return web.JSON(w, http.StatusAccepted, newJob(s.justAccepted(accepted)))
}
