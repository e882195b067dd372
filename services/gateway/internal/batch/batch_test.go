package batch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage/stagetest"
)

// TestBatch: every line ends in one of the files, in the order of the input, with what
// it took in the sum.
func TestBatch(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.pipeline(8)
	in := chatLine("a", "one") + chatLine("b", "fail") + "\n" +
		`{"custom_id":"c","method":"POST","url":"/v1/chat/completions","body":{"model":"none","messages":[{"role":"user","content":"x"}]}}` + "\n" +
		`{"custom_id":"d","method":"POST","url":"/v1/chat/completions","body":{"model":"small","stream":true,"messages":[{"role":"user","content":"x"}]}}` + "\n" +
		strings.TrimSuffix(chatLine("e", "two"), "\n")
	o := r.create("", r.upload("", in), `,"metadata":{"k":"v"}`)
	if o.Status != "validating" && o.Status != "in_progress" || o.Object != "batch" || o.CompletionWindow != "24h" || !strings.HasPrefix(o.ID, "batch_") {
		t.Errorf("got %+v", o)
	}
	o = r.ended("", o.ID, "completed")
	if o.RequestCounts.Total != 5 || o.RequestCounts.Completed != 2 || o.RequestCounts.Failed != 3 || o.Metadata["k"] != "v" ||
		o.InProgressAt == 0 || o.FinalizingAt == 0 || o.CompletedAt == 0 || o.Weir.CostNanoUSD != 10 || o.Weir.PromptTokens != 4 {
		t.Errorf("got %+v", o)
	}
	rows := r.rows("", o.OutputFileID)
	if len(rows) != 2 || rows[0].CustomID != "a" || rows[1].CustomID != "e" || rows[0].Response.StatusCode != 200 || rows[0].Response.RequestID != o.ID+"-1" ||
		rows[1].Response.RequestID != o.ID+"-6" || rows[0].Error != nil || !strings.Contains(string(rows[0].Response.Body), `"content":"re: one"`) {
		t.Errorf("got %+v", rows)
	}
	bad := r.rows("", o.ErrorFileID)
	for i, want := range []struct {
		custom, code, message string
		status                int
	}{{"b", "content_filter", "the filter said no", 422}, {"c", "model_not_found", "none", 404}, {"d", "invalid", "stream", 400}} {
		if i >= len(bad) || bad[i].CustomID != want.custom || bad[i].Response.StatusCode != want.status || bad[i].Error.Code != want.code ||
			!strings.Contains(bad[i].Error.Message, want.message) {
			t.Fatalf("row %d: got %+v %+v, want %+v", i, bad, bad[i].Error, want)
		}
	}
	result := r.Result(o.ID)
	if result.Kind != event.KindBatch || result.Status != event.StatusOK || result.Batch == nil || result.Receipt.CostNanoUSD != 10 || result.Metadata["k"] != "v" {
		t.Errorf("got %+v", result)
	}
}

// TestBatchEmbeddings: lines may ask for vectors, or for jobs as they are.
func TestBatchEmbeddings(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.pipeline(2)
	for endpoint, c := range map[string]struct{ line, want string }{
		"/v1/embeddings": {`{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":{"model":"vec","input":"x"}}`, `"embedding":[1,2]`},
		"/v1/jobs":       {`{"custom_id":"a","method":"POST","url":"/v1/jobs","body":{"messages":[{"role":"user","content":"x"}]}}`, `"text":"re: x"`},
	} {
		id := r.upload("", c.line)
		out := r.call("", http.MethodPost, "/v1/batches", "application/json",
			strings.NewReader(fmt.Sprintf(`{"input_file_id":%q,"endpoint":%q,"completion_window":"1h30m"}`, id, endpoint)))
		if out.status != http.StatusOK {
			t.Fatalf("%s: got %d %s", endpoint, out.status, out.body)
		}
		o := r.ended("", decode[object](t, out.body).ID, "completed")
		rows := r.rows("", o.OutputFileID)
		if len(rows) != 1 || !strings.Contains(string(rows[0].Response.Body), c.want) {
			t.Errorf("%s: got %+v", endpoint, rows)
		}
	}
}

