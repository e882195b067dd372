package llmsim

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
)

// file is an uploaded or made file. It is immutable.
type file struct {
	ID        string `json:"id"`
	Object    string `json:"object"`
	Bytes     int    `json:"bytes"`
	CreatedAt int64  `json:"created_at"`
	Filename  string `json:"filename"`
	Purpose   string `json:"purpose"`
	Status    string `json:"status"`
	content   []byte
}

// files is the store of files, bounded by their sum.
type files struct {
	*shelf[*file]
	most int64
	held atomic.Int64
}

// add keeps a file.
func (f *files) add(name, purpose string, content []byte, now int64) (*file, error) {
	if held := f.held.Add(int64(len(content))); held > f.most {
		f.held.Add(-int64(len(content)))
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Param: "file", Code: "storage_full",
			Message: fmt.Sprintf("The files would take %d bytes, the most is %d; delete some.", held, f.most)}
	}
	out := &file{ID: f.id(), Object: "file", Bytes: len(content), CreatedAt: now, Filename: name, Purpose: purpose, Status: "processed", content: content}
	if err := f.put(out.ID, out, false); err != nil {
		f.held.Add(-int64(len(content)))
		return nil, err
	}
	return out, nil
}

// drop forgets a file.
func (f *files) drop(one *file) {
	if f.remove(one.ID) {
		f.held.Add(-int64(one.Bytes))
	}
}

// postFile serves POST /v1/files.
func (s *Server) postFile(w http.ResponseWriter, r *http.Request) {
	name, purpose, content, err := s.readUpload(w, r)
	if err != nil {
		writeError(w, err)
		return
	}
	out, err := s.files.add(name, purpose, content, s.cfg.Now().Unix())
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, out)
}

// readUpload reads the parts of a multipart form.
func (s *Server) readUpload(w http.ResponseWriter, r *http.Request) (name, purpose string, content []byte, err error) {
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.MaxBodyBytes)
	parts, err := r.MultipartReader()
	if err != nil {
		return "", "", nil, invalid("file", "", "We could not parse your upload: %v; expected multipart/form-data with 'purpose' and 'file'.", err)
	}
	found := false
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(part)
		}
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			return "", "", nil, &apiError{status: http.StatusRequestEntityTooLarge, Type: typeInvalid, Param: "file",
				Message: fmt.Sprintf("The upload is larger than %d bytes.", tooLarge.Limit)}
		case err != nil:
			return "", "", nil, invalid("file", "", "We could not parse your upload: %v.", err)
		case part.FormName() == "purpose":
			purpose = string(data)
		case part.FormName() == "file":
			name, content, found = part.FileName(), data, true
		}
	}
	purposes := []string{"batch", "assistants", "fine-tune", "vision", "user_data", "evals"}
	switch {
	case !found:
		return "", "", nil, invalid("file", "missing_required_parameter", "Missing required parameter: 'file'.")
	case !slices.Contains(purposes, purpose):
		return "", "", nil, invalid("purpose", "invalid_value", "Invalid 'purpose': '%s' is not one of %q.", purpose, purposes)
	}
	return name, purpose, content, nil
}

// listFiles serves GET /v1/files.
func (s *Server) listFiles(w http.ResponseWriter, r *http.Request) {
	writePage(w, r, s.files.shelf, func(f *file) any { return f })
}

// withFile calls fn with the file the path names.
func (s *Server) withFile(fn func(w http.ResponseWriter, f *file)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f, err := s.files.get("File object", r.PathValue("id"))
		if err != nil {
			writeError(w, err)
			return
		}
		fn(w, f)
	}
}

// getFile serves GET /v1/files/{id}.
func (s *Server) getFile(w http.ResponseWriter, f *file) { writeJSON(w, http.StatusOK, f) }

// fileContent serves GET /v1/files/{id}/content.
func (s *Server) fileContent(w http.ResponseWriter, f *file) {
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(f.content)
}

// deleteFile serves DELETE /v1/files/{id}.
func (s *Server) deleteFile(w http.ResponseWriter, f *file) {
	s.files.drop(f)
	writeJSON(w, http.StatusOK, map[string]any{"id": f.ID, "object": "file", "deleted": true})
}
