package openai

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-dev/weir/pkg/event"
	"github.com/weir-dev/weir/pkg/llm"
)

// pipes is a listener whose connections never leave the process, so that a
// server can run where time is simulated.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial is a transport's DialContext.
func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// cutStreams answers in the way the header X-Cut names.
func cutStreams(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	streams(roleFrame+helloFrame)(w, r)
	_ = http.NewResponseController(w).Flush()
	switch r.Header.Get("X-Cut") {
	case "clean":
	case "abort":
		panic(http.ErrAbortHandler)
	default:
		<-r.Context().Done()
	}
}

// TestCutStreamsLeaveNothing cuts 200 streams in five ways. A call that stayed
// would keep its connection; any other goroutine would keep the simulated time
// from ending, which fails the test as well.
func TestCutStreamsLeaveNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
		var open atomic.Int32
		srv := &http.Server{Handler: http.HandlerFunc(cutStreams), ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				open.Add(1)
			case http.StateClosed:
				open.Add(-1)
			}
		}}
		served := make(chan error, 1)
		go func() { served <- srv.Serve(p) }()
		transport := &http.Transport{DialContext: p.dial}
		for i := range 200 {
			way := []string{"clean", "abort", "idle", "cancel", "callback"}[i%5]
			c := clientFor(t, Config{BaseURL: "http://provider/v1", HTTPClient: &http.Client{Transport: transport}, Headers: map[string]string{"X-Cut": way}})
			if err := cutOne(context.WithoutCancel(t.Context()), c, way); err != nil {
				t.Fatal(strconv.Itoa(i), err)
			}
		}
		transport.CloseIdleConnections()
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d connections are still open", n)
		}
		_ = srv.Close()
		<-served
	})
}

// cutOne makes a call that ends in the way named and checks its error.
func cutOne(ctx context.Context, c *Client, way string) error {
	canceled, cancel := context.WithCancel(ctx)
	defer cancel()
	if way == "cancel" {
		ctx = canceled
	}
	enough := errors.New("enough")
	req := hi()
	req.OnDelta = func(string) error {
		switch way {
		case "cancel":
			time.AfterFunc(time.Second, cancel)
		case "callback":
			return enough
		}
		return nil
	}
	want := map[string]event.Class{"clean": event.ClassTruncated, "abort": event.ClassTruncated, "idle": event.ClassUnavailable, "cancel": event.ClassCanceled}[way]
	res, err := c.Chat(ctx, req)
	if way == "callback" && errors.Is(err, enough) || want != "" && event.AsError(err).Class == want && reflect.DeepEqual(res, llm.ChatResponse{}) {
		return nil
	}
	return fmt.Errorf("%s: got %+v, %w", way, res, err)
}
