package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/event"
)

const generateSubject = "weir.jobs.generate.interactive.acme"

func TestDecodeGenerateJob(t *testing.T) {
	t.Parallel()
	job, err := event.DecodeGenerateJob(generateSubject, []byte(`{"v":1,"id":"j1","later":"ignored",
		"deadline":"2026-01-02T15:04:05Z","messages":[{"role":"user","content":"hi"}],
		"rag":{"collection":"docs","top_k":100},"temperature":2,"max_tokens":5}`))
	if err != nil {
		t.Fatal(err)
	}
	if job.Tenant != "acme" || job.Lane != event.LaneInteractive {
		t.Errorf("got tenant %q, lane %q; want those of the subject", job.Tenant, job.Lane)
	}
	if job.ID != "j1" || !job.Deadline.Equal(time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)) || job.RAG.TopK != event.MaxTopK {
		t.Errorf("got %+v", job)
	}
	// Fields that agree with the subject are fine, and so is no id.
	if _, err := event.DecodeGenerateJob(generateSubject,
		[]byte(`{"v":1,"tenant":"acme","lane":"interactive","messages":[{"role":"system","content":"x"}]}`)); err != nil {
		t.Error(err)
	}
}

func TestDecodeGenerateJobRefuses(t *testing.T) {
	t.Parallel()
	const messages = `"messages":[{"role":"user","content":"hi"}]`
	for _, c := range []struct {
		name, body, field string
		class             event.Class
	}{
		{"nothing", ``, "body", event.ClassInvalid},
		{"no object", `[1]`, "body", event.ClassInvalid},
		{"a string", `"hi"`, "body", event.ClassInvalid},
		{"null", `null`, "v", event.ClassInvalid},
		{"cut off", `{"v":1`, "body", event.ClassInvalid},
		{"two objects", `{"v":1}{"v":1}`, "body", event.ClassInvalid},
		{"no version", `{` + messages + `}`, "v", event.ClassInvalid},
		{"version as text", `{"v":"1",` + messages + `}`, "v", event.ClassInvalid},
		{"version 0", `{"v":0,` + messages + `}`, "v", event.ClassInvalid},
		{"later version", `{"v":2,` + messages + `}`, "v", event.ClassUnsupported},
		{"later version, other types", `{"v":2,"id":{"x":1},"messages":"hi"}`, "v", event.ClassUnsupported},
		{"other tenant", `{"v":1,"tenant":"evil",` + messages + `}`, "tenant", event.ClassInvalid},
		{"other lane", `{"v":1,"lane":"batch",` + messages + `}`, "lane", event.ClassInvalid},
		{"id with a dot", `{"v":1,"id":"a.b",` + messages + `}`, "id", event.ClassInvalid},
		{"id as number", `{"v":1,"id":5,` + messages + `}`, "id", event.ClassInvalid},
		{"deadline in words", `{"v":1,"deadline":"tomorrow",` + messages + `}`, "deadline", event.ClassInvalid},
		{"deadline as number", `{"v":1,"deadline":5,` + messages + `}`, "deadline", event.ClassInvalid},
		{"no messages", `{"v":1}`, "messages", event.ClassInvalid},
		{"empty messages", `{"v":1,"messages":[]}`, "messages", event.ClassInvalid},
		{"messages as text", `{"v":1,"messages":"hi"}`, "messages", event.ClassInvalid},
		{"bad role", `{"v":1,"messages":[{"role":"user","content":"x"},{"role":"bot","content":"x"}]}`, "messages[1].role", event.ClassInvalid},
		{"tool without call", `{"v":1,"messages":[{"role":"tool","content":"x"}]}`, "messages[0].tool_call_id", event.ClassInvalid},
		{"unknown parameter", `{"v":1,"params":{"n":2},` + messages + `}`, "params", event.ClassInvalid},
		{"no role", `{"v":1,"messages":[{"content":"x"}]}`, "messages[0].role", event.ClassInvalid},
		{"blank content", `{"v":1,"messages":[{"role":"user","content":" \n"}]}`, "messages[0].content", event.ClassInvalid},
		{"bad model", `{"v":1,"model":"a/b",` + messages + `}`, "model", event.ClassInvalid},
		{"negative max_attempts", `{"v":1,"max_attempts":-1,` + messages + `}`, "max_attempts", event.ClassInvalid},
		{"too many max_attempts", `{"v":1,"max_attempts":51,` + messages + `}`, "max_attempts", event.ClassInvalid},
		{"negative max_cost", `{"v":1,"max_cost_nano_usd":-1,` + messages + `}`, "max_cost_nano_usd", event.ClassInvalid},
		{"negative max_tokens", `{"v":1,"max_tokens":-1,` + messages + `}`, "max_tokens", event.ClassInvalid},
		{"hot", `{"v":1,"temperature":2.1,` + messages + `}`, "temperature", event.ClassInvalid},
		{"cold", `{"v":1,"temperature":-0.1,` + messages + `}`, "temperature", event.ClassInvalid},
		{"rag without collection", `{"v":1,"rag":{},` + messages + `}`, "rag.collection", event.ClassInvalid},
		{"rag top_k", `{"v":1,"rag":{"collection":"c","top_k":101},` + messages + `}`, "rag.top_k", event.ClassInvalid},
		{"rag top_k as text", `{"v":1,"rag":{"collection":"c","top_k":"1"},` + messages + `}`, "rag.top_k", event.ClassInvalid},
	} {
		_, err := event.DecodeGenerateJob(generateSubject, []byte(c.body))
		wantInvalid(t, c.name, err, c.class, c.field)
	}
	_, err := event.DecodeGenerateJob("weir.jobs.generate.express.acme", []byte(`{"v":1}`))
	wantInvalid(t, "subject", err, event.ClassInvalid, "lane")
}

