package llmsim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestTenMinutesOfVirtualTime: with the clock set forward, ten minutes at a limit
// take no time, and admit what it allows: a full bucket and its refill.
func TestTenMinutesOfVirtualTime(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.Limits = []Limit{{Dim: DimRPM, Cap: 600}} })
	for range 600 { // each second, twice of what is refilled in one
		for range 20 {
			post(t, s, pathChat, `{"model":"sim-small","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}`)
		}
		if err := s.Advance(time.Second); err != nil {
			t.Fatal(err)
		}
	}
	l := s.Ledger()
	if admitted := l.Statuses[200]; admitted < 600+10*599-1 || admitted > 600+10*600 {
		t.Errorf("%d admitted of %d, want a bucket of 600 and 10 per second", admitted, l.Requests)
	}
}

// TestClientThatLeavesPaysForWhatWasMade: and for no more.
func TestClientThatLeavesPaysForWhatWasMade(t *testing.T) {
	t.Parallel()
	s := setup(t, func(c *Config) { c.PerToken, c.Now = 20*time.Millisecond, time.Now })
	server := httptest.NewServer(s)
	defer server.Close()
	ctx, leave := context.WithCancel(t.Context())
	content := strings.Repeat("word ", 200)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+pathChat,
		strings.NewReader(`{"model":"sim-small","stream":true,"messages":[{"role":"user","content":"`+content+`"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 600)); err != nil { // a few pieces
		t.Fatal(err)
	}
	leave()
	if e := lastEntry(t, s); !e.ClientGone || e.CompletionTokens == 0 || e.CompletionTokens > 100 {
		t.Errorf("entry %+v, want the tokens that were made", e)
	}
}

// TestCutStreamsLeaveNothing: no goroutine is left after a thousand.
func TestCutStreamsLeaveNothing(t *testing.T) { //nolint:paralleltest // counts the goroutines of the process
	s := setup(t, func(c *Config) {
		c.Faults = Faults{Rules: []Fault{{Name: "cut", Do: Action{Cut: cutAbort, After: 2}}}}
	})
	server := httptest.NewServer(s)
	client := &http.Client{Transport: &http.Transport{}}
	before := runtime.NumGoroutine()
	for i := range 1000 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+pathChat,
			bytes.NewReader(fmt.Appendf(nil, `{"model":"sim-small","stream":true,"messages":[{"role":"user","content":"number %d of many words"}]}`, i)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err == nil {
			t.Fatal("the stream was not cut")
		}
		res.Body.Close()
	}
	client.CloseIdleConnections()
	server.Close()
	deadline := time.Now().Add(10 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// BenchmarkChat is how many completions without latency are served.
func BenchmarkChat(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Limits = []Limit{{Dim: DimTPM, Cap: 1 << 50}, {Dim: DimRPM, Cap: 1 << 40}}
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+pathChat,
				strings.NewReader(`{"model":"sim-small","messages":[{"role":"user","content":"Hello, how are you?"}]}`))
			if err != nil {
				b.Error(err)
				return
			}
			res, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body) //nolint:errcheck // counted only
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkIdleStreams is the memory of ten thousand streams that wait, with
// their clients: each is one connection.
func BenchmarkIdleStreams(b *testing.B) {
	const streams = 10_000
	for b.Loop() {
		cfg := DefaultConfig()
		cfg.Faults = Faults{Rules: []Fault{{Do: Action{Hang: hangAfterEvents, After: 1}}}}
		s, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		pipes := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		server := &http.Server{Handler: s}
		go server.Serve(pipes) //nolint:errcheck // closed below
		before := heldMemory()
		clients := make([]net.Conn, streams)
		for i := range clients {
			clients[i] = pipes.dial()
			if _, err := fmt.Fprintf(clients[i], "POST %s HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n\r\n%s", pathChat, len(streamBody), streamBody); err != nil {
				b.Fatal(err)
			}
			got := make([]byte, 0, 1024)
			for !bytes.Contains(got, []byte("data: ")) {
				n, err := clients[i].Read(got[len(got):cap(got)])
				if err != nil {
					b.Fatal(err)
				}
				got = got[:len(got)+n]
			}
		}
		b.ReportMetric(float64(heldMemory()-before)/streams, "B/stream")
		for _, c := range clients {
			c.Close()
		}
		server.Close()
	}
}

// heldMemory is what the heap and the stacks take.
func heldMemory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// pipeListener is a listener without ports, as files are few.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error { close(l.closed); return nil }

// Addr implements net.Listener.
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }
