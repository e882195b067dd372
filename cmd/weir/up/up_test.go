package up_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/embedded/qdrantd/qdrantdtest"
	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
)

// Two documents, a question that one of them answers, and one that neither does.
const (
	bridge   = "# The old bridge\n\nThe old bridge at Grenoble was built in 1876 by Marie Durand. It has five arches.\n"
	holidays = "# Holidays\n\nEvery employee has thirty days of holidays per year. Ask your manager first.\n"
	known    = "Who built the old bridge at Grenoble?"
	unknown  = "What is the capital of Mongolia?"
)

func (w *weir) connect(url string) *client.Client {
	w.t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(nc.Close)
	c, err := client.New(nc)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// answered checks an answer that cites the bridge's document.
func (w *weir) answered() {
	w.t.Helper()
	result := w.ask(known)
	if result.Status != event.StatusOK || result.Answer == nil {
		w.t.Fatalf("result %+v, error %v", result, result.Error)
	}
	answer := result.Answer
	if !strings.Contains(answer.Text, "Marie Durand") || len(answer.Citations) != 1 || answer.Citations[0].Document != "bridge" ||
		!strings.Contains(answer.Text, fmt.Sprintf("[%d]", answer.Citations[0].Number)) {
		w.t.Errorf("answer %+v, want Marie Durand, from the bridge's document", answer)
	}
}

func TestEndToEnd(t *testing.T) {
	t.Parallel()
	w := start(t, config(t.TempDir()))
	w.ingest("bridge", bridge)
	w.ingest("holidays", holidays)
	w.answered()
	result := w.ask(unknown)
	if result.Answer == nil || result.Answer.Text != "I don't know." || len(result.Answer.Citations) != 0 {
		t.Errorf("answer %+v, want I don't know without citations", result.Answer)
	}
	if result.Answer.FinishReason != event.FinishAbstained || len(result.Receipt.Attempts) != 0 || result.Receipt.Retrieval == nil {
		t.Errorf("result %+v, want it without asking a model", result)
	}
	receipt := w.ask(known).Receipt
	if len(receipt.Attempts) != 1 || receipt.Attempts[0].Model != "small" || receipt.Retrieval == nil || len(receipt.Retrieval.Sources) == 0 {
		t.Fatalf("receipt %+v, want an answer and what grounded it", receipt)
	}
	want := int64(receipt.Attempts[0].PromptTokens)*150 + int64(receipt.Attempts[0].CompletionTokens)*600
	if receipt.CostNanoUSD != want || want == 0 || receipt.TotalMS <= 0 {
		t.Errorf("receipt %+v, want %d nano-USD", receipt, want)
	}
}

// TestRestartLosesNothing: results and documents are still there, and what was
// submitted just before the stop is done after it. That may take an AckWait: a
// restarted server has forgotten that a message was handed back.
func TestRestartLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, config(dir))
	first.ingest("bridge", bridge)
	asked := first.ask(known)
	var pending []string
	for i := range 20 {
		pending = append(pending, first.submit(fmt.Sprintf("late-%d", i), fmt.Sprintf("# Note %d\n\nThis is note number %d.\n", i, i)))
	}
	first.stop()

	second := start(t, config(dir))
	if got := second.await(asked.ID); got.Answer == nil || got.Answer.Text != asked.Answer.Text || !got.FinishedAt.Equal(asked.FinishedAt) {
		t.Errorf("result %+v, want the one of before: %+v", got, asked)
	}
	for _, job := range pending {
		if result := second.await(job); result.Status != event.StatusOK {
			t.Errorf("job %s: %+v, error %v", job, result, result.Error)
		}
	}
	second.answered()
}

// TestDataDirInUse: by another NATS, or by another vector store alone.
func TestDataDirInUse(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, dir string, err error) {
		t.Helper()
		got := up.LockError(err, dir).Error()
		for _, want := range []string{dir, "in use", "--data-dir", "weir status"} {
			if !strings.Contains(got, want) {
				t.Errorf("error %q (of %v), want one with %q", got, err, want)
			}
		}
	}
	t.Run("weir", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		w := start(t, config(dir))
		check(t, dir, fails(t, config(dir)))
		w.ingest("bridge", bridge) // the first one is none the worse
		w.answered()
	})
	t.Run("vector store", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		qdrantdtest.StartDir(t, filepath.Join(dir, "qdrant"))
		check(t, dir, fails(t, config(dir)))
	})
	t.Run("other errors", func(t *testing.T) {
		t.Parallel()
		if err := up.LockError(nil, "x"); err != nil {
			t.Errorf("no error became %v", err)
		}
		if err := up.LockError(io.EOF, "x"); err != io.EOF { //nolint:errorlint // the very same
			t.Errorf("another error became %v", err)
		}
	})
}

// TestSideBySide: two in one process share nothing.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	one, two := start(t, config(t.TempDir())), start(t, config(t.TempDir()))
	one.ingest("bridge", bridge)
	one.answered()
	if result := two.ask(known); result.Status != event.StatusFailed || result.Error.Field != "rag.collection" {
		t.Errorf("the other one answered %+v, want an unknown collection", result)
	}
	two.ingest("bridge", bridge)
	one.stop()
	two.answered()
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() }) //nolint:errcheck // a test's end
	addr := taken.Addr().String()
	for _, tc := range []struct {
		name, want string
		change     func(*up.Config)
	}{
		{"nats", "natsd", func(c *up.Config) { c.NatsAddr = addr }},
		{"health", "WEIR_HTTP_ADDR", func(c *up.Config) { c.Process.HTTPAddr = addr }},
		{"vector store", "qdrantd", func(c *up.Config) { c.QdrantAddr = addr }},
		{"simulator", "llmsim", func(c *up.Config) { c.Sim.Addr = addr }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t.TempDir())
			tc.change(&cfg)
			got := fails(t, cfg).Error()
			for _, want := range []string{addr, tc.want, "address already in use"} {
				if !strings.Contains(got, want) {
					t.Errorf("error %q, want one with %q", got, want)
				}
			}
		})
	}
}

// TestOwnNATS: with an address no server is embedded.
func TestOwnNATS(t *testing.T) {
	t.Parallel()
	server := bustest.Start(t)
	cfg := config(t.TempDir())
	cfg.Process.NatsURL = server.URL()
	w := start(t, cfg)
	if w.system.NatsURL != server.URL() {
		t.Errorf("NATS at %s, want %s", w.system.NatsURL, server.URL())
	}
	w.ingest("bridge", bridge)
	w.answered()
	w.stop()
}

func TestHealthAndMetrics(t *testing.T) {
	t.Parallel()
	cfg := config(t.TempDir())
	cfg.Process.HTTPAddr = "127.0.0.1:0"
	w := start(t, cfg)
	w.ingest("bridge", bridge)
	get := func(path string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.system.HTTPAddr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // read only
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%s: status %s, error %v", path, response.Status, err)
		}
		return string(body)
	}
	get("/healthz")
	get("/readyz")
	metrics := get("/metrics")
	for _, want := range []string{"weir_ingestor_chunks_total 1\n", "weir_embedder_batch_items_count 1\n", "weir_router_", "weir_generator_"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
}