// TestSyntaxErrorNamesTheLine: a job is often written by hand.
func TestSyntaxErrorNamesTheLine(t *testing.T) {
	t.Parallel()
	_, err := event.DecodeGenerateJob(generateSubject, []byte("{\n\"v\": 1,\n\"id\": oops\n}"))
	wantInvalid(t, "broken", err, event.ClassInvalid, "body")
	if !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want it to name line 3", err)
	}
}

func TestDecodeIngestJob(t *testing.T) {
	t.Parallel()
	const subject = "weir.jobs.ingest.batch.acme"
	for _, body := range []string{
		`{"v":1,"collection":"docs","document":{"id":"d1","text":"hello"}}`,
		`{"v":1,"collection":"docs","document":{"id":"d1","data":"aGVsbG8="}}`,
	} {
		job, err := event.DecodeIngestJob(subject, []byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if text := job.Document.Text + string(job.Document.Data); text != "hello" {
			t.Errorf("%s: got %q", body, text)
		}
	}
	for _, c := range []struct{ name, body, field string }{
		{"no collection", `{"v":1,"document":{"id":"d1","text":"x"}}`, "collection"},
		{"no document", `{"v":1,"collection":"docs"}`, "document.id"},
		{"document id with a slash", `{"v":1,"collection":"docs","document":{"id":"a/b","text":"x"}}`, "document.id"},
		{"no content", `{"v":1,"collection":"docs","document":{"id":"d1"}}`, "document"},
		{"both", `{"v":1,"collection":"docs","document":{"id":"d1","text":"x","data":"eA=="}}`, "document"},
		{"no base64", `{"v":1,"collection":"docs","document":{"id":"d1","data":"!!"}}`, "document.data"},
		{"data as number", `{"v":1,"collection":"docs","document":{"id":"d1","data":5}}`, "document.data"},
		{"long source", `{"v":1,"collection":"docs","document":{"id":"d1","text":"x","source":"` + strings.Repeat("x", event.MaxField+1) + `"}}`, "document.source"},
		{"long title", `{"v":1,"collection":"docs","document":{"id":"d1","text":"x","title":"` + strings.Repeat("x", event.MaxField+1) + `"}}`, "document.title"},
		{"metadata as list", `{"v":1,"collection":"docs","document":{"id":"d1","text":"x","metadata":[1]}}`, "document.metadata"},
	} {
		_, err := event.DecodeIngestJob(subject, []byte(c.body))
		wantInvalid(t, c.name, err, event.ClassInvalid, c.field)
	}
}

// TestDecodeBetweenStages: a later version is refused as such, whatever types
// its fields have, so that it is kept for a Weir that can read it.
func TestDecodeBetweenStages(t *testing.T) {
	t.Parallel()
	task, err := event.Decode[event.GenerateTask]([]byte(`{"v":1,"id":"j1","model":"big","new":true}`))
	if err != nil || task.ID != "j1" || task.Model != "big" {
		t.Errorf("got %+v, %v", task, err)
	}
	for _, body := range []string{`{"v":2,"model":"big"}`, `{"v":2,"model":{"name":"big"}}`, `{}`} {
		_, err := event.Decode[event.GenerateTask]([]byte(body))
		wantInvalid(t, body, err, event.ClassUnsupported, "v")
	}
	_, err = event.Decode[event.GenerateTask]([]byte(`{"v":1,"model":5}`))
	wantInvalid(t, "wrong type", err, event.ClassInvalid, "model")
}

func TestPeek(t *testing.T) {
	t.Parallel()
	deadline := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		body string
		want event.Head
		ok   bool
	}{
		{`{"id":"j1","deadline":"2026-01-02T15:04:05Z"}`, event.Head{ID: "j1", Deadline: deadline}, true},
		{` {"id":"j1","deadline":"soon"}`, event.Head{ID: "j1"}, true}, // one wrong field hides nothing
		{`{"id":"j1","receipt":5}`, event.Head{ID: "j1"}, true},
		{`{"v":9}`, event.Head{}, true},
		{`{"id":"a.b"}`, event.Head{}, false},
		{`{"id":5}`, event.Head{}, false},
		{`{"id":"j1"`, event.Head{}, false},
		{`[]`, event.Head{}, false},
		{`null`, event.Head{}, false},
		{``, event.Head{}, false},
	} {
		got, ok := event.Peek([]byte(c.body))
		if ok != c.ok || got.ID != c.want.ID || !got.Deadline.Equal(c.want.Deadline) {
			t.Errorf("%s: got %+v, %t; want %+v, %t", c.body, got, ok, c.want, c.ok)
		}
	}
}

