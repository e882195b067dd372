package tenants

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/services/gateway"
)

// thing is something that the victim has, by the names in the paths of the API, and
// one of the same form that nobody has.
type thing struct{ has, none map[string]string }

// kinds of things by the start of their paths. Of paths with "" there is nothing that
// a tenant has: models are everybody's.
func (s *scene) kinds() map[string]*thing {
	id := func(id string) *thing {
		return &thing{map[string]string{"id": id}, map[string]string{"id": other(id)}}
	}
	return map[string]*thing{
		"/v1/jobs/": id(s.job), "/v1/files/": id(s.fileID), "/v1/batches/": id(s.batch), "/v1/models/": nil,
		"/v1/webhooks/": id(s.delivery), "/v1/dead/": {map[string]string{"seq": s.letter}, map[string]string{"seq": "999999"}},
		"/v1/documents/": {map[string]string{"collection": "docs", "id": "secret-doc"}, map[string]string{"collection": "docs", "id": other("secret-doc")}},
	}
}

// other is a name of the same length that nobody has.
func other(id string) string {
	n := len(id) / 2
	return id[:n] + strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '8', r >= 'A' && r <= 'Y', r >= 'a' && r <= 'y':
			return r + 1
		case r == '-' || r == '_':
			return r
		}
		return '0'
	}, id[n:])
}

// scene is a rig where the victim has one of everything.
type scene struct {
	*rig
	job, fileID, batch, delivery, letter string
}

