package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
	"github.com/weir-dev/weir/services/gateway/internal/openai"
)

// completion is a chat completion request with more fields.
func completion(more string, header ...string) call {
	return call{method: "POST", path: "/v1/chat/completions", body: `{"model":"small","messages":[{"role":"user","content":"What is a stage?"}]` + more + `}`, header: header}
}

// taken waits for the n-th job and returns it.
func (r *rig) taken(n uint64) event.GenerateJob {
	r.T.Helper()
	eventually(r.T, func() string {
		if r.stored(bus.StreamJobs) < n {
			return "no job was taken in"
		}
		return ""
	})
	const subject = "weir.jobs.generate.interactive." + stagetest.Tenant
	stream, err := r.Bus.JetStream().Stream(r.T.Context(), bus.StreamJobs)
	if err != nil {
		r.T.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(r.T.Context(), subject)
	if err != nil {
		r.T.Fatal(err)
	}
	job, err := event.DecodeGenerateJob(subject, msg.Data)
	if err != nil {
		r.T.Fatal(err)
	}
	return job
}

// later makes a call that waits.
func (r *rig) later(c call) <-chan reply {
	out := make(chan reply, 1)
	go func() {
		got, err := send(r.T.Context(), r.url, c)
		if err != nil {
			got.body = []byte(err.Error())
		}
		out <- got
	}()
	return out
}

func TestChat(t *testing.T) {
	t.Parallel()
	r := setup(t)
	waiting := r.later(completion(`,"temperature":0`))
	job := r.taken(1)
	r.finish(job.ID, event.StatusOK)
	got := <-waiting
	var c openai.ChatCompletion
	if err := json.Unmarshal(got.body, &c); err != nil || got.status != http.StatusOK || got.header.Get("Weir-Job") != job.ID ||
		c.ID != "chatcmpl-"+job.ID || c.Model != "small" || *c.Choices[0].Message.Content != "A function." {
		t.Errorf("got %d %s, %v", got.status, got.body, err)
	}
	if job.Model != "small" || job.Messages[0].Content != "What is a stage?" || *job.Temperature != 0 || job.Stream {
		t.Errorf("the job is %+v", job)
	}
}

// TestChatErrors: in OpenAI's shape, with the status that its clients know; a request
// that became a job is not to be sent again.
func TestChatErrors(t *testing.T) {
	t.Parallel()
	r := setup(t)
	type failure struct{ Error openai.ErrorObject }
	for _, c := range []struct {
		call
		status int
		param  string
		code   string
	}{
		{completion(`,"n":3`), 400, "n", ""},
		{call{method: "POST", path: "/v1/chat/completions", body: `{"model":"none","messages":[{"role":"user","content":"a"}]}`}, 404, "model", "model_not_found"},
		{completion(`,"temperature":7`), 400, "temperature", ""},
		{completion(`,"weir":{"rag":{"collection":"a.b"}}`), 400, "weir.rag.collection", ""},
		{completion(`,"weir":{"lane":"fast"}`), 400, "weir.lane", ""},
		{call{method: "POST", path: "/v1/chat/completions", body: `{`}, 400, "body", ""},
		{call{method: "POST", path: "/v1/chat/completions", tenant: "narrow", body: `{"model":"large","messages":[{"role":"user","content":"a"}]}`}, 404, "model", "model_not_found"},
		{call{method: "POST", path: "/v1/chat/completions", tenant: "narrow", body: `{"model":"small","messages":[{"role":"user","content":"a"}]}`}, 403, "weir.lane", "forbidden"},
		{call{method: "GET", path: "/v1/chat/completions"}, 405, "method", "method_not_allowed"},
		{call{method: "GET", path: "/v1/models/none"}, 404, "model", "model_not_found"},
	} {
		got := ask[failure](r, c.status, c.call).Error
		code := ""
		if got.Code != nil {
			code = *got.Code
		}
		if got.Param == nil || *got.Param != c.param || code != c.code || got.Message == "" {
			t.Errorf("%s: got %+v %v", c.body, got, code)
		}
	}
	for n, more := range []string{``, `,"stream":true`} {
		waiting := r.later(completion(more))
		r.finish(r.taken(uint64(n+1)).ID, event.StatusFailed)
		if got := <-waiting; got.status != http.StatusBadRequest || got.header.Get("X-Should-Retry") != "false" || !strings.Contains(string(got.body), `"type":"invalid_request_error"`) {
			t.Errorf("a failed job: got %d %s %v", got.status, got.body, got.header)
		}
	}
}

// TestChatTakesTooLong: the answer names the job, which goes on.
func TestChatTakesTooLong(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if wait := DefaultConfig().AwaitTimeout; wait >= 10*time.Minute-deadlineGrace {
		t.Errorf("it waits %s, and the official clients 10m: they would send the request again", wait)
	}
	r.s.cfg.AwaitTimeout = 50 * time.Millisecond
	for n, more := range []string{``, `,"stream":true`} {
		got := r.do(r.url, completion(more))
		job := r.taken(uint64(n + 1))
		if got.status != http.StatusGatewayTimeout || !strings.Contains(string(got.body), job.ID) || got.header.Get("X-Should-Retry") != "false" || got.header.Get("Weir-Job") != job.ID {
			t.Errorf("got %d %s %v", got.status, got.body, got.header)
		}
		if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, job.ID); err != nil || known.State.Finished() {
			t.Errorf("got %+v, %v", known, err)
		}
	}
}

