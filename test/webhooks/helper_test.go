// Package webhooks_test runs the notifier as a process of its own, against receivers
// that the tests are, and checks what they get by the reference library of Standard
// Webhooks.
package webhooks_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/pkg/bus"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/stage"
	"github.com/weir-dev/weir/pkg/webhook"
	"github.com/weir-dev/weir/test/internal/proc"
)

// patience bounds every wait: after a kill a message comes again within AckWait.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

// The secrets of acme while one is replaced by the other.
const (
	oldSecret = "whsec_b2xkIHNlY3JldCBvZiB0aGUgd2ViaG9va3MgdGVzdHM=" //nolint:gosec // of the tests
	newSecret = "whsec_bmV3IHNlY3JldCBvZiB0aGUgd2ViaG9va3MgdGVzdHM=" //nolint:gosec // of the tests
)

const catalogFile = `
version: 1
providers: [{id: sim, base_url: "http://127.0.0.1:1/v1", dialect: sim}]
models: [{id: small, provider: sim, upstream: small, mode: chat, price: [{input: 1, output: 1}]}]
tenants: [{id: acme, webhooks: {secrets: [%q, %q]}}]
`

// rig is NATS and a notifier, each in a process.
type rig struct {
	t        *testing.T
	bus      *bus.Bus
	store    *webhook.Store
	notifier *proc.Process
}

func newRig(t *testing.T, receiver string) *rig {
	t.Helper()
	dir := t.TempDir()
	server := proc.Start(t, proc.Command{Name: "weir", Label: "nats", Args: []string{"dev", "nats", "--json", "--addr", proc.FreeAddr(t), "--data-dir", dir}})
	url := server.JSON()["addr"]
	file := filepath.Join(dir, "catalog.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, catalogFile, newSecret, oldSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	health := proc.FreeAddr(t)
	r := &rig{t: t, notifier: proc.Start(t, proc.Command{Name: "notifier", Env: map[string]string{
		"WEIR_NATS_URL": url, "WEIR_HTTP_ADDR": health, "WEIR_CATALOG": file,
		"WEIR_NOTIFIER_ALLOW_PRIVATE": "127.0.0.0/8", "WEIR_NOTIFIER_PORTS": receiver[strings.LastIndexByte(receiver, ':')+1:],
		"WEIR_NOTIFIER_SCHEDULE": "10ms,10ms,10ms,10ms", "WEIR_NOTIFIER_BREAK_AFTER": "1000",
	}})}
	r.notifier.AwaitStatus("http://"+health+"/readyz", http.StatusOK)
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if r.bus, err = bus.New(nc); err != nil {
		t.Fatal(err)
	}
	r.store = webhook.NewStore(r.bus, time.Now)
	return r
}

// finish stores the result of a job that names a webhook.
func (r *rig) finish(job, to string) {
	r.t.Helper()
	out, err := stage.ResultOut(event.Result{V: event.Version, ID: job, Tenant: "acme", Kind: event.KindGenerate, Status: event.StatusOK,
		Webhook: to, FinishedAt: time.Now().UTC(), Answer: &event.Answer{Text: "grüße 🌊"}})
	if err == nil {
		err = r.bus.Publish(r.t.Context(), out)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// delivered waits until so many deliveries are done.
func (r *rig) delivered(n int) {
	r.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		found, err := r.store.List(r.t.Context(), "acme", webhook.Query{State: webhook.StateDelivered, Limit: webhook.MaxLimit})
		if err == nil && len(found) == n {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d delivered, want %d: %v", len(found), n, err)
		}
	}
}

// got is one request as it came.
type got struct {
	Secret  string            `json:"secret"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// receiver keeps what it gets and fails each first try.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	requests []got
	tries    map[string]int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{tries: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the sender died
		}
		headers := map[string]string{}
		for name := range req.Header {
			headers[strings.ToLower(name)] = req.Header.Get(name)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, got{Headers: headers, Body: string(body)})
		id := req.Header.Get(webhook.HeaderID)
		if r.tries[id]++; r.tries[id] == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// library is the reference library and its version.
const library = "standardwebhooks@1.1.1"

// reference has the reference library check requests and returns what it says of each.
func reference(t *testing.T, requests []got) []string {
	t.Helper()
	dir := t.TempDir()
	script, err := os.ReadFile("testdata/verify.mjs")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "verify.mjs"), script, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	install := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", library)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("installing %s: %v\n%s", library, err, out)
		}
		t.Skipf("SKIPPED: the signatures are not checked by the reference library, for %s can't be installed: %v\n%s", library, err, out)
	}
	var in bytes.Buffer
	for _, r := range requests {
		if err := json.NewEncoder(&in).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	node := exec.CommandContext(t.Context(), "node", "verify.mjs")
	node.Dir, node.Stdin = dir, &in
	out, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
