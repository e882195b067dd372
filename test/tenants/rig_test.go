// Package tenants tests that tenants are walls: over NATS against the real server
// with its accounts, and over HTTP against the real gateway, nothing of a tenant is
// read or written by another, and nothing tells that it exists.
package tenants

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weir-dev/weir/cmd/weir/up"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/client"
	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/tenant"
)

// patience bounds every wait.
const patience = time.Minute

// member is a tenant with its secrets.
type member struct {
	id, key, user, password string
}

// rig is a Weir with two tenants.
type rig struct {
	t      *testing.T
	system up.System
	file   string
	// mallory attacks victim.
	mallory, victim member
}

func start(t *testing.T, change ...func(*up.Config)) *rig {
	t.Helper()
	cfg := up.DefaultConfig(t.TempDir())
	cfg.NatsAddr, cfg.Process.HTTPAddr, cfg.Gateway.Addr = "127.0.0.1:0", "", "127.0.0.1:0"
	cfg.Ingestor.PDFCache = filepath.Join(os.TempDir(), "weir-test-pdfium")
	cfg.Process.Tenants = filepath.Join(cfg.DataDir, up.TenantsFile)
	r := &rig{t: t, file: cfg.Process.Tenants}
	r.mallory, r.victim = r.add("m"), r.add("v")
	for _, f := range change {
		f(&cfg)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan up.System, 1), make(chan error, 1)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	go func() { done <- up.Run(ctx, cfg, log, func(s up.System) { ready <- s }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the system ended with: %v", err)
		}
	})
	select {
	case r.system = <-ready:
	case err := <-done:
		done <- nil
		t.Fatalf("starting: %v", err)
	}
	return r
}

// add makes a tenant with a random id.
func (r *rig) add(start string) member {
	r.t.Helper()
	m := member{id: fmt.Sprintf("%s%08x", start, rand.Uint32())} //nolint:gosec // a name
	m.user = m.id
	secret, key := tenant.NewKey("", []catalog.Scope{catalog.ScopeAdmin})
	password, user, err := tenant.NewNATSUser(m.user)
	if err != nil {
		r.t.Fatal(err)
	}
	m.key, m.password = secret, password
	f, err := tenant.OpenFile(r.file)
	if err == nil {
		err = f.Add(catalog.Tenant{ID: m.id, Keys: []catalog.Key{key}, NATS: []catalog.NATSUser{user}})
	}
	if err == nil {
		err = f.Write()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// dial connects to NATS as a tenant.
func (r *rig) dial(m member, opts ...nats.Option) (*nats.Conn, error) {
	u, err := url.Parse(r.system.NatsURL)
	if err != nil {
		return nil, err
	}
	u.User = url.UserPassword(m.user, m.password)
	return nats.Connect(u.String(), opts...)
}

func (r *rig) connect(m member, opts ...nats.Option) *nats.Conn {
	r.t.Helper()
	nc, err := r.dial(m, append(opts, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

func (r *rig) client(nc *nats.Conn) *client.Client {
	r.t.Helper()
	c, err := client.New(nc, client.Whole())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// generate runs a job of a tenant to its end.
func (r *rig) generate(c *client.Client, tenantID string, job event.GenerateJob) event.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	id, err := c.Generate(ctx, tenantID, job)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.await(c, tenantID, id)
}

func (r *rig) await(c *client.Client, tenantID, id string) event.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	result, err := c.Await(ctx, tenantID, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// ask sends a request to the API with a tenant's key.
func (r *rig) ask(m member, method, path string, body any, headers ...string) (int, string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	var reader io.Reader
	contentType := ""
	switch b := body.(type) {
	case nil:
	case *form:
		reader, contentType = &b.Buffer, b.contentType
	default:
		data, err := json.Marshal(body)
		if err != nil {
			r.t.Fatal(err)
		}
		reader, contentType = bytes.NewReader(data), "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.system.APIAddr+path, reader)
	if err != nil {
		r.t.Fatal(err)
	}
	if m.key != "" {
		req.Header.Set("Authorization", "Bearer "+m.key)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // a test
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// form is the body of an upload.
type form struct {
	bytes.Buffer
	contentType string
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
