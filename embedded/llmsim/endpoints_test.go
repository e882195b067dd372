package llmsim

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-dev/weir/pkg/dataset"
	"github.com/weir-dev/weir/pkg/tokens"
)

// send sends a request and reads the JSON answer into out.
func send(t *testing.T, s *Server, method, path, body string, out any) int {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		t.Fatalf("%s %s: %s: %v", method, path, w.Body, err)
	}
	return w.Code
}

func TestRerank(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	const docs = `["The library is closed on Mondays.","Retries wait twice as long each time.","A failed job is retried: retries double their wait."]`
	var got struct {
		ID      string
		Usage   struct{ TotalTokens int }
		Results []struct {
			Index    int
			Score    float64 `json:"relevance_score"`
			Document *struct{ Text string }
		}
	}
	for _, path := range []string{"/v1/rerank", "/v2/rerank", "/rerank"} {
		got.Results = nil
		status := send(t, s, http.MethodPost, path, `{"model":"r","query":"How long do retries wait?","top_n":2,"return_documents":true,"documents":`+docs+`}`, &got)
		if status != 200 || len(got.Results) != 2 || got.Results[0].Index != 1 || got.Results[1].Index != 2 || got.Results[0].Document == nil ||
			!(got.Results[0].Score > 0.5 && got.Results[0].Score < 1 && got.Results[1].Score < got.Results[0].Score) {
			t.Errorf("%s: status %d, %+v", path, status, got)
		}
	}
	var tei []struct {
		Index int
		Score float64
		Text  *string
	}
	send(t, s, http.MethodPost, "/rerank", `{"query":"retries","raw_scores":true,"return_text":true,"texts":`+docs+`}`, &tei)
	if len(tei) != 3 || tei[2].Index != 0 || tei[2].Score >= 0 || *tei[2].Text != "The library is closed on Mondays." {
		t.Errorf("got %+v", tei)
	}
	for body, want := range map[string]string{`{"model":"r","documents":["a"]}`: "query", `{"model":"r","query":"a"}`: "documents", `{"query":"a","documents":["a"]}`: "model", `{"model":"r","query":"a","documents":["a"],"top_n":0}`: "top_n"} {
		var failed wireReply
		if status := send(t, s, http.MethodPost, "/v1/rerank", body, &failed); status != 400 || !strings.Contains(failed.Error.Message, want) {
			t.Errorf("%s: status %d, %+v", body, status, failed.Error)
		}
	}
}

func TestModeration(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	var got struct {
		Model   string
		Results []struct {
			Flagged    bool
			Categories map[string]bool
			Scores     map[string]float64 `json:"category_scores"`
		}
	}
	send(t, s, http.MethodPost, "/v1/moderations", `{"input":["A calm day.","They threatened to kill and murdered."]}`, &got)
	if len(got.Results) != 2 || got.Results[0].Flagged || !got.Results[1].Flagged || !got.Results[1].Categories["violence"] || got.Results[1].Categories["sexual"] ||
		got.Results[1].Scores["violence"] < 0.9 || len(got.Results[0].Scores) != 13 || got.Model != "omni-moderation-latest" {
		t.Errorf("got %+v", got)
	}
	send(t, s, http.MethodPost, "/v1/moderations", `{"model":"m","input":[{"type":"text","text":"murder"}]}`, &got)
	if len(got.Results) != 1 || !got.Results[0].Flagged {
		t.Errorf("parts: got %+v", got)
	}
}

func TestTokenIDsAsEmbeddingInput(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) {
		c.Answers.DecodeTokens = func(ids []int) (string, error) {
			if ids[0] == 99 {
				return "", fmt.Errorf("no token 99")
			}
			return []string{"hello", "world"}[ids[0]], nil
		}
	})
	var got struct {
		Data  []struct{ Embedding []float32 }
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		}
		Error struct{ Message string }
	}
	send(t, s, http.MethodPost, "/v1/embeddings", `{"model":"sim-embed","input":[[1,5,7],[0]]}`, &got)
	if len(got.Data) != 2 || got.Usage.PromptTokens != 4 || cosine(got.Data[0].Embedding, s.embed("world", 1024)) < 0.999 {
		t.Errorf("got %d vectors, usage %+v", len(got.Data), got.Usage)
	}
	send(t, s, http.MethodPost, "/v1/embeddings", `{"model":"sim-embed","input":[99]}`, &got)
	if !strings.Contains(got.Error.Message, "no token 99") {
		t.Errorf("got %+v", got.Error)
	}
}

