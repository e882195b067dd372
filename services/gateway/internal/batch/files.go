package batch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/file"
	"github.com/weir-dev/weir/services/gateway/internal/web"
)

// fileObject is a file in OpenAI's shape.
type fileObject struct {
	ID            string  `json:"id"`
	Object        string  `json:"object"` // file
	Bytes         int64   `json:"bytes"`
	CreatedAt     int64   `json:"created_at"`
	ExpiresAt     int64   `json:"expires_at"`
	Filename      string  `json:"filename"`
	Purpose       string  `json:"purpose"`
	Status        string  `json:"status"` // processed
	StatusDetails *string `json:"status_details"`
}

// kept is how long a file is.
const kept = 30 * 24 * time.Hour

func newFileObject(info file.Info) fileObject {
	return fileObject{ID: info.ID, Object: "file", Bytes: info.Bytes, CreatedAt: info.At.Unix(), ExpiresAt: info.At.Add(kept).Unix(),
		Filename: info.Name, Purpose: info.Purpose, Status: "processed"}
}

// page is a list in OpenAI's shape.
type page[T any] struct {
	Object  string `json:"object"` // list
	Data    []T    `json:"data"`
	FirstID string `json:"first_id,omitempty"`
	LastID  string `json:"last_id,omitempty"`
	HasMore bool   `json:"has_more"`
}

// purposes are what a file may be for.
func purposes() []string {
	return []string{"assistants", "batch", "evals", "fine-tune", "user_data", "vision"}
}

// partLimit bounds what a form has besides the file.
const partLimit = 64 << 10

// upload takes a file in, as a form with the fields purpose and file, in any order.
func (s *Service) upload(w http.ResponseWriter, r *web.Request) error {
	if err := web.CheckType(r.Request, "multipart/form-data"); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxFileBytes+2*partLimit)
	form, err := r.MultipartReader()
	if err != nil {
		return event.Invalid("body", "send a form with the fields purpose and file", "%v", err)
	}
	info, err := s.readForm(r, form)
	if err == nil {
		err = errors.Join(s.checkUpload(info), r.Context().Err())
	}
	if err == nil {
		err = s.files.Record(r.Context(), r.Tenant, info)
	}
	if err != nil {
		if info.ID != "" { // it is written, but no file yet
			s.discard(r.Context(), r.Tenant, info.ID)
		}
		return err
	}
	return web.JSON(w, http.StatusOK, newFileObject(info))
}

func (s *Service) checkUpload(info file.Info) error {
	switch {
	case info.ID == "":
		return event.Invalid("file", "send a form with the fields purpose and file", "missing")
	case info.Purpose == "":
		return event.Invalid("purpose", "use batch for the input of a batch", "missing")
	case !slices.Contains(purposes(), info.Purpose):
		return event.Invalid("purpose", "use batch, user_data, assistants, evals, fine-tune or vision", "got %q", short(info.Purpose))
	}
	return nil
}

// readForm reads a form, and stores its file as it comes. Its id is set when it is
// written.
func (s *Service) readForm(r *web.Request, form *multipart.Reader) (file.Info, error) {
	var info file.Info
	for parts := 0; ; parts++ {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return info, nil
		}
		if err != nil {
			return info, formError(err)
		}
		switch name := part.FormName(); {
		case parts >= 16:
			return info, event.Invalid("body", "send the fields purpose and file", "the form has more than 16 fields")
		case name == "purpose":
			data, err := io.ReadAll(io.LimitReader(part, partLimit))
			if err != nil {
				return info, formError(err)
			}
			info.Purpose = string(data)
		case name == "file" && info.ID != "":
			return info, event.Invalid("file", "upload one at a time", "the form has two")
		case name == "file":
			written, err := s.files.Write(r.Context(), r.Tenant, file.Info{Name: cmp.Or(part.FileName(), "file"), Purpose: info.Purpose},
				file.Limited{R: part, Limit: s.cfg.MaxFileBytes})
			if err != nil {
				return info, formError(err)
			}
			info = written
		}
	}
}

// formError keeps errors that say what to do, and names the body in others.
func formError(err error) error {
	var known *event.Error
	var large *http.MaxBytesError
	if errors.As(err, &known) || errors.As(err, &large) {
		return err
	}
	return event.Invalid("body", "send the whole form", "reading it: %v", err)
}