func TestCheckNotBefore(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		notBefore, deadline time.Time
		field               string
	}{
		"none":                {},
		"past":                {notBefore: now.Add(-time.Hour)},
		"as far as may be":    {notBefore: now.Add(event.MaxAhead)},
		"too far":             {notBefore: now.Add(event.MaxAhead + 1), field: "not_before"},
		"deadline after":      {notBefore: now.Add(time.Hour), deadline: now.Add(time.Hour + 1)},
		"deadline at its end": {notBefore: now.Add(time.Hour), deadline: now.Add(time.Hour), field: "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := event.CheckNotBefore(now, tc.notBefore, tc.deadline)
			if tc.field == "" && err == nil {
				return
			}
			if e := event.AsError(err); e == nil || e.Field != tc.field || e.Hint == "" {
				t.Errorf("got %v, want an error of %q", err, tc.field)
			}
		})
	}
}

// TestManyValues: a job that is small as text and large when it is decoded is refused
// before that; text may be of any length, and its id is known.
func TestManyValues(t *testing.T) {
	t.Parallel()
	const subject = "weir.jobs.generate.batch.acme"
	many := strings.Repeat("{},", event.MaxValues)
	for name, c := range map[string]struct{ field, bad string }{
		"messages": {"body", `"messages":[` + many + `{}]`},
		"receipt":  {"body", `"messages":[{"role":"user","content":"x"}],"receipt":{"attempts":[` + many + `{}]}`},
		"text":     {"", `"messages":[{"role":"user","content":"` + strings.Repeat(`,{[\\\"`, event.MaxValues) + `"}]`},
	} {
		data := []byte(`{"v":1,"id":"j1",` + c.bad + `}`)
		_, err := event.DecodeGenerateJob(subject, data)
		if e := event.AsError(err); (c.field == "") != (err == nil) || err != nil && (e.Class != event.ClassTooLarge || e.Field != c.field) {
			t.Errorf("%s: got %v", name, err)
		}
		if head, ok := event.Peek(data); !ok || head.ID != "j1" || len(head.Receipt.Attempts) > 0 {
			t.Errorf("%s: the head is %q with %d attempts", name, head.ID, len(head.Receipt.Attempts))
		}
	}
}
