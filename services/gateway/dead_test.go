package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/dead"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/stage"
)

// breaks starts a stage whose handler panics until it is mended.
func (r *rig) breaks() (mended *atomic.Bool) {
	r.T.Helper()
	mended = new(atomic.Bool)
	cfg := stage.DefaultWorkers(2).Stage("worker", func(lane event.Lane, fleet int) bus.Consumer {
		return bus.JobConsumer("worker", event.KindGenerate, lane, fleet)
	})
	runner, err := stage.New(cfg, r.Bus, stage.HandlerFunc(func(_ context.Context, in *bus.Message) ([]bus.Out, error) {
		if !mended.Load() {
			panic("index 3 out of range")
		}
		job, err := event.DecodeGenerateJob(in.Subject, in.Data)
		if err != nil {
			return nil, err
		}
		result := job.ResultOf(event.KindGenerate, time.Now())
		result.Answer = &event.Answer{Text: fmt.Sprint("Hi. ", job.MaxTokens)}
		out, err := stage.ResultOut(result)
		return []bus.Out{out}, err
	}), platform.Platform{})
	if err != nil {
		r.T.Fatal(err)
	}
	r.Start(runner)
	return mended
}

// ended waits until a job has ended well.
func (r *rig) ended(id string) job {
	r.T.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		j := ask[job](r, http.StatusOK, call{method: "GET", path: "/v1/jobs/" + id})
		if j.Status == "ok" {
			return j
		}
		if time.Now().After(deadline) {
			r.T.Fatalf("job %s is %s", id, j.Status)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-r.T.Context().Done():
		}
	}
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	r := setup(t)
	mended := r.breaks()
	for i := range 6 {
		id := fmt.Sprint("d", i)
		r.submitted(id)
		r.Failure(event.KindGenerate, id)
	}
	groups := ask[deadGroups](r, http.StatusOK, call{method: "GET", path: "/v1/dead"})
	if len(groups.Groups) != 1 || groups.Groups[0].Count != 6 || groups.Groups[0].Class != event.ClassPoison || groups.Groups[0].Stage != "worker" {
		t.Fatalf("got %+v", groups)
	}
	list := ask[deadLetters](r, http.StatusOK, call{method: "GET", path: "/v1/dead?list=true&limit=4&group=" + groups.Groups[0].ID})
	if len(list.Letters) != 4 || list.Next == "" || list.Letters[0].Job != "d0" {
		t.Fatalf("got %+v", list)
	}
	mended.Store(true)
	path := fmt.Sprint("/v1/dead/", list.Letters[0].Seq)
	record := ask[dead.Record](r, http.StatusAccepted, call{method: "POST", path: path + "/redrive", body: `{"edit":{"max_tokens":7}}`})
	if record.Times != 1 || record.Replaced == nil || record.By == "" {
		t.Errorf("got %+v", record)
	}
	if j := r.ended("d0"); j.Result.Answer.Text != "Hi. 7" {
		t.Errorf("got %+v", j.Result.Answer)
	}
	d := ask[dead.Detail](r, http.StatusOK, call{method: "GET", path: path})
	if d.Redriven == nil || !strings.Contains(string(d.Body), "What is a stage?") || !strings.Contains(string(d.Result), "Hi. 7") {
		t.Errorf("got %+v", d)
	}
	if out := ask[refused](r, http.StatusConflict, call{method: "POST", path: path + "/redrive"}); out.Code != "conflict" {
		t.Errorf("got %+v", out)
	}
	many := "/v1/dead/redrive"
	dry := ask[dead.Report](r, http.StatusOK, call{method: "POST", path: many, body: `{"all":true,"dry_run":true}`})
	if dry.Matched != 5 || dry.Redriven != 0 {
		t.Errorf("got %+v", dry)
	}
	some := ask[dead.Report](r, http.StatusOK, call{method: "POST", path: many, body: `{"group":"` + groups.Groups[0].ID + `","sample":2}`})
	if some.Redriven != 2 || some.Matched != 5 {
		t.Errorf("got %+v", some)
	}
	rest := ask[dead.Report](r, http.StatusOK, call{method: "POST", path: many, body: `{"all":true}`})
	if rest.Redriven != 3 || rest.Refused != 0 {
		t.Errorf("got %+v", rest)
	}
	for i := range 6 {
		r.ended(fmt.Sprint("d", i))
	}
}

// TestDeadLettersOfOthers: another tenant's letter is as one that was never there.
func TestDeadLettersOfOthers(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.breaks()
	r.submitted("d1")
	r.Failure(event.KindGenerate, "d1")
	list := ask[deadLetters](r, http.StatusOK, call{method: "GET", path: "/v1/dead?list=true"})
	seq := list.Letters[0].Seq
	for _, method := range []string{"GET", "POST"} {
		path := func(seq uint64) string {
			if method == "POST" {
				return fmt.Sprintf("/v1/dead/%d/redrive", seq)
			}
			return fmt.Sprint("/v1/dead/", seq)
		}
		theirs := r.do(r.url, call{method: method, path: path(seq), tenant: "other"})
		none := r.do(r.url, call{method: method, path: path(seq + 99), tenant: "other"})
		if theirs.status != http.StatusNotFound || strings.ReplaceAll(string(theirs.body), fmt.Sprint(seq), fmt.Sprint(seq+99)) != string(none.body) {
			t.Errorf("%s: got %d %s and %d %s, want the same", method, theirs.status, theirs.body, none.status, none.body)
		}
	}
	if out := ask[deadLetters](r, http.StatusOK, call{method: "GET", path: "/v1/dead?list=true", tenant: "other"}); len(out.Letters) != 0 {
		t.Errorf("got %+v", out)
	}
	if out := ask[dead.Report](r, http.StatusOK, call{method: "POST", path: "/v1/dead/redrive", body: `{"all":true}`, tenant: "other"}); out.Matched != 0 {
		t.Errorf("got %+v", out)
	}
}

func TestWrongRedrives(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for path, body := range map[string]string{
		"/v1/dead/redrive":   `{}`,
		"/v1/dead/redrive?":  `{"all":true,"dryrun":true}`,
		"/v1/dead/redrive?a": `{"all":true,"sample":-1}`,
		"/v1/dead/1/redrive": `{"all":true}`,
	} {
		if out := r.do(r.url, call{method: "POST", path: path, body: body}); out.status != http.StatusBadRequest {
			t.Errorf("%s %s: got %d %s", path, body, out.status, out.body)
		}
	}
	for _, path := range []string{"/v1/dead/0", "/v1/dead/x", "/v1/dead/-1", "/v1/dead/99999999999999999999999"} {
		if out := r.do(r.url, call{method: "GET", path: path}); out.status != http.StatusNotFound {
			t.Errorf("%s: got %d %s", path, out.status, out.body)
		}
	}
	for _, path := range []string{"/v1/dead?list=maybe", "/v1/dead?list=true&limit=0", "/v1/dead?list=true&cursor=x", "/v1/dead?stage=*"} {
		if out := r.do(r.url, call{method: "GET", path: path}); out.status != http.StatusBadRequest {
			t.Errorf("%s: got %d %s", path, out.status, out.body)
		}
	}
	if !errors.Is(deadError(nil, context.Canceled), context.Canceled) {
		t.Error("another error is changed")
	}
}