// TestLinesObeyTheTenantsBounds: what a tenant may not use it may not use in a batch, one
// over NATS included.
func TestLinesObeyTheTenantsBounds(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.pipeline(2)
	const user = `"messages":[{"role":"user","content":"x"}]`
	var in strings.Builder
	for _, body := range []string{`"model":"small",` + user, `"model":"large",` + user, `"task":"secret",` + user, `"rag":{"collection":"secret"},` + user,
		`"kind":"embed","model":"vec","inputs":["a"]`, `"kind":"ingest","collection":"secret","document":{"id":"d","text":"a"}`} {
		fmt.Fprintf(&in, `{"custom_id":"%d","method":"POST","url":"/v1/jobs","body":{%s}}`+"\n", in.Len(), body)
	}
	file := r.upload("narrow", in.String())
	job := event.BatchJob{Envelope: event.Envelope{V: event.Version, ID: "b1"}, InputFile: file, Endpoint: "/v1/jobs"}
	r.Publish(event.Address{Kind: event.KindBatch, Lane: event.LaneBatch, Tenant: "narrow"}.Subject(), "b1", job)
	r.eventually(func() string {
		if got := r.call("narrow", http.MethodGet, "/v1/batches/b1", "", nil); got.status != http.StatusOK {
			return string(got.body)
		}
		return ""
	})
	o := r.ended("narrow", "b1", "completed")
	if o.RequestCounts.Completed != 1 || o.RequestCounts.Failed != 5 || r.handled.Load() != 1 {
		t.Errorf("got %+v, %d jobs were handled", o, r.handled.Load())
	}
	for _, row := range r.rows("narrow", o.ErrorFileID) {
		if row.Response.StatusCode != http.StatusForbidden || row.Error.Code != "forbidden" {
			t.Errorf("got %+v %+v", row, row.Error)
		}
	}
}

// TestRestart: a batch whose gateway stops in the middle, twice, goes on in the next
// one, and every line is answered once.
func TestRestart(t *testing.T) {
	t.Parallel()
	const n = 2000
	r := setup(t)
	r.pipeline(4)
	o := r.create("", r.upload("", chatLines(n)), "")
	for _, part := range []int64{n / 4, n / 2} {
		r.eventually(func() string {
			if done := r.handled.Load(); done < part {
				return fmt.Sprintf("%d of %d lines are handled", done, n)
			}
			return ""
		})
		r.restart()
	}
	o = r.ended("", o.ID, "completed")
	r.wantRows("", o, n)
	if o.Weir.CostNanoUSD != 5*n {
		t.Errorf("cost %d, want %d", o.Weir.CostNanoUSD, 5*n)
	}
	// Lines that were queued at a stop are known by their ids.
	if handled := r.handled.Load(); handled > n {
		t.Errorf("%d lines were handled, want %d", handled, n)
	}
}

// TestCancel: a batch that is canceled ends with what is done; what was queued is gone.
func TestCancel(t *testing.T) {
	t.Parallel()
	r := setup(t)
	hold := make(chan struct{})
	o := r.create("", r.upload("", chatLine("first", "one")+chatLines(5*window)), "")
	r.eventually(func() string {
		if n := r.queued(stagetest.Tenant); n != window {
			return fmt.Sprintf("%d lines are queued, want the window's %d", n, window)
		}
		return ""
	})
	r.hold.Store(&hold)
	close(hold)
	r.pipeline(1)
	r.eventually(func() string {
		if r.show("", o.ID).RequestCounts.Completed == 0 {
			return "no line is done"
		}
		return ""
	})
	again := make(chan struct{})
	r.hold.Store(&again)
	out := r.call("", http.MethodPost, "/v1/batches/"+o.ID+"/cancel", "", nil)
	if got := decode[object](t, out.body); out.status != http.StatusOK || got.Status != "cancelling" {
		t.Fatalf("got %d %s", out.status, out.body)
	}
	o = r.ended("", o.ID, "cancelled")
	close(again)
	rows, bad := r.rows("", o.OutputFileID), r.rows("", o.ErrorFileID)
	if len(rows) == 0 || len(rows)+len(bad) != 5*window+1 || rows[0].CustomID != "first" || bad[0].Error.Code != "batch_cancelled" ||
		o.RequestCounts.Completed != len(rows) || o.CancelledAt == 0 {
		t.Errorf("%d rows and %d errors, %+v", len(rows), len(bad), o)
	}
	if out := r.call("", http.MethodPost, "/v1/batches/"+o.ID+"/cancel", "", nil); out.status != http.StatusConflict {
		t.Errorf("again: got %d %s", out.status, out.body)
	}
	r.eventually(func() string {
		if n := r.queued(stagetest.Tenant); n > 0 {
			return fmt.Sprintf("%d lines are still queued", n)
		}
		return ""
	})
}

