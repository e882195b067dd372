package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/test/internal/proc"
	"github.com/weir-dev/weir/test/internal/system"
)

// The streams' test: readers follow answers over HTTP while the gateway, the router
// and the generator are killed in the middle of them. Each comes back with the id of
// the last event that it saw, until it is told the end.

const (
	streamReaders = 200
	// words of an answer, and how long one takes: a stream lasts some ten seconds.
	answerWords = 60
	perToken    = "80ms"
)

// viewer is a reader of one job's stream, as one in a browser is.
type viewer struct {
	sys *system.System
	job string

	mu       sync.Mutex
	shown    strings.Builder
	last     string // the id of the last event that had one
	opened   int
	restarts int
	begun    bool // something was shown
	ended    bool
	wrong    error
}

// follow reads until the end is told, over as many connections as it takes.
func (v *viewer) follow(ctx context.Context) {
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for ctx.Err() == nil {
		v.connect(ctx) //nolint:errcheck // a connection that is lost is what this is about
		if v.over() {
			return
		}
		<-retry.C
	}
}

func (v *viewer) over() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended || v.wrong != nil
}

// connect reads one stream until it is lost.
func (v *viewer) connect(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.sys.APIURL+"/v1/jobs/"+v.job+"/stream", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Weir-Tenant", tenant)
	if v.last != "" {
		req.Header.Set("Last-Event-ID", v.last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		if res.StatusCode < 500 {
			v.fail(fmt.Errorf("status %d", res.StatusCode))
		}
		return nil
	}
	v.mu.Lock()
	v.opened++
	v.mu.Unlock()
	return v.read(res.Body)
}

func (v *viewer) fail(err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wrong = err
}

// read takes the events of one connection. One that did not come whole does not
// count.
func (v *viewer) read(body io.Reader) error {
	fields := map[string]string{}
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if name != "" {
			fields[name] = value
			continue
		}
		v.event(fields)
		if v.over() {
			return nil
		}
		clear(fields)
	}
}

func (v *viewer) event(fields map[string]string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch fields["event"] {
	case "delta":
		var delta struct{ Text string }
		if err := json.Unmarshal([]byte(fields["data"]), &delta); err != nil {
			v.wrong = err
		}
		if v.shown.Len() > 0 && epoch(v.last) != epoch(fields["id"]) && fields["id"] != client.PlaceEnd {
			v.wrong = fmt.Errorf("%s follows %s without a restart", fields["id"], v.last)
		}
		v.shown.WriteString(delta.Text)
		v.last, v.begun = fields["id"], true
	case "restart":
		v.shown.Reset()
		v.restarts++
	case "done":
		v.ended = true
	case "error":
		v.wrong = errors.New(fields["data"])
	}
}

// epoch is that of an event's id.
func epoch(id string) string {
	_, epoch, _ := strings.Cut(id, "-")
	return epoch
}

// TestStreamsSurviveKills: whatever is killed, a reader that comes back ends with the
// text of the stored result, and is told to restart wherever an attempt began anew.
func TestStreamsSurviveKills(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("STREAMS NOT RUN: -short skips the tests that kill processes at work")
	}
	sim := proc.FreeAddr(t)
	sys := system.Start(t, system.Options{Mode: system.Separate, SimArgs: []string{"--addr", sim, "--per-token", perToken}, Env: map[string]string{
		"WEIR_CATALOG": echoing(t, sim), "WEIR_GENERATOR_INTERACTIVE_SLOTS": fmt.Sprint(streamReaders), "WEIR_GENERATOR_ACK_WAIT": "3s", "WEIR_ROUTER_ACK_WAIT": "3s"}})
	ctx, cancel := context.WithTimeout(t.Context(), timeLimit)
	defer cancel()
	start := time.Now()
	viewers := make([]*viewer, streamReaders)
	var following sync.WaitGroup
	for i := range viewers {
		v := &viewer{sys: sys, job: fmt.Sprintf("stream-%03d", i)}
		viewers[i] = v
		post(ctx, t, sys, v.job, i)
		following.Go(func() { v.follow(ctx) })
	}
	awaitAll(ctx, t, viewers, "shows something", func(v *viewer) bool { return v.begun })
	for _, name := range []string{"gateway", "router", "generator"} {
		t.Logf("%5.1fs: killing %s", time.Since(start).Seconds(), name)
		sys.Restart(name)
		if name == "gateway" {
			awaitAll(ctx, t, viewers, "is back", func(v *viewer) bool { return v.opened > 1 || v.ended })
		}
	}
	following.Wait()
	t.Logf("%5.1fs: all streams have ended", time.Since(start).Seconds())
	restarted := check(ctx, t, sys, viewers)
	t.Logf("%d of %d readers were told to restart", restarted, streamReaders)
	if restarted < streamReaders/2 {
		t.Errorf("%d of %d readers saw an attempt break off: the generator was killed too late for the test to tell anything", restarted, streamReaders)
	}
}

