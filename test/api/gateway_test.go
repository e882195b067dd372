package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats.go"
	validator "github.com/pb33f/libopenapi-validator"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/gateway"
)

const patience = 30 * time.Second

// none is a catalog without anything.
type none struct{}

func (none) Current() *catalog.Catalog { return &catalog.Catalog{} }

// TestOpenAPIRoutes: the document has the gateway's routes, no more and no less.
func TestOpenAPIRoutes(t *testing.T) {
	t.Parallel()
	g, err := gateway.New(platform.Platform{NATS: &nats.Conn{}}, gateway.DefaultConfig(), gateway.Ports{Catalog: none{}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(root, "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var written []string
	for path, operations := range doc.Paths {
		for method := range operations {
			if method != "parameters" {
				written = append(written, strings.ToUpper(method)+" "+path)
			}
		}
	}
	var served []string
	for _, pattern := range g.Routes() {
		served = append(served, strings.ReplaceAll(pattern, "...}", "}"))
	}
	for _, p := range served {
		if !slices.Contains(written, p) {
			t.Errorf("api/openapi.yaml lacks %s", p)
		}
	}
	for _, p := range written {
		if !slices.Contains(served, p) {
			t.Errorf("api/openapi.yaml has %s, which the gateway does not serve", p)
		}
	}
}

// api is a running gateway whose every answer is checked by the document.
type api struct {
	*testing.T
	base string
	doc  validator.Validator
	seen map[string]bool // operations, as METHOD path pattern
}

// startAPI runs the whole of Weir.
func startAPI(t *testing.T) *api {
	t.Helper()
	cfg := up.DefaultConfig(t.TempDir())
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "", "", "127.0.0.1:0"
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan up.System, 1), make(chan error, 1)
	go func() { done <- up.Run(ctx, cfg, slog.New(slog.DiscardHandler), func(s up.System) { ready <- s }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Weir ended with %v", err)
		}
	})
	select {
	case s := <-ready:
		return &api{T: t, base: "http://" + s.APIAddr, doc: openAPI(t), seen: map[string]bool{}}
	case err := <-done:
		done <- nil
		t.Fatal(err)
	case <-time.After(patience):
		t.Fatal("Weir does not start")
	}
	return nil
}

// call makes a request and checks it and its answer by the document.
func (a *api) call(method, path string, body any, status int) map[string]any {
	a.Helper()
	contentType, data := "application/json", []byte(nil)
	switch b := body.(type) {
	case nil:
	case *form:
		contentType, data = b.contentType, b.data
	default:
		var err error
		if data, err = json.Marshal(b); err != nil {
			a.Fatal(err)
		}
	}
	request := func() *http.Request {
		req, err := http.NewRequestWithContext(a.Context(), method, a.base+path, bytes.NewReader(data))
		if err != nil {
			a.Fatal(err)
		}
		if data != nil {
			req.Header.Set("Content-Type", contentType)
		}
		return req
	}
	if contentType == "application/json" && status < 300 {
		if ok, wrong := a.doc.ValidateHttpRequest(request()); !ok {
			for _, w := range wrong {
				a.Errorf("%s %s: the document does not allow the request: %s %s %v", method, path, w.Message, w.Reason, w.SchemaValidationErrors)
			}
		}
	}
	resp, err := http.DefaultClient.Do(request())
	if err != nil {
		a.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		a.Fatal(err)
	}
	if resp.StatusCode != status {
		a.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, answer)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if ok, wrong := a.doc.ValidateHttpResponse(request(), resp); !ok {
		for _, w := range wrong {
			a.Errorf("%s %s: the document does not allow the answer: %s %s %v\n%s", method, path, w.Message, w.Reason, w.SchemaValidationErrors, answer)
		}
	}
	a.seen[method+" "+strings.SplitN(path, "?", 2)[0]] = true
	var out map[string]any
	if strings.Contains(resp.Header.Get("Content-Type"), "json") && json.Unmarshal(answer, &out) != nil {
		out = map[string]any{"lines": string(answer)}
	}
	return out
}

// until calls again until the answer is as wanted.
func (a *api) until(path string, good func(map[string]any) bool) map[string]any {
	a.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		answer := a.call("GET", path, nil, 200)
		if good(answer) {
			return answer
		}
		if time.Now().After(deadline) {
			a.Fatalf("%s is still %v", path, answer)
		}
	}
}

// form is an upload.
type form struct {
	contentType string
	data        []byte
}

