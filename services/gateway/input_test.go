package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
)

// TestBadInput: nothing of it is taken in, and each answer says what to do.
func TestBadInput(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.finish("done", "ok")
	post := func(body string, header ...string) call {
		return call{method: "POST", path: "/v1/jobs", body: body, header: header}
	}
	for name, tt := range map[string]struct {
		status int
		field  string
		call   call
	}{
		"no body":                   {400, "body", post("")},
		"no JSON":                   {400, "body", post("{")},
		"an array":                  {400, "body", post("[]")},
		"trailing data":             {400, "body", post(question + "{}")},
		"a field twice":             {400, "messages", post(`{"messages":[],` + question[1:])},
		"no UTF-8":                  {400, "body", post(strings.Replace(question, "stage", "\xff\xfe", 1))},
		"a depth bomb":              {400, "body", post(strings.Repeat(`{"a":`, 100_000))},
		"deep metadata":             {400, "metadata", post(`{"metadata":{"a":{}},` + question[1:])},
		"oversize":                  {413, "", post(`{"a":"` + strings.Repeat("a", 5<<20) + `"}`)},
		"a wrong type":              {415, "Content-Type", post(question, "Content-Type", "text/xml")},
		"a form":                    {415, "Content-Type", post(question, "Content-Type", "application/x-www-form-urlencoded")},
		"compressed":                {415, "Content-Encoding", post(question, "Content-Encoding", "br")},
		"an unknown field, strict":  {400, "mesages", post(`{"mesages":1,`+question[1:], "Prefer", "handling=strict")},
		"strict by query":           {400, "extra", call{method: "POST", path: "/v1/jobs?strict=true", body: `{"extra":1,` + question[1:]}},
		"strict, misspelt":          {400, "strict", call{method: "POST", path: "/v1/jobs?strict=yes", body: question}},
		"dry_run, misspelt":         {400, "dry_run", call{method: "POST", path: "/v1/jobs?dry_run=si", body: question}},
		"an id with a wildcard":     {400, "id", post(`{"id":">",` + question[1:])},
		"an id with a dot":          {400, "id", post(`{"id":"a.b",` + question[1:])},
		"an id with another script": {400, "id", post(`{"id":"ä",` + question[1:])},
		"a long id":                 {400, "id", post(`{"id":"` + strings.Repeat("a", 65) + `",` + question[1:])},
		"a long key":                {400, "Idempotency-Key", post(question, "Idempotency-Key", strings.Repeat("a", 257))},
		"an empty key":              {400, "Idempotency-Key", post(question, "Idempotency-Key", `""`)},
		"another tenant in it":      {400, "tenant", post(`{"tenant":"bmce",` + question[1:])},
		"a wildcard for a tenant":   {400, "tenant", call{method: "GET", path: "/v1/jobs", tenant: "*"}},
		"a dot in a tenant":         {400, "tenant", call{method: "GET", path: "/v1/jobs", tenant: "a.>"}},
		"a wildcard for a job":      {400, "id", call{method: "GET", path: "/v1/jobs/*"}},
		"a slash in a job":          {400, "id", call{method: "GET", path: "/v1/jobs/a%2Fb"}},
		"a dot in a job":            {400, "id", call{method: "GET", path: "/v1/jobs/acme.done"}},
		"a NUL in a job":            {400, "id", call{method: "DELETE", path: "/v1/jobs/a%00b"}},
		"a wildcard's events":       {400, "id", call{method: "GET", path: "/v1/jobs/%3E/events"}},
		"another tenant's job":      {404, "job", call{method: "GET", path: "/v1/jobs/done", tenant: "bmce"}},
		"another tenant's cancel":   {404, "job", call{method: "DELETE", path: "/v1/jobs/done", tenant: "bmce"}},
		"a forbidden lane":          {403, "lane", call{method: "POST", path: "/v1/jobs", body: question, tenant: "narrow"}},
		"a forbidden collection":    {403, "collection", call{method: "POST", path: "/v1/query", body: `{"text":"a","collection":"other"}`, tenant: "narrow"}},
		"a list of it":              {403, "collection", call{method: "GET", path: "/v1/documents?collection=other", tenant: "narrow"}},
		"a wildcard collection":     {400, "collection", call{method: "GET", path: "/v1/documents?collection=*"}},
		"a wildcard document":       {400, "document", call{method: "GET", path: "/v1/documents/docs/%3E"}},
		"a document's deletion":     {400, "collection", call{method: "DELETE", path: "/v1/documents/a.b/c"}},
		"an unknown document":       {404, "document", call{method: "GET", path: "/v1/documents/docs/none"}},
		"a query without a text":    {400, "text", call{method: "POST", path: "/v1/query", body: `{"collection":"docs"}`}},
		"documents without any":     {400, "documents", call{method: "POST", path: "/v1/documents", body: `{"collection":"docs","documents":[]}`}},
		"one bad document":          {400, "documents[1].document", call{method: "POST", path: "/v1/documents", body: `{"collection":"docs","documents":[{"id":"a","text":"a"},{"id":"b"}]}`}},
		"an unknown path":           {404, "path", call{method: "GET", path: "/v2/jobs"}},
		"a wrong method":            {405, "method", call{method: "PATCH", path: "/v1/jobs"}},
	} {
		out := r.do(r.url, tt.call)
		field := fmt.Sprintf("%q:%q", "field", tt.field)
		if out.status != tt.status || tt.field != "" && !strings.Contains(compact(out.body), field) {
			t.Errorf("%s: got %d %s, want %d and %s", name, out.status, out.body, tt.status, field)
		}
		if out.header.Get("Content-Type") != "application/problem+json" || len(out.body) > 2<<10 {
			t.Errorf("%s: %s of %d bytes", name, out.header.Get("Content-Type"), len(out.body))
		}
	}
	if n, records := r.stored(bus.StreamJobs), r.stored("KV_"+bus.BucketJobs); n != 0 || records != 0 {
		t.Errorf("%d jobs and %d records were taken in", n, records)
	}
}