func TestParaphrasesArePulledTogether(t *testing.T) {
	t.Parallel()
	groups, err := ReadParaphrases(strings.NewReader(`["How do I reset my password?","I forgot my login secret"]` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	plain := setup(t, nil)
	pulled := setup(t, func(c *Config) { c.Answers.Paraphrases = groups })
	apart := cosine(plain.embed(groups[0][0], 512), plain.embed(groups[0][1], 512))
	near := cosine(pulled.embed(groups[0][0]+"!", 512), pulled.embed(groups[0][1], 512))
	if apart > 0.5 || near < 0.9 {
		t.Errorf("cosine %.3f apart, %.3f pulled together", apart, near)
	}
	if other := "The weather is fine"; cosine(plain.embed(other, 512), pulled.embed(other, 512)) < 0.9999 {
		t.Error("a text outside of the groups has moved")
	}
	if _, err := ReadParaphrases(strings.NewReader(`["one"]`)); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v", err)
	}
}

// upload sends a file and returns its id.
func upload(t *testing.T, s *Server, purpose, content string) string {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	_ = form.WriteField("purpose", purpose)
	part, err := form.CreateFormFile("file", "in.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte(content))
	_ = form.Close()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/files", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var f file
	if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil || w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return f.ID
}

func batchInput(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"sim-small","messages":[{"role":"user","content":"number %d"}]}}`+"\n", i, i)
	}
	return b.String()
}

// fetch returns the lines of a stored file.
func fetch(t *testing.T, s *Server, id *string) (out []batchAnswer) {
	t.Helper()
	if id == nil {
		return nil
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/files/"+*id+"/content", nil))
	for line := range strings.Lines(w.Body.String()) {
		var a batchAnswer
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, a)
	}
	return out
}

func TestBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, nil)
		s.cfg.Now = time.Now
		go s.Work(t.Context())
		input := upload(t, s, "batch", batchInput(3)+`{"custom_id":"bad","method":"POST","url":"/v1/chat/completions","body":{"model":"none","messages":[]}}`)
		var b batchState
		if send(t, s, http.MethodPost, "/v1/batches", `{"input_file_id":"`+input+`","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"k":"v"}}`, &b); b.Status != statusValidating {
			t.Fatalf("got %+v", b)
		}
		synctest.Wait()
		send(t, s, http.MethodGet, "/v1/batches/"+b.ID, "", &b)
		if b.Status != statusCompleted || b.RequestCounts != (batchCounts{4, 3, 1}) || b.CompletedAt == nil || b.InProgressAt == nil || b.FinalizingAt == nil || b.Metadata["k"] != "v" {
			t.Fatalf("got %+v", b)
		}
		for i, a := range fetch(t, s, b.OutputFileID) {
			var reply wireReply
			if err := json.Unmarshal(a.Response.Body, &reply); err != nil || a.CustomID != fmt.Sprintf("c%d", i) || a.Error != nil || *reply.Choices[0].Message.Content != fmt.Sprintf("You said: number %d", i) {
				t.Errorf("line %d: %+v, %v", i, a, err)
			}
		}
		failed := fetch(t, s, b.ErrorFileID)
		if len(failed) != 1 || !s.Ledger().Last[0].Batch || failed[0].CustomID != "bad" || failed[0].Error["code"] != "model_not_found" || failed[0].Response.StatusCode != 404 {
			t.Errorf("errors %+v", failed)
		}
		var list struct {
			Data    []batchState
			HasMore bool `json:"has_more"`
		}
		if send(t, s, http.MethodGet, "/v1/batches?limit=1", "", &list); len(list.Data) != 1 || list.Data[0].ID != b.ID || list.HasMore {
			t.Errorf("list %+v", list)
		}
		if send(t, s, http.MethodGet, "/v1/batches?after="+b.ID, "", &list); len(list.Data) != 0 {
			t.Errorf("list after the last %+v", list)
		}
		if l := s.Ledger(); l.Chat != 4 || l.CompletionTokens == 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func TestBatchIsCancelledAndExpires(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, status, code string
		perToken           time.Duration
		cancel             bool
	}{
		{"cancelled", statusCancelled, "batch_cancelled", time.Minute, true},
		{"expired", statusExpired, "batch_expired", 3 * time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := setup(t, func(c *Config) { c.PerToken = tc.perToken })
				s.cfg.Now = time.Now
				go s.Work(t.Context())
				input := upload(t, s, "batch", batchInput(20))
				var b batchState
				send(t, s, http.MethodPost, "/v1/batches", `{"input_file_id":"`+input+`","endpoint":"/v1/chat/completions","completion_window":"24h"}`, &b)
				synctest.Wait()
				if tc.cancel {
					if send(t, s, http.MethodPost, "/v1/batches/"+b.ID+"/cancel", "", &b); b.Status != statusCancelling {
						t.Fatalf("got %+v", b)
					}
				}
				time.Sleep(48 * time.Hour)
				send(t, s, http.MethodGet, "/v1/batches/"+b.ID, "", &b)
				left := fetch(t, s, b.ErrorFileID)
				if b.Status != tc.status || b.RequestCounts.Completed == 0 || b.RequestCounts.Completed+len(left) != 20 || left[0].Error["code"] != tc.code || left[0].Response != nil {
					t.Errorf("got %+v with %d errors", b, len(left))
				}
			})
		})
	}
}

func TestWrongBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, nil)
		go s.Work(t.Context())
		for content, code := range map[string]string{
			"":                            "empty_file",
			"{":                           "invalid_json_line",
			batchInput(1) + batchInput(1): "duplicate_custom_id",
			`{"custom_id":"a","method":"GET","url":"/v1/chat/completions","body":{}}`:               "invalid_method",
			`{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{}}`:                    "mismatched_url",
			`{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"stream":true}}`: "invalid_request",
			`{"method":"POST","url":"/v1/chat/completions","body":{}}`:                              "missing_required_parameter",
		} {
			var b batchState
			input := upload(t, s, "batch", content)
			send(t, s, http.MethodPost, "/v1/batches", `{"input_file_id":"`+input+`","endpoint":"/v1/chat/completions","completion_window":"24h"}`, &b)
			synctest.Wait()
			send(t, s, http.MethodGet, "/v1/batches/"+b.ID, "", &b)
			if b.Status != statusFailed || b.Errors == nil || b.Errors.Data[0].Code != code {
				t.Errorf("%q: got %+v, want %s", content, b, code)
			}
		}
		input := upload(t, s, "batch", batchInput(1))
		for body, want := range map[string]string{
			`{"input_file_id":"none","endpoint":"/v1/embeddings","completion_window":"24h"}`:         "No such File object: none",
			`{"input_file_id":"` + input + `","endpoint":"/v1/none","completion_window":"24h"}`:      "/v1/none",
			`{"input_file_id":"` + input + `","endpoint":"/v1/embeddings","completion_window":"1h"}`: "'24h'",
		} {
			var failed wireReply
			if send(t, s, http.MethodPost, "/v1/batches", body, &failed); !strings.Contains(failed.Error.Message, want) {
				t.Errorf("%s: got %+v", body, failed.Error)
			}
		}
	})
}

func TestFilesAreBounded(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.Answers.StoredBytes, c.Answers.StoredItems = 100, 2 })
	first := upload(t, s, "batch", strings.Repeat("a", 60))
	if _, err := s.files.add("b", "batch", make([]byte, 41), 0); err == nil || !strings.Contains(err.Error(), "101 bytes") {
		t.Errorf("got %v", err)
	}
	var gone struct{ Deleted bool }
	send(t, s, http.MethodDelete, "/v1/files/"+first, "", &gone)
	upload(t, s, "batch", strings.Repeat("a", 60))
	upload(t, s, "user_data", "b")
	if _, err := s.files.add("c", "batch", nil, 0); !gone.Deleted || err == nil || !strings.Contains(err.Error(), "2 items") {
		t.Errorf("deleted %v, then %v", gone.Deleted, err)
	}
}