func upload(t *testing.T, purpose, content string) *form {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile("file", "in.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte(content))      //nolint:errcheck // into memory
	w.WriteField("purpose", purpose) //nolint:errcheck // into memory
	w.Close()                        //nolint:errcheck // into memory
	return &form{w.FormDataContentType(), b.Bytes()}
}

func ended(job map[string]any) bool { return job["status"] == "ok" || job["status"] == "failed" }

type obj = map[string]any

// TestOpenAPIAnswers: what the gateway takes and answers is what the document says.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	a := startAPI(t)
	turn := []obj{{"role": "user", "content": "What is a stage?"}}

	a.call("POST", "/v1/documents", obj{"collection": "docs", "documents": []obj{{"id": "d1", "text": "# Stages\n\nA stage is a function from one message to messages."}, {"id": "d2", "text": "Weirs hold water back."}}}, 202)
	a.until("/v1/documents?collection=docs", func(o obj) bool {
		docs, _ := o["documents"].([]any)
		return len(docs) == 2 && docs[0].(obj)["chunks"].(float64) > 0 && docs[1].(obj)["chunks"].(float64) > 0
	})
	a.call("GET", "/v1/documents/docs/d1", nil, 200)
	a.call("POST", "/v1/query", obj{"text": "what is a stage", "collection": "docs"}, 200)

	job := a.call("POST", "/v1/jobs", obj{"id": "j1", "messages": turn, "stream": true, "rag": obj{"collection": "docs"}}, 202)
	a.call("POST", "/v1/jobs", obj{"id": "j1", "messages": turn, "stream": true, "rag": obj{"collection": "docs"}}, 200)
	a.call("POST", "/v1/jobs", obj{"id": "j1", "messages": turn}, 409)
	a.call("POST", "/v1/jobs?dry_run=true", obj{"messages": turn, "max_tokens": 32}, 200)
	a.call("POST", "/v1/jobs", obj{"messages": []obj{}}, 400)
	a.until("/v1/jobs/"+job["id"].(string), ended)
	a.call("GET", "/v1/jobs/j1/events", nil, 200)
	a.call("GET", "/v1/jobs/j1/stream", nil, 200)
	a.call("GET", "/v1/jobs?limit=10", nil, 200)
	a.call("GET", "/v1/jobs/none", nil, 404)
	later := a.call("POST", "/v1/jobs", obj{"messages": turn, "not_before": time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}, 202)
	a.call("GET", "/v1/jobs/"+later["id"].(string), nil, 200)
	a.call("DELETE", "/v1/jobs/"+later["id"].(string), nil, 200)
	a.call("DELETE", "/v1/jobs/j1", nil, 409)
	a.call("DELETE", "/v1/documents/docs/d2", nil, 202)

	a.call("POST", "/v1/chat/completions", obj{"model": "small", "messages": turn}, 200)
	a.call("POST", "/v1/chat/completions", obj{"model": "small", "messages": turn, "stream": true}, 200)
	a.call("POST", "/v1/chat/completions", obj{"model": "no-such", "messages": turn}, 404)
	a.call("POST", "/v1/embeddings", obj{"model": "embed", "input": []string{"a", "b"}}, 200)
	a.call("GET", "/v1/models", nil, 200)
	a.call("GET", "/v1/models/small", nil, 200)
	a.call("GET", "/v1/models/no-such", nil, 404)

	file := a.call("POST", "/v1/files", upload(t, "batch", `{"custom_id":"c1","method":"POST","url":"/v1/chat/completions","body":{"model":"small","messages":[{"role":"user","content":"hello"}]}}`+"\n"), 200)
	id := file["id"].(string)
	a.call("GET", "/v1/files", nil, 200)
	a.call("GET", "/v1/files/"+id, nil, 200)
	a.call("GET", "/v1/files/"+id+"/content", nil, 200)
	batch := a.call("POST", "/v1/batches", obj{"input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}, 200)
	done := a.until("/v1/batches/"+batch["id"].(string), func(o obj) bool { return o["status"] == "completed" })
	a.call("GET", "/v1/files/"+done["output_file_id"].(string)+"/content", nil, 200)
	a.call("GET", "/v1/batches", nil, 200)
	second := a.call("POST", "/v1/batches", obj{"input_file_id": id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}, 200)
	a.call("POST", "/v1/batches/"+second["id"].(string)+"/cancel", nil, 200)
	a.call("DELETE", "/v1/files/"+id, nil, 200)
	a.call("GET", "/v1/files/"+id, nil, 404)

	sent := a.call("POST", "/v1/webhooks/test", obj{"to": "https://receiver.invalid/hook"}, 202)
	a.call("GET", "/v1/webhooks/deliveries", nil, 200)
	a.call("GET", "/v1/webhooks/deliveries/"+sent["id"].(string), nil, 200)
	a.call("GET", "/v1/webhooks/deliveries/none", nil, 404)
	a.call("GET", "/v1/dead", nil, 200)
	a.call("GET", "/v1/dead?list=true", nil, 200)
	a.call("GET", "/v1/dead/1", nil, 404)
	a.call("POST", "/v1/dead/redrive", obj{"all": true, "dry_run": true}, 200)
	a.call("POST", "/v1/dead/1/redrive", obj{}, 404)

	a.missing(t)
}

// missing names the operations that were not called.
func (a *api) missing(t *testing.T) {
	t.Helper()
	g, err := gateway.New(platform.Platform{NATS: &nats.Conn{}}, gateway.DefaultConfig(), gateway.Ports{Catalog: none{}})
	if err != nil {
		t.Fatal(err)
	}
	param := regexp.MustCompile(`\\\{[^}]*\\\}`)
	for _, pattern := range g.Routes() {
		want := regexp.MustCompile("^" + param.ReplaceAllString(regexp.QuoteMeta(pattern), "[^/]+") + "$")
		found := false
		for called := range a.seen {
			found = found || want.MatchString(called)
		}
		if !found && !strings.HasSuffix(pattern, "/redeliver") { // needs a delivery that has ended
			t.Errorf("%s is not tried here", pattern)
		}
	}
}