// echoing is a catalog whose model says its question again, word by word.
func echoing(t *testing.T, sim string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "catalog.yaml")
	text := `version: 1
providers:
  - {id: sim, base_url: "http://` + sim + `/v1", dialect: sim, headers: {X-Sim: mode=echo}, max_conns: 256}
models:
  - {id: small, provider: sim, upstream: sim-small, mode: chat, price: [{input: 1, output: 1}]}
  - {id: embed, provider: sim, upstream: sim-embed, mode: embedding, dimensions: 1024, stand_in: true, price: [{input: 1}]}
  - {id: rerank, provider: sim, upstream: sim-rerank, mode: rerank, price: [{input: 1}]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// post submits a job over HTTP. Each answer is another one.
func post(ctx context.Context, t *testing.T, sys *system.System, id string, n int) {
	t.Helper()
	var words strings.Builder
	for i := range answerWords {
		fmt.Fprintf(&words, " %d", n*answerWords+i)
	}
	body, err := json.Marshal(event.GenerateJob{Envelope: event.Envelope{V: 1, ID: id}, Model: "small", Stream: true, NoCache: true,
		Messages: []event.Message{{Role: "user", Content: "Say:" + words.String()}}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, sys.APIURL+"/v1/jobs", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Weir-Tenant", tenant)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if told, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusAccepted {
		t.Fatalf("submitting: %d %s, %v", res.StatusCode, told, err)
	}
}

// awaitAll waits until something holds of all readers.
func awaitAll(ctx context.Context, t *testing.T, viewers []*viewer, what string, holds func(*viewer) bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, v := range viewers {
		for done := false; !done; {
			v.mu.Lock()
			done = holds(v)
			wrong := v.wrong
			v.mu.Unlock()
			if wrong != nil {
				t.Fatalf("%s: %v", v.job, wrong)
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: none %s in time", v.job, what)
			}
			<-tick.C
		}
	}
}

// check compares what the readers have with the results, and counts those that were
// told to restart: they must be those that had seen an attempt before the last one.
func check(ctx context.Context, t *testing.T, sys *system.System, viewers []*viewer) (restarted int) {
	t.Helper()
	c := sys.Client(t)
	b, err := bus.New(sys.Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range viewers {
		result, err := c.Result(ctx, tenant, v.job)
		if err != nil || result.Answer == nil || v.wrong != nil || !v.ended {
			t.Errorf("%s: ended %v, %v; result %v", v.job, v.ended, v.wrong, err)
			continue
		}
		if v.shown.String() != result.Answer.Text {
			t.Errorf("%s: shows %q, the answer is %q", v.job, v.shown.String(), result.Answer.Text)
		}
		epochs := map[int64]bool{}
		err = b.Read(ctx, bus.StreamTokens, event.TokenSubject(tenant, v.job), 1, func(m *bus.Message) error {
			token, err := event.Decode[event.Token](m.Data)
			epochs[token.Epoch] = epochs[token.Epoch] || token.Type == event.TokenDelta
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(epochs) > 1 && v.restarts == 0 {
			t.Errorf("%s: %d attempts, and no restart was told", v.job, len(epochs))
		}
		if v.restarts > 0 {
			restarted++
		}
	}
	return restarted
}