// hook is a webhook that keeps the signed events; as a transport it needs no
// network, so it works with virtual time. It refuses the first event.
type hook struct {
	handle http.HandlerFunc
	events chan map[string]any
}

func (h *hook) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h.handle(w, r)
	return w.Result(), nil
}

func newHook(t *testing.T, key []byte) *hook {
	h := &hook{events: make(chan map[string]any, 10)}
	tries := 0
	h.handle = func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), body)
		var event map[string]any
		if r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) || json.Unmarshal(body, &event) != nil {
			t.Errorf("event %s with headers %v", body, r.Header)
		}
		h.events <- event
	}
	return h
}

func TestBackgroundResponseTellsTheWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHook(t, []byte("secret key"))
		s := setup(t, func(c *Config) {
			c.Answers.Webhook = Webhook{URL: "http://hook.test", Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("secret key"))}
		})
		s.client.Transport = h
		go s.Work(t.Context())
		var got responseState
		if send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small","input":"hello you","background":true}`, &got); got.Status != statusQueued {
			t.Fatalf("got %+v", got)
		}
		event := <-h.events
		send(t, s, http.MethodGet, "/v1/responses/"+got.ID, "", &got)
		if event["type"] != "response.completed" || event["object"] != "event" || event["data"].(map[string]any)["id"] != got.ID || got.Status != statusCompleted {
			t.Errorf("event %v, response %+v", event, got)
		}
	})
}

func TestBackgroundResponseIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := setup(t, func(c *Config) { c.PerToken = time.Minute })
		go s.Work(t.Context())
		var got responseState
		send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small","input":"hello you","background":true}`, &got)
		synctest.Wait()
		if send(t, s, http.MethodGet, "/v1/responses/"+got.ID, "", &got); got.Status != statusInProgress || len(got.Output) != 0 {
			t.Errorf("got %+v", got)
		}
		for range 2 {
			if send(t, s, http.MethodPost, "/v1/responses/"+got.ID+"/cancel", "", &got); got.Status != statusCancelled {
				t.Errorf("got %+v", got)
			}
		}
		time.Sleep(time.Hour)
		if send(t, s, http.MethodGet, "/v1/responses/"+got.ID, "", &got); got.Status != statusCancelled || len(got.Output) != 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func TestResponses(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	var got struct {
		responseState
		Output []struct {
			Type, Name, Arguments string
			CallID                string `json:"call_id"`
			Content               []struct{ Type, Text string }
		} `json:"output"`
	}
	send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small","input":"one two"}`, &got)
	if got.Status != statusCompleted || got.Output[0].Content[0].Text != "You said: one two" || got.Usage.OutputTokens != 5 {
		t.Fatalf("got %+v", got)
	}
	id := got.ID
	send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small","max_output_tokens":2,"previous_response_id":"`+id+`","input":[{"role":"user","content":[{"type":"input_text","text":"again and again"}]}]}`, &got)
	if got.Status != statusIncomplete || got.IncompleteDetails["reason"] != "max_output_tokens" || got.Usage.InputTokens < 15 {
		t.Errorf("got %+v", got)
	}
	tools := `"tools":[{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]`
	send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small",`+tools+`,"input":"What is the weather in Paris?"}`, &got)
	if got.Output[0].Type != "function_call" || got.Output[0].Arguments != `{"city":"Paris"}` {
		t.Fatalf("got %+v", got)
	}
	send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small",`+tools+`,"previous_response_id":"`+got.ID+`","input":[{"type":"function_call_output","call_id":"`+got.Output[0].CallID+`","output":"sunny"}]}`, &got)
	if got.Output[0].Content[0].Text != "get_weather returned: sunny" {
		t.Errorf("got %+v", got)
	}
	send(t, s, http.MethodPost, "/v1/responses", `{"model":"sim-small","input":"a is x","text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}}}}`, &got)
	if got.Output[0].Content[0].Text != `{"a":"x"}` {
		t.Errorf("got %+v", got)
	}
}