// TestExpire: what is not done when the window closes is told of line by line.
func TestExpire(t *testing.T) {
	t.Parallel()
	r := setup(t)
	r.pipeline(1)
	hold := make(chan struct{})
	defer close(hold)
	r.hold.Store(&hold)
	id := r.upload("", chatLines(3*window))
	out := r.call("", http.MethodPost, "/v1/batches", "application/json",
		strings.NewReader(fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"1s"}`, id)))
	o := r.ended("", decode[object](t, out.body).ID, "expired")
	bad := r.rows("", o.ErrorFileID)
	if len(bad) != 3*window || bad[0].Error.Code != "batch_expired" || bad[3*window-1].CustomID != fmt.Sprintf("c%d", 3*window-1) || o.ExpiredAt == 0 || o.OutputFileID != "" {
		t.Errorf("%d errors, %+v", len(bad), o)
	}
}

// TestExpireQueued: a batch that nobody took up in time is expired, not failed.
func TestExpireQueued(t *testing.T) {
	t.Parallel()
	r := setup(t)
	id := r.upload("", chatLines(3))
	r.stop()
	job := event.BatchJob{Envelope: event.Envelope{ID: "late", Lane: event.LaneBatch, Deadline: time.Now().Add(-time.Second)}, InputFile: id, Endpoint: "/v1/chat/completions"}
	job.V = 1
	r.Publish(event.Address{Kind: event.KindBatch, Lane: event.LaneBatch, Tenant: stagetest.Tenant}.Subject(), "", job)
	r.start()
	o := r.ended("", r.waitFor("late"), "expired")
	if bad := r.rows("", o.ErrorFileID); len(bad) != 3 {
		t.Errorf("got %+v", bad)
	}
}

// waitFor waits until a batch that came over NATS is known.
func (r *rig) waitFor(id string) string {
	r.T.Helper()
	r.eventually(func() string {
		if out := r.call("", http.MethodGet, "/v1/batches/"+id, "", nil); out.status != http.StatusOK {
			return string(out.body)
		}
		return ""
	})
	return id
}

// TestTenants: batches of several tenants run side by side, and nobody sees another's.
func TestTenants(t *testing.T) {
	t.Parallel()
	const n = 50
	r := setup(t)
	r.pipeline(8)
	tenants := []string{"acme", "bounded", "other"} // bounded may have 3 jobs queued
	batches := map[string][]string{}
	for _, as := range tenants {
		for range 2 {
			batches[as] = append(batches[as], r.create(as, r.upload(as, chatLines(n)), "").ID)
		}
	}
	for _, as := range tenants {
		for _, id := range batches[as] {
			r.wantRows(as, r.ended(as, id, "completed"), n)
		}
		list := decode[struct {
			Data    []object
			HasMore bool `json:"has_more"`
		}](t, r.call(as, http.MethodGet, "/v1/batches?limit=1", "", nil).body)
		if len(list.Data) != 1 || list.Data[0].ID != batches[as][1] || !list.HasMore {
			t.Errorf("%s: got %+v", as, list)
		}
		list.Data = nil
		next := r.call(as, http.MethodGet, "/v1/batches?after="+batches[as][1], "", nil)
		if got := decode[struct{ Data []object }](t, next.body); len(got.Data) != 1 || got.Data[0].ID != batches[as][0] {
			t.Errorf("%s: got %s", as, next.body)
		}
	}
	theirs, file := batches["other"][0], r.show("other", batches["other"][0]).OutputFileID
	for _, c := range []struct{ method, path string }{
		{http.MethodGet, "/v1/batches/" + theirs}, {http.MethodPost, "/v1/batches/" + theirs + "/cancel"},
		{http.MethodGet, "/v1/files/" + file}, {http.MethodGet, "/v1/files/" + file + "/content"}, {http.MethodDelete, "/v1/files/" + file},
	} {
		got := r.call("acme", c.method, c.path, "", nil)
		nobodys := r.call("acme", c.method, strings.NewReplacer(theirs, "batch_none", file, "file-none").Replace(c.path), "", nil)
		same := strings.NewReplacer(theirs, "X", file, "X", "batch_none", "X", "file-none", "X")
		if got.status != http.StatusNotFound || same.Replace(string(got.body)) != same.Replace(string(nobodys.body)) {
			t.Errorf("%s %s: got %d %s, and %s for what is nobody's", c.method, c.path, got.status, got.body, nobodys.body)
		}
	}
	if out := r.call("acme", http.MethodGet, "/v1/batches?after="+theirs, "", nil); out.status != http.StatusBadRequest {
		t.Errorf("got %d %s", out.status, out.body)
	}
}

// TestRefused: a batch that can't be one is refused at once.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := setup(t)
	input := r.upload("", chatLines(1))
	contentType, body := form(t, "purpose", "user_data", "file", "x")
	other := decode[struct{ ID string }](t, r.call("", http.MethodPost, "/v1/files", contentType, body).body).ID
	for name, c := range map[string]struct{ body, param string }{
		"no file":        {`{"endpoint":"/v1/chat/completions","completion_window":"24h"}`, "input_file_id"},
		"unknown file":   {`{"input_file_id":"file-x","endpoint":"/v1/chat/completions","completion_window":"24h"}`, "input_file_id"},
		"injection":      {`{"input_file_id":"*","endpoint":"/v1/chat/completions","completion_window":"24h"}`, "input_file_id"},
		"other purpose":  {fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, other), "input_file_id"},
		"endpoint":       {fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/responses","completion_window":"24h"}`, input), "endpoint"},
		"window":         {fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"1y"}`, input), "completion_window"},
		"long window":    {fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"200h"}`, input), "completion_window"},
		"wrong metadata": {fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"a":1}}`, input), "metadata"},
		"no object":      {`[]`, "body"},
	} {
		out := r.call("", http.MethodPost, "/v1/batches", "application/json", strings.NewReader(c.body))
		got := decode[struct {
			Error struct{ Message, Type, Param string }
		}](t, out.body)
		if out.status != http.StatusBadRequest || !strings.HasPrefix(got.Error.Param, c.param) || got.Error.Type != "invalid_request_error" {
			t.Errorf("%s: got %d %s", name, out.status, out.body)
		}
	}
	if out := r.call("interactive", http.MethodPost, "/v1/batches", "application/json",
		strings.NewReader(fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, r.upload("interactive", chatLines(1))))); out.status != http.StatusForbidden {
		t.Errorf("a tenant without the lane: got %d %s", out.status, out.body)
	}
}

// TestCreateAgainAfterACrash: a gateway has died between the batch's job and what is
// noted of the batch, or before the job was stored; the same request completes it.
func TestCreateAgainAfterACrash(t *testing.T) {
	t.Parallel()
	r := setup(t)
	input := r.upload("", chatLines(3))
	create := func() reply {
		req := fmt.Sprintf(`{"input_file_id":%q,"endpoint":"/v1/chat/completions","completion_window":"24h"}`, input)
		return r.call("", http.MethodPost, "/v1/batches", "application/json", strings.NewReader(req), "Idempotency-Key", "k1")
	}
	first := decode[object](t, create().body)
	r.eventually(func() string {
		if o := r.show("", first.ID); o.Status != "in_progress" {
			return "the batch is " + o.Status
		}
		return ""
	})
	batches, err := r.Bus.KeyValue(t.Context(), bus.BucketBatches)
	if err == nil {
		err = batches.Purge(t.Context(), event.JobKey(stagetest.Tenant, first.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	jobs, err := r.Bus.KeyValue(t.Context(), bus.BucketJobs)
	if err != nil {
		t.Fatal(err)
	}
	record := bus.Value[event.Submission]{KV: jobs, Key: event.JobKey(stagetest.Tenant, first.ID), Name: "the record"}
	if _, err := record.Change(t.Context(), func(s *event.Submission) error { s.Stored = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if got := create(); got.status != http.StatusOK || decode[object](t, got.body).ID != first.ID {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestCancelWhileNobodyRunsIt: whoever takes the batch up again stops the lines that were
// sent, and those that can't be are told of as what they are.
func TestCancelWhileNobodyRunsIt(t *testing.T) {
	t.Parallel()
	r := setup(t)
	refused := strings.Replace(chatLine("none", "q"), `"small"`, `"none"`, 1)
	var in strings.Builder
	for i := range window {
		in.WriteString(strings.Replace(refused, "none", fmt.Sprint("bad", i), 1))
	}
	in.WriteString(chatLines(3))
	o := r.create("", r.upload("", in.String()), "")
	r.eventually(func() string {
		if n := r.queued(stagetest.Tenant); n != 3 {
			return fmt.Sprintf("%d lines are queued, want 3", n)
		}
		return ""
	})
	r.stop()
	if err := r.Client.CancelBatch(t.Context(), stagetest.Tenant, o.ID); err != nil {
		t.Fatal(err)
	}
	r.start()
	o = r.ended("", o.ID, "cancelled")
	r.pipeline(1)
	r.eventually(func() string {
		if n := r.queued(stagetest.Tenant); n > 0 {
			return fmt.Sprintf("%d lines are still queued", n)
		}
		return ""
	})
	if n := r.handled.Load(); n > 0 {
		t.Errorf("%d lines were handled for nobody", n)
	}
	if o.RequestCounts.Failed != window {
		t.Errorf("got %+v, want %d failed", o.RequestCounts, window)
	}
}
