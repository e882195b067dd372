package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
	"github.com/weir-dev/weir/pkg/webhook"
)

func TestTypeOf(t *testing.T) {
	t.Parallel()
	canceled := event.Errorf(event.ClassCanceled, "stopped")
	for want, r := range map[string]event.Result{
		webhook.JobCompleted:   {Kind: event.KindIngest, Status: event.StatusOK},
		webhook.JobFailed:      {Kind: event.KindGenerate, Status: event.StatusFailed, Error: event.Errorf(event.ClassInternal, "x")},
		webhook.JobCanceled:    {Kind: event.KindGenerate, Status: event.StatusFailed, Error: canceled},
		webhook.BatchCompleted: {Kind: event.KindBatch, Status: event.StatusOK, Batch: &event.Batch{}},
		webhook.BatchFailed:    {Kind: event.KindBatch, Status: event.StatusFailed},
		webhook.BatchCanceled:  {Kind: event.KindBatch, Status: event.StatusOK, Batch: &event.Batch{Canceled: true}},
		webhook.BatchExpired:   {Kind: event.KindBatch, Status: event.StatusOK, Batch: &event.Batch{Expired: true}},
	} {
		if got := webhook.TypeOf(&r); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := webhook.TypeOf(&event.Result{Kind: event.KindBatch, Status: event.StatusFailed, Error: canceled}); got != webhook.BatchCanceled {
		t.Errorf("a canceled batch is %s", got)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	r := event.Result{V: 1, ID: "j1", Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK, FinishedAt: at, Answer: &event.Answer{Text: "hi"}}
	data, err := webhook.Body(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`{"type":"job.completed","timestamp":"2026-01-02T03:04:05.000000006Z","data":{"v":1,"id":"j1"`, `"text":"hi"`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %s in %s", part, data)
		}
	}
	r.Answer.Text = strings.Repeat("x", webhook.MaxBody)
	r.Error = &event.Error{Class: event.ClassInternal, Message: strings.Repeat("y", 2*webhook.MaxBody)}
	large, err := webhook.Body(r)
	if err != nil || len(large) > webhook.MaxBody || !strings.Contains(string(large), "GET /v1/jobs/j1") {
		t.Errorf("%d bytes, %v", len(large), err)
	}
	if r.Answer == nil {
		t.Error("the caller's result was changed")
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	ctx := t.Context()
	s := webhook.NewStore(b, time.Now)
	r := event.Result{ID: "j1", Tenant: "acme", FinishedAt: time.Now()}
	d := webhook.NewDelivery(&r, "ops", time.Now())
	if again := webhook.NewDelivery(&r, "ops", time.Now().Add(time.Hour)); again.ID != d.ID {
		t.Error("the same delivery has another id")
	}
	for _, other := range []struct{ tenant, job, to string }{{"other", "j1", "ops"}, {"acme", "j2", "ops"}, {"acme", "j1", "more"}} {
		r := event.Result{ID: other.job, Tenant: other.tenant, FinishedAt: r.FinishedAt}
		if webhook.NewDelivery(&r, other.to, time.Now()).ID == d.ID {
			t.Errorf("%v has the same id", other)
		}
	}
	changed := d
	changed.State = webhook.StateDead
	for _, next := range []webhook.Delivery{changed, d} {
		if got, err := s.Create(ctx, next); err != nil || got.State != webhook.StateDead {
			t.Errorf("kept %+v, %v", got, err)
		}
	}
	if got, err := s.Get(ctx, "acme", d.ID); err != nil || got.ID != d.ID {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, name := range [][2]string{{"other", d.ID}, {"acme", "msg_x"}, {"acme", "*"}, {"acme", ">"}, {"*", d.ID}, {"acme", ""}, {"acme", "a.b"}} {
		if _, err := s.Get(ctx, name[0], name[1]); !errors.Is(err, webhook.ErrNone) {
			t.Errorf("%v: got %v", name, err)
		}
		if _, err := s.Redeliver(ctx, name[0], name[1]); !errors.Is(err, webhook.ErrNone) {
			t.Errorf("redelivering %v: got %v", name, err)
		}
	}
	if _, err := s.Change(ctx, "acme", "msg_x", func(*webhook.Delivery) error { return nil }); !errors.Is(err, webhook.ErrNone) {
		t.Errorf("changing what is not there: %v", err)
	}
	if _, err := s.Redeliver(ctx, "acme", d.ID); event.AsError(err).Class != event.ClassInvalid {
		t.Errorf("without a result: %v", err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	s := webhook.NewStore(b, time.Now)
	start := time.Now()
	for i := range 20 {
		for _, tenant := range []string{"acme", "other"} {
			d := webhook.NewDelivery(&event.Result{ID: fmt.Sprintf("j%d", i), Tenant: tenant}, "ops", start.Add(time.Duration(i)*time.Second))
			if i%2 == 1 {
				d.State = webhook.StateDead
			}
			if _, err := s.Create(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		q    webhook.Query
		want string
		n    int
	}{
		"all":      {webhook.Query{}, "j19", 20},
		"limited":  {webhook.Query{Limit: 3}, "j19", 3},
		"by state": {webhook.Query{State: webhook.StateWaiting}, "j18", 10},
		"by job":   {webhook.Query{Job: "j4"}, "j4", 1},
		"nothing":  {webhook.Query{State: webhook.StateDelivered}, "", 0},
	} {
		got, err := s.List(t.Context(), "acme", tc.q)
		if err != nil || len(got) != tc.n || tc.n > 0 && got[0].Job != tc.want {
			t.Errorf("%s: %d, the first of %+v, %v", name, len(got), got, err)
		}
		for _, d := range got {
			if d.Tenant != "acme" {
				t.Errorf("%s: shows one of %s", name, d.Tenant)
			}
		}
	}
	for _, q := range []webhook.Query{{State: "x"}, {Limit: -1}, {Limit: webhook.MaxLimit + 1}} {
		if _, err := s.List(t.Context(), "acme", q); event.AsError(err).Class != event.ClassInvalid {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if _, err := s.List(t.Context(), "*", webhook.Query{}); err == nil {
		t.Error("all tenants' were listed")
	}
}

// TestGenerated: whoever asks first makes the secret, and all get the same.
func TestGenerated(t *testing.T) {
	t.Parallel()
	b, _ := bustest.New(t)
	secrets := make(chan string, 8)
	for range cap(secrets) {
		go func() {
			secret, err := webhook.Generated(t.Context(), b)
			if err != nil {
				t.Error(err)
			}
			secrets <- secret
		}()
	}
	first := <-secrets
	for range cap(secrets) - 1 {
		if got := <-secrets; got != first || got == "" {
			t.Errorf("got %q and %q", first, got)
		}
	}
	if !webhook.HasGenerated(tenant.DefaultTenant) || webhook.HasGenerated("acme") {
		t.Error("the wrong tenant has it")
	}
}

func FuzzDecodeDue(f *testing.F) {
	f.Add([]byte(`{"v":1,"delivery":"msg_1","to":"ops","since":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := webhook.DecodeDue(data)
		if err != nil {
			return
		}
		if out, err := m.Out("acme"); err != nil || !json.Valid(out.Data) {
			t.Errorf("%+v: %v", m, err)
		}
	})
}