// sequence reads the sequence numbers and kinds of a response's stream.
func sequence(t *testing.T, body string) (numbers []int, kinds []string, text string) {
	t.Helper()
	for line := range strings.Lines(body) {
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e struct {
			Type     string
			Delta    string
			Sequence int `json:"sequence_number"`
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		numbers, kinds = append(numbers, e.Sequence), append(kinds, e.Type)
		text += e.Delta
	}
	return numbers, kinds, text
}

func TestResponseStream(t *testing.T) {
	t.Parallel()
	s := setup(t, nil)
	w := post(t, s, "/v1/responses", `{"model":"sim-small","stream":true,"input":"one two"}`)
	numbers, kinds, text := sequence(t, w.Body.String())
	if text != "You said: one two" || kinds[0] != "response.created" || kinds[len(kinds)-1] != "response.completed" || numbers[len(numbers)-1] != len(numbers)-1 {
		t.Fatalf("got %v %v %q", numbers, kinds, text)
	}
	_, after, _ := strings.Cut(w.Body.String(), `"id":"`)
	id, _, _ := strings.Cut(after, `"`)
	again := httptest.NewRecorder()
	s.ServeHTTP(again, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/responses/"+id+"?stream=true&starting_after=3", nil))
	rest, _, _ := sequence(t, again.Body.String())
	if len(rest) != len(numbers)-4 || rest[0] != 4 {
		t.Errorf("after 3 come %v of %v", rest, numbers)
	}
}

func TestAnswersDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	const n = 10_000 / sampleStride
	bodies := make([]string, n)
	for i := range bodies {
		bodies[i] = []string{
			fmt.Sprintf(`{"model":"sim-small","seed":%d,"logprobs":true,"messages":[{"role":"user","content":"Question %d about things"}]}`, i%7, i),
			fmt.Sprintf(`{"model":"sim-small","n":2,"max_tokens":%d,"messages":[{"role":"user","content":"Question %d about other things"}]}`, 1+i%5, i),
			toolRequest(fmt.Sprintf("weather in Paris and a timer for %d minutes", i), ""),
			withSchema(object(`"a":{"type":"integer"},"b":{"type":"string","format":"uuid"}`), fmt.Sprintf("case %d", i), false),
		}[i%4]
	}
	ask := func(order []int) (map[int]string, Ledger) {
		s := setup(t, func(c *Config) { c.Answers.Seed = 5 })
		out := map[int]string{}
		for _, i := range order {
			out[i] = post(t, s, "/v1/chat/completions", bodies[i]).Body.String()
		}
		return out, s.Ledger()
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	first, one := ask(rnd.Perm(n))
	second, two := ask(rnd.Perm(n))
	for i := range bodies {
		if first[i] != second[i] {
			t.Fatalf("request %d: %s and %s", i, first[i], second[i])
		}
	}
	if one.PromptTokens != two.PromptTokens || one.CompletionTokens != two.CompletionTokens || one.Statuses[200] != n || two.Statuses[200] != n || one.CompletionTokens == 0 {
		t.Errorf("ledgers %+v and %+v", one.Statuses, two.Statuses)
	}
}

func TestTokenCountsAreExact(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(dataset.Path(t, "tokens", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		S    string
		O200 []int `json:"o200k"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	counter, err := tokens.New(tokens.O200kBase)
	if err != nil {
		t.Fatal(err)
	}
	s := setup(t, func(c *Config) { c.CountTokens = counter.Count })
	wrong := 0
	for _, v := range vectors {
		body, err := json.Marshal(map[string]any{"model": "sim-small", "metadata": map[string]string{"sim": "mode=echo"}, "messages": []any{map[string]string{"role": "user", "content": v.S}}})
		if err != nil {
			t.Fatal(err)
		}
		got := chatAs(t, s, string(body))
		if got.Usage.CompletionTokens != len(v.O200) || got.Usage.PromptTokens != len(v.O200)+messageTokens+replyTokens {
			if wrong++; wrong <= 3 {
				t.Errorf("%q: usage %+v, want %d", v.S, got.Usage, len(v.O200))
			}
		}
	}
	t.Logf("%d vectors, %d wrong", len(vectors), wrong)
}