// TestChatAgain: a request with a key is one job, with a deadline from now as well.
func TestChatAgain(t *testing.T) {
	t.Parallel()
	r := setup(t)
	again := completion(`,"weir":{"timeout_ms":60000}`, "Idempotency-Key", "a key, not a name")
	first := r.later(again)
	job := r.taken(1)
	if d := time.Until(job.Deadline); d <= 0 || d > time.Minute {
		t.Errorf("the deadline is in %s", d)
	}
	second := r.later(again)
	r.finish(job.ID, event.StatusOK)
	for _, waiting := range []<-chan reply{first, second} {
		if got := <-waiting; got.status != http.StatusOK || got.header.Get("Weir-Job") != job.ID {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if n := r.stored(bus.StreamJobs); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

// TestChatLeft: as with a stream.
func TestChatLeft(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for n, more := range []string{`,"weir":{"cancel_on_disconnect":true}`, `,"stream":true,"weir":{"cancel_on_disconnect":true}`} {
		ctx, leave := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := send(ctx, r.url, completion(more))
			ended <- err
		}()
		job := r.taken(uint64(n + 1))
		leave()
		if err := <-ended; err == nil {
			t.Error("an answer came")
		}
		eventually(t, func() string {
			if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, job.ID); err != nil || known.State != client.StateCanceled {
				return "the job was not canceled: " + string(known.State)
			}
			return ""
		})
	}
}

func TestChatStream(t *testing.T) {
	t.Parallel()
	r := setup(t)
	opened := make(chan source, 1)
	go func() {
		opened <- r.open(r.url, completion(`,"stream":true,"stream_options":{"include_usage":true},"weir":{"cancel_on_disconnect":true}`))
	}()
	job := r.taken(1)
	if !job.Stream {
		t.Errorf("the job is %+v", job)
	}
	r.token(job.ID, 1, 0, "A fun")
	s := <-opened
	first, second := s.chunk(t), s.chunk(t)
	if first.Choices[0].Delta.Role != "assistant" || *second.Choices[0].Delta.Content != "A fun" || second.Model != "small" {
		t.Errorf("got %+v, %+v", first, second)
	}
	r.token(job.ID, 2, 0, "A")
	r.token(job.ID, 2, 1, " func")
	if c := s.chunk(t); *c.Choices[0].Delta.Content != "c" {
		t.Errorf("got %+v", c)
	}
	r.finish(job.ID, event.StatusOK)
	if c := s.chunk(t); *c.Choices[0].Delta.Content != "tion." {
		t.Errorf("got %+v", c)
	}
	if c := s.chunk(t); *c.Choices[0].FinishReason != "stop" {
		t.Errorf("got %+v", c)
	}
	if c := s.chunk(t); len(c.Choices) != 0 || !strings.Contains(string(c.Usage), "total_tokens") {
		t.Errorf("got %+v", c)
	}
	if e := s.next(t, ""); e.data != "[DONE]" {
		t.Errorf("got %+v", e)
	}
	s.ended(t)
	if known, err := r.s.client.Job(t.Context(), stagetest.Tenant, job.ID); err != nil || known.State != client.StateOK {
		t.Errorf("got %+v, %v", known, err)
	}
}

func (s source) chunk(t *testing.T) openai.Chunk {
	t.Helper()
	var c openai.Chunk
	if err := json.Unmarshal([]byte(s.next(t, "").data), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestChatStreamBreaks: an answer that starts over as another one can't go on.
func TestChatStreamBreaks(t *testing.T) {
	t.Parallel()
	r := setup(t)
	opened := make(chan source, 1)
	go func() { opened <- r.open(r.url, completion(`,"stream":true`)) }()
	job := r.taken(1)
	r.token(job.ID, 1, 0, "A fun")
	s := <-opened
	s.chunk(t)
	s.chunk(t)
	r.token(job.ID, 2, 0, "No")
	var body openai.Error
	if err := json.Unmarshal([]byte(s.next(t, "").data), &body); err != nil || *body.Error.Code != "restarted" || !strings.Contains(body.Error.Message, job.ID) {
		t.Errorf("got %+v, %v", body, err)
	}
	s.ended(t)
}

func TestModels(t *testing.T) {
	t.Parallel()
	r := setup(t)
	if got := ask[openai.Models](r, http.StatusOK, call{method: "GET", path: "/v1/models", tenant: "narrow"}); len(got.Data) != 2 || got.Data[1].ID != "small" {
		t.Errorf("got %+v", got)
	}
	for _, path := range []string{"/v1/models/small", "/v1/models/weir/auto", "/v1/models/weir%2Fauto"} {
		if got := ask[openai.Model](r, http.StatusOK, call{method: "GET", path: path}); got.Object != "model" {
			t.Errorf("got %+v", got)
		}
	}
}

// TestAgainAfterACrash: a gateway has died between the record of a job and the job; the
// same request is no other job for coming later.
func TestAgainAfterACrash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]call{
		"chat":       completion(`,"weir":{"timeout_ms":60000}`, "Idempotency-Key", "k1"),
		"embeddings": {method: "POST", path: "/v1/embeddings", body: `{"model":"embed","input":"a","weir":{"timeout_ms":60000}}`, header: []string{"Idempotency-Key", "k1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := setup(t)
			r.s.cfg.AwaitTimeout = 50 * time.Millisecond
			for n := range 3 {
				if got := r.do(r.url, c); got.status != http.StatusGatewayTimeout || got.header.Get("Weir-Job") != "k1" {
					t.Errorf("request %d: got %d %s", n, got.status, got.body)
				}
				kv, err := r.Bus.KeyValue(t.Context(), bus.BucketJobs)
				if err != nil {
					t.Fatal(err)
				}
				record := bus.Value[event.Submission]{KV: kv, Key: event.JobKey(stagetest.Tenant, "k1"), Name: "the record"}
				if _, err := record.Change(t.Context(), func(s *event.Submission) error { s.Stored = n == 1; return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if n := r.stored(bus.StreamJobs); n != 1 {
				t.Errorf("%d jobs", n)
			}
		})
	}
}