// discardTimeout bounds the removal of what a broken upload left.
const discardTimeout = 10 * time.Second

func (s *Service) discard(ctx context.Context, tenant, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	if err := s.files.Discard(ctx, tenant, id); err != nil {
		s.p.Logger.WarnContext(ctx, "removing a file that was not taken", "tenant", tenant, "file", id, "error", err)
	}
}

// missing tells of a file that the caller doesn't have.
func missing(id string, err error) error {
	if errors.Is(err, file.ErrNotFound) {
		return web.NotFound("file", id)
	}
	return err
}

func (s *Service) showFile(w http.ResponseWriter, r *web.Request) error {
	info, err := s.files.Get(r.Context(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return missing(r.PathValue("id"), err)
	}
	return web.JSON(w, http.StatusOK, newFileObject(info))
}

// download sends a file's content as it is read.
func (s *Service) download(w http.ResponseWriter, r *web.Request) error {
	content, info, err := s.files.Open(r.Context(), r.Tenant, r.PathValue("id"))
	if err != nil {
		return missing(r.PathValue("id"), err)
	}
	defer content.Close() //nolint:errcheck // read only
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Bytes, 10))
	w.WriteHeader(http.StatusOK)
	// A body that is shorter than was said tells the client that it broke off.
	out := &paced{w: w, conn: http.NewResponseController(w)}
	defer out.conn.SetWriteDeadline(time.Time{}) //nolint:errcheck // as in Write
	if _, err := io.Copy(out, content); err != nil && r.Context().Err() == nil {
		s.p.Logger.WarnContext(r.Context(), "sending a file", "tenant", r.Tenant, "file", info.ID, "error", err)
	}
	return nil
}

// sendTimeout bounds one write to a client.
const sendTimeout = 30 * time.Second

// paced is a response whose reader may not stand still.
type paced struct {
	w    io.Writer
	conn *http.ResponseController
}

// Write implements io.Writer.
func (p *paced) Write(data []byte) (int, error) {
	p.conn.SetWriteDeadline(time.Now().Add(sendTimeout)) //nolint:errcheck // a connection without deadlines is a test's
	return p.w.Write(data)
}

func (s *Service) deleteFile(w http.ResponseWriter, r *web.Request) error {
	id := r.PathValue("id")
	if err := s.files.Delete(r.Context(), r.Tenant, id); err != nil {
		return missing(id, err)
	}
	return web.JSON(w, http.StatusOK, map[string]any{"id": id, "object": "file", "deleted": true})
}

// maxFiles bounds a page of files, as OpenAI does.
const maxFiles = 10_000

func (s *Service) listFiles(w http.ResponseWriter, r *web.Request) error {
	infos, err := s.files.List(r.Context(), r.Tenant)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	infos = slices.DeleteFunc(infos, func(i file.Info) bool { return q.Get("purpose") != "" && i.Purpose != q.Get("purpose") })
	switch q.Get("order") {
	case "", "desc":
	case "asc":
		slices.Reverse(infos)
	default:
		return event.Invalid("order", "use asc or desc", "got %q", q.Get("order"))
	}
	objects := make([]fileObject, len(infos))
	for i, info := range infos {
		objects[i] = newFileObject(info)
	}
	list, err := cut(r.Request, objects, maxFiles, maxFiles, func(f fileObject) string { return f.ID })
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, list)
}

// cut is the page that a request asks for by the parameters after and limit.
func cut[T any](r *http.Request, all []T, limit, most int, id func(T) string) (page[T], error) {
	q := r.URL.Query()
	if after := q.Get("after"); after != "" {
		i := slices.IndexFunc(all, func(v T) bool { return id(v) == after })
		if i < 0 {
			return page[T]{}, event.Invalid("after", "use the last id of the page before", "there is no %q", after)
		}
		all = all[i+1:]
	}
	if value := q.Get("limit"); value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > most {
			return page[T]{}, event.Invalid("limit", "use 1 to "+strconv.Itoa(most), "got %q", value)
		}
		limit = n
	}
	p := page[T]{Object: "list", Data: all[:min(limit, len(all))], HasMore: len(all) > limit}
	if len(p.Data) > 0 {
		p.FirstID, p.LastID = id(p.Data[0]), id(p.Data[len(p.Data)-1])
	} else {
		p.Data = []T{}
	}
	return p, nil
}