// raw sends bytes and returns what comes back until the gateway closes.
func (r *rig) raw(data string) string {
	r.T.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.T.Fatal(err)
	}
	defer conn.Close()                                 //nolint:errcheck // read only
	conn.SetDeadline(time.Now().Add(20 * time.Second)) //nolint:errcheck // a reader that waits fails
	io.WriteString(conn, data)                         //nolint:errcheck // the answer tells
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && answer != "" {
		r.T.Errorf("%.50q: %v after %q", data, err, answer)
	}
	return strings.TrimSpace(answer)
}

// TestHeads: what can't be read as a request is refused by its head alone.
func TestHeads(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for data, want := range map[string]string{
		"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Bomb: " + strings.Repeat("a", 200<<10) + "\r\n\r\n":   "431",
		"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-Bomb: aaaa\r\n", 20_000) + "\r\n": "431",
		"GET /v1/jobs HTTP/1.1\r\n\r\n": "400",
		"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n":                             "400",
		"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n": "400",
		"nonsense\r\n\r\n": "400",
	} {
		if got := r.raw(data); !strings.HasPrefix(got, "HTTP/1.1 "+want) {
			t.Errorf("%.60q: got %q, want %s", data, got, want)
		}
	}
}

// TestSlowHead: one that never ends is given up.
func TestSlowHead(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, data := range []string{"GET /v1/jobs HTT", "GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\nX-Slow: "} {
		if got := r.raw(data); got != "" && !strings.Contains(got, "408") && !strings.Contains(got, "400") {
			t.Errorf("%q: got %q", data, got)
		}
	}
	if out := r.do(r.url, call{method: "GET", path: "/v1/jobs"}); out.status != http.StatusOK {
		t.Errorf("the next one got %d", out.status)
	}
}
