package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weir-dev/weir/pkg/event"
)

// loopback lets a test's own server be reached.
func loopback() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

// serve starts a server and returns its address and the configuration of a client
// that may reach it.
func serve(t *testing.T, handler http.HandlerFunc) (string, Config) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL, Config{AllowPrivate: loopback(), Ports: []uint16{port(t, server.URL)}}
}

func port(t *testing.T, address string) uint16 {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}

func client(t *testing.T, cfg Config) *Client {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c := New(cfg)
	t.Cleanup(c.Close)
	return c
}

// wantError checks an error's class, that it names the field, and that its text
// holds the parts.
func wantError(t *testing.T, err error, class event.Class, parts ...string) *event.Error {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) || e.Class != class {
		t.Fatalf("error %v, want class %s", err, class)
	}
	if e.Field != DefaultField {
		t.Errorf("field %q of %v, want %q", e.Field, err, DefaultField)
	}
	if class == event.ClassInvalid && e.Hint == "" {
		t.Errorf("no hint in %v", err)
	}
	for _, part := range parts {
		if !strings.Contains(e.Error(), part) {
			t.Errorf("no %q in %q", part, e.Error())
		}
	}
	return e
}

// names is a name server in memory: answers returns the IPv4 addresses of a name,
// none if it doesn't exist.
type names struct {
	mu      sync.Mutex
	answers func(name string) []string
}

// fixed answers every question for host with addrs.
func fixed(host string, addrs ...string) *net.Resolver {
	return (&names{answers: func(name string) []string {
		if strings.EqualFold(name, host+".") {
			return addrs
		}
		return nil
	}}).resolver()
}

// resolver asks the name server over a pipe, which Go's resolver takes for TCP:
// each message follows its length in two bytes.
func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go n.answer(ours)
		return theirs, nil
	}}
}

func (n *names) answer(conn net.Conn) {
	defer conn.Close()
	size := make([]byte, 2)
	for {
		if _, err := io.ReadFull(conn, size); err != nil {
			return
		}
		query := make([]byte, int(size[0])<<8|int(size[1]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		reply, err := n.reply(query)
		if err != nil {
			return
		}
		if _, err := conn.Write(append([]byte{byte(len(reply) >> 8), byte(len(reply))}, reply...)); err != nil {
			return
		}
	}
}

func (n *names) reply(query []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil, fmt.Errorf("no question: %w", err)
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if q.Type == dnsmessage.TypeA {
		n.mu.Lock()
		addrs := n.answers(q.Name.String())
		n.mu.Unlock()
		for _, addr := range addrs {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
				Body:   &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()},
			})
		}
		if addrs == nil {
			m.RCode = dnsmessage.RCodeNameError
		}
	}
	return m.Pack()
}
