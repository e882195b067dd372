package batch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// file is a file as the API shows it.
type file struct {
	ID, Object, Filename, Purpose, Status string
	Bytes                                 int64
	CreatedAt                             int64 `json:"created_at"`
	ExpiresAt                             int64 `json:"expires_at"`
}

// TestFiles: a file is stored, listed, read and removed, whatever the order of the form.
func TestFiles(t *testing.T) {
	t.Parallel()
	r := setup(t)
	var ids []string
	for _, fields := range [][]string{{"purpose", "batch", "file", "one\n"}, {"file", "two\n", "expires_after[anchor]", "created_at", "purpose", "user_data"}} {
		contentType, body := form(t, fields...)
		out := r.call("", http.MethodPost, "/v1/files", contentType, body)
		got := decode[file](t, out.body)
		if out.status != http.StatusOK || got.Object != "file" || got.Filename != "in.jsonl" || got.Bytes != 4 || got.Status != "processed" || got.CreatedAt == 0 ||
			got.ExpiresAt <= got.CreatedAt || got.Purpose == "" {
			t.Fatalf("got %d %s", out.status, out.body)
		}
		if shown := r.call("", http.MethodGet, "/v1/files/"+got.ID, "", nil); string(shown.body) != string(out.body) {
			t.Errorf("got %s, want %s", shown.body, out.body)
		}
		ids = append(ids, got.ID)
	}
	content := r.call("", http.MethodGet, "/v1/files/"+ids[1]+"/content", "", nil)
	if string(content.body) != "two\n" || content.header.Get("Content-Length") != "4" {
		t.Errorf("got %q, %v", content.body, content.header)
	}
	for query, want := range map[string][]string{
		"": {ids[1], ids[0]}, "?order=asc": ids, "?purpose=batch": {ids[0]}, "?limit=1": {ids[1]}, "?after=" + ids[1]: {ids[0]}, "?purpose=vision": {},
	} {
		out := r.call("", http.MethodGet, "/v1/files"+query, "", nil)
		got := decode[struct{ Data []file }](t, out.body).Data
		if len(got) != len(want) {
			t.Errorf("%s: got %s", query, out.body)
			continue
		}
		for i := range want {
			if got[i].ID != want[i] {
				t.Errorf("%s: got %s, want %v", query, out.body, want)
			}
		}
	}
	if out := r.call("", http.MethodDelete, "/v1/files/"+ids[0], "", nil); out.status != http.StatusOK || !strings.Contains(string(out.body), `"deleted":true`) {
		t.Errorf("got %d %s", out.status, out.body)
	}
	for _, c := range []struct{ method, path string }{{http.MethodGet, ""}, {http.MethodGet, "/content"}, {http.MethodDelete, ""}} {
		if out := r.call("", c.method, "/v1/files/"+ids[0]+c.path, "", nil); out.status != http.StatusNotFound || !strings.Contains(string(out.body), `"code":"not_found"`) {
			t.Errorf("%s %s: got %d %s", c.method, c.path, out.status, out.body)
		}
	}
}

// TestFilesRefused: what is no upload leaves no file behind.
func TestFilesRefused(t *testing.T) {
	t.Parallel()
	r := setup(t)
	large := strings.Repeat("x", 20<<20+1)
	for name, c := range map[string]struct {
		fields []string
		status int
		text   string
	}{
		"no file":         {[]string{"purpose", "batch"}, http.StatusBadRequest, "file"},
		"no purpose":      {[]string{"file", "x"}, http.StatusBadRequest, "purpose"},
		"unknown purpose": {[]string{"purpose", "fun", "file", "x"}, http.StatusBadRequest, "fun"},
		"two files":       {[]string{"purpose", "batch", "file", "x", "file", "y"}, http.StatusBadRequest, "two"},
		"too large":       {[]string{"purpose", "batch", "file", large}, http.StatusRequestEntityTooLarge, "bytes"},
		"large field":     {[]string{"purpose", large, "file", "x"}, http.StatusBadRequest, "purpose"},
	} {
		contentType, body := form(t, c.fields...)
		out := r.call("", http.MethodPost, "/v1/files", contentType, body)
		if out.status != c.status || !strings.Contains(string(out.body), c.text) {
			t.Errorf("%s: got %d %s", name, out.status, out.body)
		}
	}
	contentType, body := form(t, "purpose", "batch", "file", "x")
	body.Truncate(body.Len() - 10)
	for name, c := range map[string]struct {
		contentType, body string
		status            int
	}{
		"broken off":  {contentType, body.String(), http.StatusBadRequest},
		"JSON":        {"application/json", "{}", http.StatusUnsupportedMediaType},
		"no boundary": {"multipart/form-data", "x", http.StatusBadRequest},
		"no form":     {contentType, "hello", http.StatusBadRequest},
		"empty":       {contentType, "", http.StatusBadRequest},
		"many fields": {contentType, strings.Repeat("--"+contentType[len("multipart/form-data; boundary="):]+"\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n", 30), http.StatusBadRequest},
	} {
		if out := r.call("", http.MethodPost, "/v1/files", c.contentType, strings.NewReader(c.body)); out.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, out.status, out.body, c.status)
		}
	}
	if out := r.call("", http.MethodGet, "/v1/files", "", nil); !strings.Contains(string(out.body), `"data":[]`) {
		t.Errorf("got %s", out.body)
	}
	for _, query := range []string{"limit=0", "limit=x", "limit=10001", "order=up", "after=file-none"} {
		if out := r.call("", http.MethodGet, "/v1/files?"+query, "", nil); out.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", query, out.status, out.body)
		}
	}
	for _, id := range []string{"*", ">", "a.b", "%2e%2e", "f%00", fmt.Sprintf("%0100d", 1)} {
		if out := r.call("", http.MethodGet, "/v1/files/"+id, "", nil); out.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s", id, out.status, out.body)
		}
	}
}