func newScene(t *testing.T) *scene {
	t.Helper()
	s := &scene{rig: start(t)}
	c := s.client(s.connect(s.victim))
	doc, err := c.Ingest(t.Context(), s.victim.id, event.IngestJob{Collection: "docs", Document: event.Document{ID: "secret-doc", Source: "s.md", Text: "# S\n\nThis is " + secretText + " of a document.\n"}})
	if err != nil {
		t.Fatal(err)
	}
	s.await(c, s.victim.id, doc)
	s.job = s.made("POST", "/v1/jobs", map[string]any{"v": 1, "messages": []map[string]string{{"role": "user", "content": secretText}}})
	s.await(c, s.victim.id, s.job)
	s.fileID = s.made("POST", "/v1/files", upload(t, `{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"small","messages":[{"role":"user","content":"`+secretText+`"}]}}`))
	s.batch = s.made("POST", "/v1/batches", map[string]string{"input_file_id": s.fileID, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
	until(t, "the batch is done", func() bool {
		_, body := s.ask(s.victim, "GET", "/v1/batches/"+s.batch, nil)
		return strings.Contains(body, `"status":"completed"`)
	})
	s.delivery = s.made("POST", "/v1/webhooks/test", map[string]string{"to": "https://127.0.0.1/" + secretText}) // may not be reached
	until(t, "the webhook is given up", func() bool {
		_, body := s.ask(s.victim, "GET", "/v1/dead?list=true", nil)
		var list struct {
			Letters []struct {
				Seq json.Number `json:"seq"`
			} `json:"letters"`
		}
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Letters) == 0 {
			return false
		}
		s.letter = list.Letters[0].Seq.String()
		_, body = s.ask(s.victim, "GET", "/v1/webhooks/deliveries/"+s.delivery, nil)
		return strings.Contains(body, `"dead"`)
	})
	return s
}

func upload(t *testing.T, line string) *form {
	t.Helper()
	f := &form{}
	w := multipart.NewWriter(f)
	f.contentType = w.FormDataContentType()
	if err := w.WriteField("purpose", "batch"); err != nil {
		t.Fatal(err)
	}
	part, err := w.CreateFormFile("file", "in.jsonl")
	if err == nil {
		_, err = part.Write([]byte(line + "\n"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// made is the id of something that the victim makes.
func (s *scene) made(method, path string, body any) string {
	s.t.Helper()
	status, text := s.ask(s.victim, method, path, body)
	var made struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(text), &made); err != nil || status >= 300 || made.ID == "" {
		s.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return made.ID
}

// fresh is what every answer has of its own: ids of new jobs, and times.
var fresh = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}|\d{4}-\d\d-\d\dT[0-9:.]+Z`)

var variable = regexp.MustCompile(`\{([a-z_]+)(?:\.\.\.)?\}`)

// fill puts names into a pattern's path.
func fill(path string, names map[string]string) string {
	return variable.ReplaceAllStringFunc(path, func(v string) string { return names[variable.FindStringSubmatch(v)[1]] })
}

// asker sends a request as mallory.
type asker func(method, path string, body any, headers ...string) (int, string)

// probe asks by a route for what the victim has, and for what nobody has: the answers
// must be the same but for the name. It returns what tells them apart.
func probe(ask asker, route string, kinds map[string]*thing) error {
	method, path, _ := strings.Cut(route, " ")
	var of *thing
	known := false
	for start, k := range kinds {
		if strings.HasPrefix(path, start) {
			of, known = k, true
		}
	}
	if !known {
		return fmt.Errorf("no thing of the victim for %s: add one to kinds", route)
	}
	if of == nil {
		return nil
	}
	var body any
	if method != http.MethodGet && method != http.MethodDelete {
		body = map[string]any{}
	}
	status, got := ask(method, fill(path, of.has), body)
	wantStatus, want := ask(method, fill(path, of.none), body)
	for name, id := range of.has {
		got, want = masked(got, id, name), masked(want, of.none[name], name)
	}
	got, want = fresh.ReplaceAllString(got, "<new>"), fresh.ReplaceAllString(want, "<new>")
	if status != wantStatus || got != want {
		return fmt.Errorf("%s: got %d %s, of what does not exist %d %s", route, status, got, wantStatus, want)
	}
	if method == http.MethodGet && status != http.StatusNotFound {
		return fmt.Errorf("%s: got %d, want 404", route, status)
	}
	return nil
}

// masked is an answer without the name that was asked for, where that is a whole word.
func masked(answer, id, name string) string {
	return regexp.MustCompile(`\b`+regexp.QuoteMeta(id)+`\b`).ReplaceAllString(answer, "<"+name+">")
}

// TestRoutes: every route of the API tells a tenant of another's things what it tells of
// things that don't exist, and the victim's things are as they were afterwards.
func TestRoutes(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	routes := s.routes()
	if len(routes) < 10 {
		t.Fatalf("%d routes", len(routes))
	}
	before := s.things(routes)
	mallory := func(method, path string, body any, headers ...string) (int, string) {
		return s.ask(s.mallory, method, path, body, headers...)
	}
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		switch {
		case variable.MatchString(path):
			if err := probe(mallory, route, s.kinds()); err != nil {
				t.Error(err)
			}
		case method == http.MethodGet:
			status, body := mallory(method, path, nil)
			for _, trace := range []string{secretText, s.victim.id, s.job, s.fileID, s.batch, s.delivery, "secret-doc"} {
				if strings.Contains(body, trace) {
					t.Errorf("%s: %d %s", route, status, body)
				}
			}
		}
		s.identity(route)
	}
	if after := s.things(routes); !maps.Equal(after, before) {
		t.Errorf("the victim's things changed\n%v\n%v", before, after)
	}
}

// identity: a route asks for a key, says the same of every wrong one, and does not let
// a key act as another tenant, whether it exists or not.
func (s *scene) identity(route string) {
	method, path, _ := strings.Cut(route, " ")
	path = fill(path, map[string]string{"collection": "docs", "id": "any", "seq": "1"})
	if status, _ := s.ask(member{}, method, path, nil); status != http.StatusUnauthorized {
		s.t.Errorf("%s without a key: %d", route, status)
	}
	wrong := s.victim.key[:len(s.victim.key)-1] + "!"
	_, one := s.ask(member{key: wrong}, method, path, nil)
	status, two := s.ask(member{key: "weir_AAAAaaaa_" + strings.Repeat("x", 40)}, method, path, nil)
	if status != http.StatusUnauthorized || one != two {
		s.t.Errorf("%s: a wrong key %s, an unknown one %d %s", route, one, status, two)
	}
	there, one := s.ask(s.mallory, method, path, nil, "Weir-Tenant", s.victim.id)
	status, two = s.ask(s.mallory, method, path, nil, "Weir-Tenant", "nobody")
	if status != http.StatusForbidden || there != status || one != two {
		s.t.Errorf("%s as another tenant: %d %s, as nobody %d %s", route, there, one, status, two)
	}
}

// routes are those of the gateway that runs.
func (s *scene) routes() []string {
	s.t.Helper()
	service, err := gateway.New(platform.Platform{NATS: s.system.Conn}, gateway.DefaultConfig(), gateway.Ports{Catalog: none{}})
	if err != nil {
		s.t.Fatal(err)
	}
	return service.Routes()
}

// none is an empty catalog.
type none struct{}

func (none) Current() *catalog.Catalog { return &catalog.Catalog{} }

// things is what the victim itself sees of them.
func (s *scene) things(routes []string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	for _, route := range routes {
		path, get := strings.CutPrefix(route, "GET ")
		if !get || !variable.MatchString(path) {
			continue
		}
		for start, k := range s.kinds() {
			if k == nil || !strings.HasPrefix(path, start) {
				continue
			}
			at := fill(path, k.has)
			status, body := s.ask(s.victim, http.MethodGet, at, nil)
			if status != http.StatusOK {
				s.t.Errorf("the victim's own %s: %d %s", at, status, body)
			}
			if _, done, ok := strings.Cut(body, "event: done"); ok {
				body = done // how a finished answer is cut into pieces may differ
			}
			out[route] = body
		}
	}
	return out
}

// TestNames: what a body names of another tenant is as what does not exist, and an id
// that another tenant has is free.
func TestNames(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	same := func(what, path, has, none string, body func(name string) any) {
		t.Helper()
		status, got := s.ask(s.mallory, http.MethodPost, path, body(has))
		wantStatus, want := s.ask(s.mallory, http.MethodPost, path, body(none))
		got, want = strings.ReplaceAll(got, has, "<name>"), strings.ReplaceAll(want, none, "<name>")
		if status != wantStatus || got != want || strings.Contains(got, secretText) {
			t.Errorf("%s: got %d %s, of what does not exist %d %s", what, status, got, wantStatus, want)
		}
	}
	same("a file", "/v1/batches", s.fileID, other(s.fileID), func(name string) any {
		return map[string]string{"input_file_id": name, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
	})
	same("a collection", "/v1/query", "docs", "none", func(name string) any {
		return map[string]any{"v": 1, "text": "secret", "collection": name, "top_k": 3}
	})
	body := map[string]any{"v": 1, "id": s.job, "messages": []map[string]string{{"role": "user", "content": "Hello " + attack}}}
	status, text := s.ask(s.mallory, http.MethodPost, "/v1/jobs", body)
	if status != http.StatusAccepted || strings.Contains(text, secretText) {
		t.Errorf("a job by an id of another's: %d %s", status, text)
	}
	result := s.await(s.client(s.connect(s.mallory)), s.mallory.id, s.job)
	if result.Tenant != s.mallory.id || strings.Contains(fmt.Sprint(result.Answer), secretText) {
		t.Errorf("got %+v", result)
	}
}

// TestProbeFindsLeaks: the probe sees handlers that let through, and those that only tell
// that a thing exists.
func TestProbeFindsLeaks(t *testing.T) {
	t.Parallel()
	kinds := map[string]*thing{"/v1/jobs/": {map[string]string{"id": "abcd"}, map[string]string{"id": "abce"}}}
	for name, leak := range map[string]struct {
		answer func(w http.ResponseWriter, id string)
		leaks  bool
	}{
		"tight": {func(w http.ResponseWriter, id string) { http.Error(w, "no job "+id, 404) }, false},
		"open":  {func(w http.ResponseWriter, id string) { fmt.Fprint(w, id) }, true},
		"forbidden": {func(w http.ResponseWriter, id string) {
			http.Error(w, "no", map[bool]int{true: 403, false: 404}[id == "abcd"])
		}, true},
		"text": {func(w http.ResponseWriter, id string) {
			http.Error(w, map[bool]string{true: "not yours", false: "not there"}[id == "abcd"], 404)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("GET /v1/jobs/{id}", func(w http.ResponseWriter, r *http.Request) { leak.answer(w, r.PathValue("id")) })
			ask := func(method, path string, _ any, _ ...string) (int, string) {
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
				return w.Code, w.Body.String()
			}
			if err := probe(ask, "GET /v1/jobs/{id}", kinds); (err != nil) != leak.leaks {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := probe(nil, "GET /v1/secrets/{id}", kinds); err == nil || !slices.Contains(strings.Fields(err.Error()), "add") {
		t.Errorf("an unknown kind: %v", err)
	}
}
