package llmsim

import (
	"bytes"
	"context"
	"fmt"
	"io"
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
