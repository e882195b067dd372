package event_test

import (
	"errors"
	"testing"

	"github.com/weir-dev/weir/pkg/event"
)

func seedBodies(f *testing.F) {
	f.Helper()
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `{"v":1}`, `{"v":2}`, `{"v":1,"id":"j1","messages":[{"role":"user","content":"hi"}]}`,
		`{"v":1,"deadline":"x"}`, `{"v":1e99}`, "{\"v\":1,\n\"id\":", `{"id":"\ud800"}`, `{"v":1,"rag":null,"messages":[{}]}`,
		`{"v":1,"messages":[{"role":"user","content":"hi"}],"tools":[{}],"tool_choice":null,"params":{"seed":1}}`,
		`{"v":1,"id":"j1","deadline":7,"webhook":["x"],"metadata":{"k":"v"}}`, `{"v":1,"inputs":["a",""]}`,
	} {
		f.Add([]byte(body))
	}
}

// FuzzDecodeGenerateJob: any body gives a valid job or an error that names a
// field and a way out.
func FuzzDecodeGenerateJob(f *testing.F) {
	seedBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		job, err := event.DecodeGenerateJob(generateSubject, body)
		if err == nil {
			if job.Tenant != "acme" || len(job.Messages) == 0 {
				t.Errorf("accepted %+v", job)
			}
			return
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Field == "" || e.Hint == "" || e.Message == "" {
			t.Errorf("%q: got %#v, want field, message and hint", body, err)
		}
	})
}

// FuzzDecodeEmbedJob is the same of embed jobs.
func FuzzDecodeEmbedJob(f *testing.F) {
	seedBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		job, err := event.DecodeEmbedJob("weir.jobs.embed.batch.acme", body)
		if err == nil {
			if job.Tenant != "acme" || len(job.Inputs) == 0 || len(job.Inputs) > event.MaxInputs {
				t.Errorf("accepted %+v", job)
			}
			return
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Field == "" || e.Hint == "" || e.Message == "" {
			t.Errorf("%q: got %#v, want field, message and hint", body, err)
		}
	})
}

// FuzzPeek: whatever comes, the id is empty or can be part of a subject.
func FuzzPeek(f *testing.F) {
	seedBodies(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		head, ok := event.Peek(body)
		if head.ID != "" && (!ok || event.CheckName("id", head.ID) != nil) {
			t.Errorf("%q: got id %q, %t", body, head.ID, ok)
		}
	})
}

// FuzzDocumentID: any source, however hostile, gives a valid name.
func FuzzDocumentID(f *testing.F) {
	for _, source := range []string{"", "/", "../../etc/passwd", "https://example.com/a?b=c#d", "日本語.md", "\xff\xfe", "a\x00b", "weir.>", "*"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		id := event.DocumentID(source)
		if err := event.CheckName("id", id); err != nil {
			t.Errorf("%q: %v", source, err)
		}
		if again := event.DocumentID(source); again != id {
			t.Errorf("%q: got %q, then %q", source, id, again)
		}
		if other := event.DocumentID(source + "/"); other == id {
			t.Errorf("%q and %q/ share the id %q", source, source, id)
		}
	})
}
