package natsd_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weir-dev/weir/embedded/natsd"
)

// accounts has a service user and, for each name, an account with a user that may
// ask the service "ask".
func accounts(users ...string) string {
	var b strings.Builder
	b.WriteString(`accounts { MAIN { jetstream: enabled, users: [{user: "main", password: "secret"}], exports: [{service: "ask.*"}] }` + "\n")
	for _, u := range users {
		fmt.Fprintf(&b, "user-%s { users: [{user: %q, password: \"pw\"}], imports: [{service: {account: MAIN, subject: \"ask.%s\"}}] }\n", u, u, u)
	}
	return b.String() + "}"
}

func withAccounts(dir string, users ...string) natsd.Config {
	return natsd.Config{Dir: dir, Addr: "127.0.0.1:0", Accounts: accounts(users...), Service: natsd.User{Account: "MAIN", Name: "main", Password: "secret"}}
}

func connect(s *natsd.Server, user string, opts ...nats.Option) (*nats.Conn, error) {
	u, err := url.Parse(s.URL())
	if err != nil {
		return nil, err
	}
	if user != "" {
		u.User = url.UserPassword(user, "pw")
	}
	return nats.Connect(u.String(), opts...)
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	s, stop := start(t, withAccounts(t.TempDir(), "a"))
	defer stop()
	local := conn(t, s)
	if _, err := jetStream(t, local).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatalf("the service has no streams: %v", err)
	}
	for _, user := range []string{"", "b"} {
		if nc, err := connect(s, user); err == nil {
			nc.Close()
			t.Errorf("user %q may connect", user)
		}
	}
	a, err := connect(s, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if msg, err := a.Request("$JS.API.STREAM.NAMES", nil, patience); err == nil && !strings.Contains(string(msg.Data), "not enabled for account") {
		t.Errorf("a reaches the streams: %s", msg.Data)
	}
}

// TestSetAccounts: users come and go while the server runs; whoever is gone is cut
// off, and nobody else.
func TestSetAccounts(t *testing.T) {
	t.Parallel()
	s, stop := start(t, withAccounts(t.TempDir(), "a"))
	defer stop()
	local := conn(t, s)
	if _, err := local.Subscribe("ask.*", func(m *nats.Msg) { m.Respond([]byte("told " + m.Subject)) }); err != nil { //nolint:errcheck // the asker tells
		t.Fatal(err)
	}
	gone := make(chan struct{})
	a, err := connect(s, "a", nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(gone) }))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	asks(t, a, "ask.a")
	if err := s.SetAccounts(accounts("a", "b")); err != nil {
		t.Fatal(err)
	}
	asks(t, a, "ask.a")
	b, err := connect(s, "b")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	asks(t, b, "ask.b")
	if _, err := b.Request("ask.a", nil, time.Second); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("b asks as a: %v", err)
	}
	if err := s.SetAccounts("accounts { MAIN {"); err == nil {
		t.Error("broken accounts are taken")
	}
	if err := s.SetAccounts(accounts("b")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("a is still connected")
	}
	asks(t, b, "ask.b")
	if !local.IsConnected() {
		t.Error("the service was cut off")
	}
	if _, err := jetStream(t, local).CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Errorf("the streams after reloads: %v", err)
	}
	if err := s.SetAccounts(""); err == nil {
		t.Error("accounts were turned off")
	}
}

func asks(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	if msg, err := nc.Request(subject, nil, patience); err != nil || string(msg.Data) != "told "+subject {
		t.Errorf("%s: %v, %v", subject, msg, err)
	}
}

// TestStreamsStay: whether accounts are turned on, or off again.
func TestStreamsStay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, cfg := range []natsd.Config{{Dir: dir}, withAccounts(dir, "a"), withAccounts(dir), {Dir: dir}, withAccounts(dir)} {
		s, stop := start(t, cfg)
		js := jetStream(t, conn(t, s))
		stream, err := js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().State.Msgs; got != uint64(i) { //nolint:gosec // a small number
			t.Errorf("start %d: %d messages", i, got)
		}
		if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	if err := os.MkdirAll(filepath.Join(dir, "jetstream", "$G", "streams", "T"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := runFails(t, withAccounts(dir)); !strings.Contains(err.Error(), "both hold streams") {
		t.Errorf("got %v", err)
	}
}

func TestAccountsNeedAService(t *testing.T) {
	t.Parallel()
	if _, err := natsd.New(natsd.Config{Dir: t.TempDir(), Accounts: accounts()}); err == nil || !strings.Contains(err.Error(), "Service") {
		t.Errorf("got %v", err)
	}
}
