package e2e

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weir-dev/weir/embedded/llmsim"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

// gate is a provider that holds every chat call until it is opened.
type gate struct {
	*httptest.Server
	arrived chan struct{} // one value per call
	calls   atomic.Int64
	open    func()
}

func newGate(t *testing.T) *gate {
	t.Helper()
	sim, err := llmsim.New(llmsim.DefaultConfig())
	if err != nil {
		t.Fatalf("making a provider: %v", err)
	}
	opened := make(chan struct{})
	g := &gate{arrived: make(chan struct{}, 64), open: sync.OnceFunc(func() { close(opened) })}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/chat/completions") {
			g.calls.Add(1)
			g.arrived <- struct{}{}
			<-opened
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	t.Cleanup(g.open) // before Close, which waits for the calls
	return g
}

// TestStopDrains stops the process that calls the model in the middle of a
// call: it takes no more work, ends the job, and only then itself.
func TestStopDrains(t *testing.T) {
	forModes(t, func(t *testing.T, mode system.Mode) {
		g := newGate(t)
		opts := system.Options{Mode: mode, Dir: t.TempDir(),
			Env: map[string]string{"WEIR_SIM_URL": g.URL + "/v1"}}
		sys := system.Start(t, opts)
		b := setup(t, sys)
		job := question("", "Good evening")
		job.RAG = nil
		id := b.submit(job)
		<-g.arrived

		name := "generator"
		if mode == system.AllInOne {
			name = "weir"
		}
		p, url := sys.Processes[name], sys.Health[name]
		p.Terminate()
		p.AwaitStatus(url+"/readyz", http.StatusServiceUnavailable)
		if reply, err := proc.Get(url + "/healthz"); err != nil || reply.Status != http.StatusOK {
			t.Errorf("/healthz of a draining process: %+v, %v; want 200", reply, err)
		}
		if !p.Running() {
			t.Fatal("the process ended with a job in work")
		}
		g.open()
		p.Wait()

		// The result was stored before the end.
		sys.Kill()
		again := setup(t, system.Start(t, opts))
		again.tenant = b.tenant
		result, err := again.Result(again.ctx, b.tenant, id)
		if err != nil || result.Answer == nil || result.Answer.Text != "You said: Good evening" {
			t.Errorf("result after the stop: %+v, %v; want the answer", result, err)
		}
		if n := g.calls.Load(); n != 1 {
			t.Errorf("the model was called %d times, want 1", n)
		}
	})
}

// TestDataSurvivesACrash kills everything and starts it again on the same data.
func TestDataSurvivesACrash(t *testing.T) {
	forModes(t, func(t *testing.T, mode system.Mode) {
		opts := system.Options{Mode: mode, Dir: t.TempDir()}
		sys := system.Start(t, opts)
		b := setup(t, sys)
		b.ingest(document("docs", "guide/harbour.md", markdownDoc))
		job := question("docs", "When does the harbour office open?")
		job.ID = "before"
		before := b.ask(job)
		sys.Kill()

		again := setup(t, system.Start(t, opts))
		again.tenant = b.tenant
		result, err := again.Result(again.ctx, b.tenant, "before")
		if err != nil || result.Answer == nil || result.Answer.Text != before.Answer.Text || result.FinishedAt != before.FinishedAt {
			t.Fatalf("result after the crash: %+v, %v; want %+v", result, err, before)
		}
		// The id is still the same job, and the documents are still there.
		job.Messages[0].Content = "How much does a berth cost per night?"
		if same := again.ask(job); same.Answer.Text != before.Answer.Text {
			t.Errorf("job %q was run again: %q", job.ID, same.Answer.Text)
		}
		job.ID = "after"
		checkCited(t, again.ask(job), "forty euros", "guide/harbour.md", "Harbour handbook", "Fees")
	})
}

// TestProviderUnreachable points the generators to a port where nobody listens: the
// job's calls go to the model, then to its fallback, and the job ends as a dead
// letter that says so.
func TestProviderUnreachable(t *testing.T) {
	forModes(t, func(t *testing.T, mode system.Mode) {
		sys := system.Start(t, system.Options{Mode: mode, Env: map[string]string{
			"WEIR_SIM_URL": "http://" + proc.FreeAddr(t) + "/v1",
		}})
		b := setup(t, sys)
		dead := b.subscribe(event.DeadSubject("generator", b.tenant))
		life := b.subscribe(event.LifeSubject(b.tenant, "unreachable"))
		job := question("", "Is anybody there?")
		job.ID, job.RAG, job.MaxAttempts = "unreachable", nil, 3
		id := b.submit(job)
		result := b.failed(id, event.ClassUnavailable, "")
		var models []string
		for _, a := range result.Receipt.Attempts {
			models = append(models, a.Model+" "+string(a.Error))
		}
		if want := []string{"small unavailable", "small unavailable", "large unavailable"}; !slices.Equal(models, want) {
			t.Errorf("attempts %q, want %q", models, want)
		}

		msg := b.next(dead)
		if class, job := msg.Header.Get(stage.HeaderErrorClass), msg.Header.Get(stage.HeaderJob); class != string(event.ClassUnavailable) || job != id {
			t.Errorf("dead letter of class %q and job %q, want unavailable and %q", class, job, id)
		}
		// What is told of a job is told in order.
		if told := decode[event.Life](t, b.next(life).Data); told.Type != event.LifePlanned {
			t.Errorf("first event %+v, want %s", told, event.LifePlanned)
		}
		for {
			told := decode[event.Life](t, b.next(life).Data)
			if told.Type == event.LifeFallback {
				break
			}
			if told.Type != event.LifeWaiting || told.Detail == "" {
				t.Errorf("event %+v: want why the job waits", told)
			}
		}
		task := decode[event.GenerateTask](t, msg.Data)
		if task.ID != id || len(task.Messages) != 1 || task.Messages[0].Content != "Is anybody there?" {
			t.Errorf("dead letter holds %+v, want the task", task)
		}
	})
}
