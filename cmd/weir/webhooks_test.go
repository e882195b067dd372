package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-dev/weir/pkg/bus/bustest"
	"github.com/weir-dev/weir/pkg/catalog"
	"github.com/weir-dev/weir/pkg/platform"
	"github.com/weir-dev/weir/pkg/webhook"
	"github.com/weir-dev/weir/services/notifier"
)

// noTenants is a catalog of nothing.
type noTenants struct{}

func (noTenants) Current() *catalog.Catalog { return &catalog.Catalog{} }

// notify runs a notifier that reaches this machine.
func notify(t *testing.T, server *bustest.Server, address string) {
	t.Helper()
	cfg := notifier.DefaultConfig()
	addr := netip.MustParseAddrPort(strings.TrimPrefix(address, "http://"))
	cfg.AllowPrivate, cfg.Ports = []netip.Prefix{netip.PrefixFrom(addr.Addr(), 32)}, []uint16{addr.Port()}
	cfg.Schedule = []time.Duration{time.Hour}
	n, err := notifier.New(platform.Platform{NATS: server.Connect()}, cfg, notifier.Ports{Catalog: noTenants{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("notifier: %v", err)
		}
	})
	<-n.Ready()
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	_, server := bustest.New(t)
	at := "--nats-url=" + server.URL()
	secret := strings.TrimSpace(weir(t, at, "webhooks", "secret").wants(t, exitOK, "whsec_").out)
	weir(t, at, "webhooks", "secret", "--tenant", "acme").wants(t, exitUsage, "in its entry")

	var broken atomic.Bool
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = webhook.Verify(r.Header, body, time.Now(), secret)
		}
		if err != nil {
			t.Error(err)
		}
		if broken.Load() {
			http.Error(w, "later", http.StatusBadGateway)
		}
	}))
	t.Cleanup(receiver.Close)
	notify(t, server, receiver.URL)

	weir(t, at, "webhooks", "test", receiver.URL).wants(t, exitOK, "delivered to "+receiver.URL, "200")
	weir(t, at, "webhooks", "test", "ops").wants(t, exitError, "given up", `no endpoint "ops"`)
	broken.Store(true)
	weir(t, at, "webhooks", "test", receiver.URL).wants(t, exitError, "tried again", "502")
	weir(t, at, "webhooks", "ls").wants(t, exitOK, "waiting", "502", "dead", "delivered")
	waiting := lines[webhook.Delivery](t, weir(t, at, "webhooks", "ls", "--state", "waiting", "--json"))
	if len(waiting) != 1 || waiting[0].Attempts != 1 || waiting[0].Response != "later\n" {
		t.Fatalf("got %+v", waiting)
	}
	broken.Store(false)
	weir(t, at, "webhooks", "redeliver", waiting[0].ID).wants(t, exitOK, "delivered")
	weir(t, at, "webhooks", "redeliver", waiting[0].ID, "--tenant", "other").wants(t, exitUsage, "no delivery")
	weir(t, at, "webhooks", "ls", "--state", "lost").wants(t, exitUsage, "--state")
	weir(t, at, "webhooks", "ls", "--limit", "5000").wants(t, exitUsage, "limit")
}

// TestTablesAreHarmless: what a tenant wrote steers no terminal.
func TestTablesAreHarmless(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	e := &env{out: &out, cli: &cli{}}
	if err := e.printDeliveries([]webhook.Delivery{{ID: "msg_1", To: "x\x1b]0;owned\x07\u009b2Jß", State: webhook.StateDead}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsAny(got, "\x1b\x07\u009b") || !strings.Contains(got, "x?]0;owned??2Jß") {
		t.Errorf("got %q", got)
	}
}
